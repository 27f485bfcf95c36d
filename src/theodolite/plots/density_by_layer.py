"""Spectra of layers as small pictures that share both axes."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from theodolite.plots import palette
from theodolite.plots.dress import dress, plain_ticks, require
from theodolite.plots.spectral_density import decade_ticks

MOST_TICKS = 2
"""Powers of ten marked on each side of zero."""

CLOSEST = 0.28
"""Least distance of two marks, as a share of the width: a label such as -0.001 takes that much."""


def layer_densities(layers: xr.Dataset) -> list[tuple[str, xr.Dataset]]:
    """Each layer that is done as its name and a result like that of ``spectral_density``."""
    require(layers, "layer_spectra", "layer", "probe", "step")
    found = []
    for k in range(layers.sizes["layer"]):
        at = layers.isel(layer=k)
        if not np.isfinite(at["node"].values).all():
            continue
        own = xr.Dataset({n: (("probe", "step"), at[n].values) for n in ("node", "weight")})
        notes = {"quantity": "spectral_density", "size": int(at["size"])}
        found.append((str(at["layer"].values), own.assign_attrs(notes)))
    return found


def draw_layer_curve(curve: xr.Dataset, ax: Axes, *, ends: tuple[float, float]) -> Axes:
    """Draw one smoothed density on axes shared with its neighbors; return `ax`.

    `curve` is one of ``smooth_together(..., scale="log")`` and `ends` the vertical range. The
    line is the mean over probes, the band their smallest and largest, shaded below zero.
    """
    value, each = curve["eigenvalue"].values, curve["density"].values
    floor, top = ends
    mean, low, high = (np.maximum(f(each, axis=0), floor) for f in (np.mean, np.min, np.max))
    ax.fill_between(value, low, high, color=palette.MUTED, alpha=0.25, linewidth=0)
    ax.fill_between(
        value, floor, mean, where=value < 0, color=palette.NEGATIVE, alpha=0.45, linewidth=0
    )
    ax.plot(value, mean, color=palette.INK, linewidth=1.2)
    ax.axvline(0.0, color=palette.RULE, linewidth=1)
    ax.set_yscale("log")
    ax.set_ylim(floor, top)
    smallest = float(curve.attrs["floor"])
    ax.set_xscale("asinh", linear_width=2 * smallest, base=100)
    ax.set_xlim(float(value[0]), float(value[-1]))
    ticks = decade_ticks(smallest, float(value[0]), float(value[-1]), MOST_TICKS)
    ax.set_xticks(apart(ticks, ax))
    for axis in (ax.xaxis, ax.yaxis):
        plain_ticks(axis)
    dress(ax)
    ax.tick_params(labelsize=7.5, length=2, pad=2)
    return ax


def apart(ticks: list[float], ax: Axes) -> list[float]:
    """Those of `ticks` whose labels do not touch: the largest first, zero last."""
    place = ax.transScale + ax.transLimits
    kept: dict[float, float] = {}
    for tick in sorted(ticks, key=lambda t: (-abs(t), -t)):
        at = float(place.transform((tick, 1.0))[0])
        if all(abs(at - other) >= CLOSEST for other in kept.values()):
            kept[tick] = at
    return sorted(kept)
