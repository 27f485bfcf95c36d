"""Persistence pairs as bars: each minimum from its own height to the saddle where it ends."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from theodolite.plots import palette
from theodolite.plots.dress import dress, plain_ticks, require

MOST_BARS = 20
"""Bars beyond these, the shortest, are counted in the title and not drawn."""


def plot_barcode(topology: xr.Dataset, ax: Axes, *, log: bool | None = None) -> Axes:
    """Draw the most persistent pairs of `topology` as bars over the loss; return `ax`.

    A bar begins at the minimum (a circle, hollow on the border of the grid) and ends at its
    saddle; that of the lowest minimum runs on beyond all saddles, with an arrow. Bars within two
    standard errors are thin and gray. `log` is chosen by the range.
    """
    require(topology, "topology", "pair")
    shown = topology.isel(pair=slice(0, MOST_BARS))
    birth, death = shown["birth"].values, shown["death"].values
    log = wide(topology) if log is None else log
    top = ceiling(topology, log)
    for k in range(len(birth)):
        _bar(ax, k + 1, float(birth[k]), float(min(death[k], top)), shown.isel(pair=k))
    if log:
        ax.set_xscale("log")
        plain_ticks(ax.xaxis)
    ax.set_ylim(len(birth) + 0.7, 0.3)
    ax.set_yticks(range(1, len(birth) + 1, max(1, len(birth) // 6)))
    ax.set_xlabel(str(topology.attrs.get("variable", "loss")).replace("_", " "))
    ax.set_ylabel("minimum, most persistent first")
    left = topology.sizes["pair"] - len(birth)
    if left:
        ax.set_title(f"{left:,} shorter bars are not drawn")
    return dress(ax)


def wide(topology: xr.Dataset) -> bool:
    """Whether the heights span more than two decades above zero."""
    low, high = float(topology.attrs["lowest"]), float(topology.attrs["highest"])
    return low > 0 and high > 100 * low


def ceiling(topology: xr.Dataset, log: bool) -> float:
    """Where a bar that meets no saddle ends in the picture: a little above the highest saddle.

    The greatest height measured may lie thousands of times above; it serves where there is no
    saddle, and on a log scale, which has room for it.
    """
    highest, lowest = float(topology.attrs["highest"]), float(topology.attrs["lowest"])
    death = topology["death"].values
    ends = death[np.isfinite(death)]
    if log or not ends.size:
        return highest
    return min(highest, float(ends.max()) + 0.3 * (float(ends.max()) - lowest))


def _bar(ax: Axes, row: int, low: float, high: float, pair: xr.Dataset) -> None:
    sure, runs_on = bool(pair["significant"]), not np.isfinite(float(pair["death"]))
    color = palette.POSITIVE if sure else palette.GAP
    width = 3.0 if sure else 1.2
    ax.plot([low, high], [row, row], color=color, linewidth=width, solid_capstyle="butt")
    hollow = bool(pair["at_edge"])
    ax.plot(
        [low],
        [row],
        marker="o",
        markersize=6,
        color=color,
        markerfacecolor="none" if hollow else color,
    )
    if runs_on:
        ax.plot([high], [row], marker=">", markersize=7, color=color)
