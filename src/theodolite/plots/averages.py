"""Members, their average and their ensemble: losses with intervals, a row for each network."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from theodolite.errors import InvalidArgument
from theodolite.plots import palette
from theodolite.plots.dress import dress, legend_above, log_axis

SPLITS = {
    "loss": ("training", "o"),
    "validation_loss": ("selection", "s"),
    "test_loss": ("test", "D"),
}
"""Losses in the picture: whose data, and their mark."""

APART = 0.2
"""Rows between the marks of two data sets."""

DECADES = 30.0
"""Ratio of the largest to the smallest number from which the axis is logarithmic."""


def plot_averages(found: xr.Dataset, ax: Axes) -> Axes:
    """Draw every network's losses with their intervals: members, the average, the ensemble.

    A row a network, a mark a data set; what is not a member stands below a thin rule. The axis is
    logarithmic where losses differ by more than 30 times. Raises `InvalidArgument` for a result
    that `average` or `soup` did not make (E-S53). Returns `ax`.
    """
    if found.attrs.get("quantity") not in ("average", "soup") or "loss" not in found:
        raise InvalidArgument(
            f"this plot draws a result of average or soup; got {found.attrs.get('quantity')!r}.",
            fix="pass what td.average or td.soup returned.",
            code="E-S53",
        )
    names = [str(n) for n in found["network"].values]
    there = [n for n in SPLITS if n in found]
    for k, name in enumerate(there):
        _marks(found, ax, name, len(names), (k - (len(there) - 1) / 2) * -APART, k)
    ax.set_yticks(range(len(names)), reversed(names))
    ax.set_ylim(-0.6, len(names) - 0.4)
    members = sum(1 for n in names if n in {str(m) for m in found["first"].values})
    ax.axhline(len(names) - members - 0.5, color=palette.RULE, linewidth=0.8)
    ax.set_xlabel(f"loss, with {100 * float(found.attrs['level']):g} % intervals")
    _scale(found, ax, there)
    dress(ax)
    if len(there) > 1:
        legend_above(ax, len(there))
    return ax


def _marks(found: xr.Dataset, ax: Axes, name: str, rows: int, shift: float, series: int) -> None:
    """The numbers of one data set, with their intervals."""
    split, marker = SPLITS[name]
    color = palette.series_color(series)
    values = found[name].values
    places = rows - 1 - np.arange(rows) + shift
    low, high = (found[name + end].values for end in ("_low", "_high"))
    known = np.isfinite(low) & np.isfinite(high) & np.isfinite(values)
    ax.hlines(places[known], low[known], high[known], color=color, linewidth=1.6)
    ax.plot(
        values,
        places,
        linestyle="none",
        marker=marker,
        markersize=6,
        color=color,
        markerfacecolor=color if series == 0 else "none",
        label=f"{split} data",
        gid=name,
    )


def _scale(found: xr.Dataset, ax: Axes, names: list[str]) -> None:
    """Linear, or logarithmic where the numbers lie far apart."""
    values = np.concatenate([found[n].values for n in names])
    values = values[np.isfinite(values)]
    lows = np.concatenate([found[f"{n}_low"].values for n in names])
    least = min(values.min(), np.nanmin(lows)) if np.isfinite(lows).any() else values.min()
    if least > 0 and values.max() > DECADES * values.min():
        log_axis(ax.xaxis, float(least), float(values.max()))
