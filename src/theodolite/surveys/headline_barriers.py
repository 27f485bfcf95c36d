"""The barriers on straight lines between weights, as headline numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from theodolite.surveys.headline_edges import Written

AGAIN = "_recomputed"
"""How the name of a group ends that repeats another with BatchNorm statistics recomputed."""


def barrier_numbers(parts: Mapping[str, xr.Dataset], number: Written) -> list[dict[str, Any]]:
    """The largest barrier of the training loss, and of the test error, over all lines.

    With recomputed statistics where there are any.
    """
    lines = {
        k: d
        for k, d in parts.items()
        if d.attrs.get("quantity") == "barrier" and "barrier" in d and not k.startswith("aligned_")
    }
    kept = [d for k, d in lines.items() if k.endswith(AGAIN) or k + AGAIN not in lines]
    rows = []
    for name, label, scale, unit, curve in (
        ("barrier", "Barrier", 1.0, "", "training loss"),
        ("test_error_barrier", "Barrier, test error", 100.0, "pp", "share of wrong test answers"),
    ):
        known = [d for d in kept if name in d and np.isfinite(float(d[name]))]
        if not known:
            continue
        most = max(known, key=lambda d: float(d[name]))
        again = " with recomputed statistics" if most.attrs["statistics"] == "recomputed" else ""
        explain = (
            f"How far the {curve} rises above the chord on the straight line from "
            f"{most.attrs['first']} to {most.attrs['second']}{again}"
            + (f", the most of {len(known)} lines." if len(known) > 1 else ".")
        )
        made = number(name, label, scale * float(most[name]), None, unit, explain)
        low, high = (scale * float(most[name + end]) for end in ("_low", "_high"))
        if np.isfinite(low):
            level = 100 * float(most.attrs["level"])
            made["note"] = f"{level:g} % interval {low:.3g} to {high:.3g}"
        rows.append(made)
    return rows
