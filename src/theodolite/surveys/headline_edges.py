"""Where the sharpness of gradient descent stayed, as headline numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

Written = Callable[[str, str, float, float | None, str, str], dict[str, Any]]


def edge_numbers(found: xr.Dataset, number: Written) -> list[dict[str, Any]]:
    """The late mean of the sharpness over its threshold for every run that has one."""
    rows = []
    for k in range(found.sizes["run"]):
        run = found.isel(run=k)
        mean, rate = float(run["late_mean"]), float(run["rate"])
        if not np.isfinite(mean):
            continue
        seed = float(run["fresh_start"])
        start = f", start {int(seed)}" if np.isfinite(seed) else ""
        explain = (
            "The mean over the late steps of the largest eigenvalue over the threshold of the "
            "update rule; its error by batch means."
        )
        rows.append(
            number(
                f"late_sharpness_{k}",
                f"Sharpness / threshold, rate {rate:.3g}{start}",
                mean,
                float(run["late_error"]),
                "",
                explain,
            )
        )
    return rows
