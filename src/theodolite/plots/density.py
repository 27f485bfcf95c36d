"""Spectra as curves that can be compared: one kernel and one grid for all that are drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from theodolite.curvature.smoothing import Scale, negative_mass, smooth
from theodolite.plots.dress import require

BULK, HIDDEN = 0.9, 0.05
"""A linear axis hides the bulk when 90 % of the weight lies within 5 % of the largest node."""
FLOOR_SHARE = 0.2
"""A density is drawn down to this share of what one single eigenvalue contributes."""


def smooth_together(
    densities: Sequence[xr.Dataset],
    *,
    scale: Scale = "linear",
    width: float | None = None,
    points: int = 700,
) -> list[xr.Dataset]:
    """Smooth several spectral densities with one kernel on one grid.

    They are smoothed by ``curvature.smooth`` as if their probes were one result's, so range,
    kernel and axis are shared and equal heights mean equal densities. Returns one
    ``density(probe, eigenvalue)`` each, with the attributes of its own operator.
    """
    complete = [finished(d) for d in densities]
    if not complete:
        return []
    steps = max(d.sizes["step"] for d in complete)
    node, weight = (np.concatenate([_padded(d, v, steps) for d in complete]) for v in _NAMES)
    dims = ("probe", "step")
    joined = xr.Dataset(
        {"node": (dims, node), "weight": (dims, weight)}, attrs={"quantity": "spectral_density"}
    )
    curve = smooth(joined, scale=scale, width=width, points=points)
    out, first = [], 0
    for one in complete:
        last = first + one.sizes["probe"]
        own = curve.isel(probe=slice(first, last))
        out.append(own.assign_attrs({**one.attrs, **curve.attrs}))
        first = last
    return out


def finished(density: xr.Dataset) -> xr.Dataset:
    """`density` without the probes that were not computed."""
    require(density, "spectral_density", "probe", "step")
    kept = density[list(_NAMES)].transpose("probe", "step").dropna("probe")
    return kept.assign_attrs(density.attrs)


def wide_spread(densities: Sequence[xr.Dataset]) -> bool:
    """Whether a linear axis would hide the bulk of any of `densities`."""
    for density in map(finished, densities):
        size = np.abs(density["node"].values).ravel()
        weight = density["weight"].values.ravel()
        if not size.size or size.max() == 0:
            continue
        order = np.argsort(size)
        share = np.cumsum(weight[order]) / weight.sum()
        bulk = size[order][min(int(np.searchsorted(share, BULK)), size.size - 1)]
        if bulk < HIDDEN * size.max():
            return True
    return False


def negative_share(density: xr.Dataset) -> np.ndarray:
    """The weight below zero, a value a probe; see ``curvature.negative_mass``."""
    return np.asarray(negative_mass(finished(density))["sample"].values)


def density_floor(curve: xr.Dataset) -> float:
    """The lowest density drawn: below it there is less than a fifth of one eigenvalue.

    What lies lower is the kernel's tail, not the spectrum. Without a recorded size, nine decades
    below the peak.
    """
    peak = float(curve["density"].max())
    size = float(curve.attrs.get("size", 0))
    if size <= 0:
        return peak * 1e-9
    one = 1.0 / (size * float(curve.attrs["kernel"]) * np.sqrt(2 * np.pi))
    return float(min(FLOOR_SHARE * one, 0.1 * peak))


_NAMES = ("node", "weight")


def _padded(density: xr.Dataset, name: str, steps: int) -> np.ndarray:
    """The values with rows of `steps`: the last node repeated, with no weight."""
    values = density[name].values.astype(np.float64)
    short = ((0, 0), (0, steps - values.shape[1]))
    return np.pad(values, short, mode="edge" if name == "node" else "constant")
