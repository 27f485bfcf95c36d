"""The loss along a trained curve over its length, beside that on the straight line."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from theodolite.plots import palette
from theodolite.plots.barriers import BAND
from theodolite.plots.dress import dress, legend_above, log_axis, plain_ticks, require
from theodolite.results import OK

DECADES = 30.0
"""Ratio of the highest to the lowest loss from which the axis is logarithmic."""

LABELS = ("curve", "curve, units matched")


def plot_path_profile(
    found: xr.Dataset,
    ax: Axes,
    *,
    line: xr.Dataset | None = None,
    aligned: xr.Dataset | None = None,
    variable: str = "loss",
) -> Axes:
    """Draw `variable` ("loss" or "test_loss") over the length of a curve, in straight lines.

    `aligned` is the curve to the second point with its units matched, over its own straight
    line; `line` the barrier on the straight line, which ends at one. Ends are marked; bands are
    two standard errors over examples; places that diverged break a line. The axis is logarithmic
    where losses differ by more than 30 times. Returns `ax`.
    """
    curves = [require(found, "curve", "t")]
    if aligned is not None:
        curves.append(require(aligned, "curve", "t"))
    drawn = []
    if line is not None:
        require(line, "barrier", "alpha")
        drawn.append(
            _draw(ax, line["alpha"].values, line, variable, palette.MUTED, "straight line")
        )
    for k, one in enumerate(curves):
        drawn.append(_draw(ax, lengths(one), one, variable, palette.series_color(k), LABELS[k]))
    values = np.concatenate(drawn)
    values = values[np.isfinite(values)]
    if values.size and values.min() > 0 and values.max() > DECADES * values.min():
        log_axis(ax.yaxis, float(values.min()), float(values.max()))
    else:
        plain_ticks(ax.yaxis)
    plain_ticks(ax.xaxis)
    ax.set_xlim(left=0)
    ax.set_xlabel("length of the path, in straight lines")
    ax.set_ylabel(variable.replace("_", " "))
    legend_above(ax, 3)
    return dress(ax)


def lengths(found: xr.Dataset) -> np.ndarray:
    """The length of a curve up to each place, over that of the straight line."""
    arc: np.ndarray = found["arc"].values.astype(np.float64)
    total = float(found["length"])
    return arc / total * float(found["length_ratio"]) if total > 0 else arc


def _draw(
    ax: Axes, x: np.ndarray, found: xr.Dataset, variable: str, color: str, label: str
) -> np.ndarray:
    ok = found["status"].values == OK
    values, errors = (
        np.where(ok, found[n].values.astype(np.float64), np.nan)
        for n in (variable, f"{variable}_error")
    )
    straight = "alpha" in found.dims
    ax.plot(
        x,
        values,
        color=color,
        linestyle=(0, (2, 2)) if straight else "-",
        linewidth=1.3 if straight else 1.8,
        label=label,
    )
    low, high = values - BAND * errors, values + BAND * errors
    low = np.where(low > 0, low, values) if np.nanmin(values) > 0 else low
    ax.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
    ax.plot(
        x[[0, -1]],
        values[[0, -1]],
        color=color,
        marker="o",
        markersize=5,
        markerfacecolor=color if not straight else "none",
        linestyle="none",
        clip_on=False,
    )
    return values
