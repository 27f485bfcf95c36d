"""The shape of a surface as rows: the mean over planes with its error, and the other errors."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import xarray as xr

from theodolite.shapes.planes import PER_LEVEL, PER_PLANE

COUNTS = ("minima", "minima_found", "maxima", "saddles")
PERCENT = ("area_share", "roughness", "log_roughness", "bend_share")
CUT_BY = {
    "area": "area_open",
    "area_share": "area_open",
    "width_mean": "width_open",
    "width_least": "width_least_open",
    "width_greatest": "width_open",
}
"""What says of a statistic that the plane's border made it too small."""


@dataclass(frozen=True)
class Row:
    """One statistic: its mean over planes and their standard error (None for one plane).

    ``example_error`` and ``grid_error`` are the largest over planes, None where unknown;
    ``at_least`` says that the plane's border cut it off; ``samples`` are the planes' own.
    """

    name: str
    label: str
    level: str
    value: float
    planes_error: float | None
    example_error: float | None
    grid_error: float | None
    unit: str
    at_least: bool
    samples: tuple[float, ...]


def over_planes(found: xr.Dataset) -> list[Row]:
    """Every statistic of what `shape` returned, over the planes that are complete.

    >>> from theodolite.results import dataset
    >>> one = dataset("shape", {"roughness": (("plane",), [0.1, 0.3], {"long_name": "r"})})
    >>> row = over_planes(one)[0]
    >>> round(row.value, 12), round(row.planes_error, 12), row.unit
    (20.0, 10.0, '%')
    """
    rows = []
    for name in PER_LEVEL:
        if name in found and not name.endswith("_open"):
            for level in found["level"].values.tolist():
                rows.append(_row(found.sel(level=level), name, str(level)))
    rows += [_row(found, name, "") for name in PER_PLANE if name in found]
    return [row for row in rows if row.samples]


def _row(found: xr.Dataset, name: str, level: str) -> Row:
    factor = 100.0 if name in PERCENT else 1.0
    notes = found[name].attrs
    samples = factor * _finite(found, name)
    count = len(samples)
    return Row(
        name,
        str(notes["long_name"]),
        level,
        float(samples.mean()) if count else math.nan,
        float(samples.std(ddof=1) / math.sqrt(count)) if count > 1 else None,
        _largest(found, f"{name}_error", factor),
        _largest(found, f"{name}_grid_error", factor),
        "%" if name in PERCENT else str(notes.get("units", "")),
        _cut(found, name),
        tuple(samples.tolist()),
    )


def _cut(found: xr.Dataset, name: str) -> bool:
    """Whether the border of some plane came before the level."""
    mark = CUT_BY.get(name, "")
    return bool(mark in found and (_finite(found, mark) > 0).any())


def _finite(found: xr.Dataset, name: str) -> np.ndarray:
    values = found[name].values.astype(np.float64).reshape(-1)
    return values[np.isfinite(values)]


def _largest(found: xr.Dataset, name: str, factor: float) -> float | None:
    values = factor * _finite(found, name) if name in found else np.empty(0)
    return float(values.max()) if len(values) else None
