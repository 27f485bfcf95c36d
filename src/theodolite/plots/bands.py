"""Losses along an elastic band, with its pivots and its saddle."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from theodolite.plots import palette
from theodolite.plots.barriers import BAND, SPLITS, values_of
from theodolite.plots.dress import dress, legend_above, log_axis, plain_ticks, require
from theodolite.plots.height_scale import plain


def plot_elastic_band(
    found: xr.Dataset,
    ax: Axes,
    *,
    variable: str = "loss",
    line: xr.Dataset | None = None,
    log: bool = False,
) -> Axes:
    """Draw `variable` ("loss", or "error" in percent) along the band, from a to b.

    Training is solid, test dashed, each with a band of two standard errors over examples. Dots are
    the pivots, the diamond is the highest place, with its interval, and triangles are peaks that
    climbed; the dotted level is the higher end. `line` is a result of `barrier` between the same
    ends, drawn thinly in gray. Returns `ax`.
    """
    require(found, "elastic_band", "t")
    if line is not None:
        require(line, "barrier", "alpha")
        straight = values_of(line, variable, "")
        if straight is not None:
            alpha, gray = line["alpha"].values, palette.GAP
            ax.plot(alpha, straight[0], color=gray, linewidth=1.2, label="straight line")
    drawn = [_draw(ax, found, variable, prefix, split) for prefix, split in SPLITS.items()]
    own = drawn[0]
    if own is not None:
        _marks(ax, found, own, variable)
    if log:
        values = np.concatenate([d for d in drawn if d is not None])
        log_axis(ax.yaxis, float(np.nanmin(values)), float(np.nanmax(values)))
    else:
        plain_ticks(ax.yaxis)
    plain_ticks(ax.xaxis)
    ax.set_xlim(0, 1)
    ax.set_xlabel("share of the band's length, from a to b")
    ax.set_ylabel("loss" if variable == "loss" else "wrong answers, percent")
    if variable == "error":
        ax.set_ylim(bottom=0)
    legend_above(ax, 3)
    return dress(ax)


def _draw(ax: Axes, found: xr.Dataset, variable: str, prefix: str, split: str) -> np.ndarray | None:
    curve = values_of(found, variable, prefix)
    if curve is None:
        return None
    values, errors = curve
    t, color = found["t"].values, palette.series_color(0)
    dash = (0, (5, 2)) if prefix else "-"
    ax.plot(t, values, color=color, linestyle=dash, linewidth=1.7, label=split)
    low, high = values - BAND * errors, values + BAND * errors
    ax.fill_between(t, low, high, color=color, alpha=0.15, linewidth=0)
    return values


def _marks(ax: Axes, found: xr.Dataset, values: np.ndarray, variable: str) -> None:
    """Pivots, the highest place, the level of the higher end and the peaks that climbed."""
    t, pivots = found["t"].values, found["pivot_t"].values
    dots: dict[str, Any] = {"linestyle": "none", "clip_on": False}
    color = palette.series_color(0)
    heights = np.interp(pivots, t, values)
    ax.plot(pivots, heights, marker="o", markersize=3.5, color=color, label="pivots", **dots)
    level = float(np.nanmax(values[[0, -1]]))
    ax.plot([0, 1], [level, level], color=color, linestyle=":", linewidth=0.9, alpha=0.8)
    if variable != "loss":
        return
    if "peak_t" in found:
        climbed: dict[str, Any] = {"marker": "^", "markersize": 9, "markerfacecolor": "white"}
        places, losses = found["peak_t"].values, found["peak_loss"].values
        ax.plot(places, losses, color=color, label="climbed", **climbed, **dots)
    top = float(found["saddle_loss"])
    if math.isfinite(top):
        low, high = (_short(float(found[f"saddle_loss_{end}"])) for end in ("low", "high"))
        label = f"highest {_short(top)} ({low} to {high})"
        place = float(found["saddle_t"])
        ax.plot([place], [top], marker="D", markersize=5, color=palette.INK, label=label, **dots)


def _short(value: float) -> str:
    return plain(float(f"{value:.3g}"))
