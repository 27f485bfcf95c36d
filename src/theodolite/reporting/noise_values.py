"""Everything measured about gradient noise as plain values, for programs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

from theodolite.reporting.contents import Contents
from theodolite.reporting.noise_advice import advice_text, caveats, tail_text

SETTINGS = (
    "noise_population",
    "level",
    "advice_from",
    "waste",
    "batch_size",
    "learning_rate",
    "momentum",
    "method",
    "matrix",
    "products",
    "stable_refused",
    "hessian_weighted_reason",
    "no_advice",
)
"""What the numbers depend on, where a result has it."""


def noise_record(contents: Contents) -> dict[str, Any] | None:
    """A table for each quantity, the advice and what limits it; None without any of it."""
    if not (contents.noise or contents.no_noise):
        return None
    found: dict[str, Any] = {quantity: _values(d) for quantity, d in contents.noise.items()}
    if contents.no_noise:
        found["not_measured"] = dict(contents.no_noise)
    found["advice"] = advice_text(contents)
    found["caveats"] = list(caveats(contents))
    found["tails"] = tail_text(contents)
    return found


def _values(found: xr.Dataset) -> dict[str, Any]:
    """Variables by name: numbers, and lists along their dimensions; labels as they are."""
    labels = {str(k): v.values.tolist() for k, v in found.coords.items()}
    numbers = {str(k): _plain(v.values) for k, v in found.data_vars.items()}
    return {**labels, **numbers, **{k: found.attrs[k] for k in SETTINGS if k in found.attrs}}


def _plain(values: Any) -> Any:
    """Nested lists with ``None`` for what is not finite."""
    if np.ndim(values):
        return [_plain(v) for v in values]
    number = float(values)
    return number if math.isfinite(number) else None
