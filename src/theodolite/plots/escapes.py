"""Runs that leave a saddle: the distance and the loss over the steps, median and quartiles."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import SymmetricalLogLocator

from theodolite.plots import palette
from theodolite.plots.dress import dress, plain_ticks, require

NAMES = {
    "gradient": "gradient descent",
    "perturbed": "perturbed",
    "stochastic": "SGD",
    "isotropic": "isotropic noise",
}

FAR = 1e3
"""Ratio of losses beyond which one axis cannot show both on a linear scale."""


def plot_escape_distance(found: Sequence[xr.Dataset], ax: Axes) -> Axes:
    """Draw the distance of every kind of descent on a log axis, and linear theory; return `ax`.

    Lines are medians over runs, bands their quartiles; runs that have left stay where they left.
    Dotted lines in the same color are the quadratic model, up to the radius.
    """
    for k, runs in enumerate(found):
        color = _drawn(runs, "distance", k, ax)
        theory = runs["theory"].values.astype(np.float64)
        radius = float(runs.attrs["radius"])
        beyond = np.flatnonzero(~(theory <= radius))
        stop = beyond[0] + 1 if len(beyond) else len(theory)
        ax.plot(
            runs["step"].values[:stop],
            np.minimum(theory[:stop], radius),
            color=color,
            linestyle=":",
            linewidth=2.2,
            alpha=0.8,
        )
    ax.set_yscale("log")
    ax.plot([], [], color=palette.MUTED, linestyle=":", linewidth=2.2, label="linear theory")
    ax.set_ylabel("distance")
    return _finished(ax)


def plot_escape_rise(found: Sequence[xr.Dataset], ax: Axes) -> Axes:
    """Draw the loss above that of the saddle, median and quartiles over runs; return `ax`.

    The axis is linear, or where one kind of descent comes `FAR` times as far from the saddle as
    another logarithmic on both sides of zero.
    """
    for k, runs in enumerate(found):
        _drawn(runs, "rise", k, ax)
    ends = [float(np.abs(np.median(runs["rise"].values, axis=0)).max()) for runs in found]
    heights = [float(np.nanmax(np.abs(runs["rise"].values))) for runs in found]
    least = min((end for end in ends if end > 0), default=0.0)
    if least > 0 and max(heights) > FAR * least:
        ax.set_yscale("symlog", linthresh=float(f"{least:.0e}"))
        locator = ax.yaxis.get_major_locator()
        assert isinstance(locator, SymmetricalLogLocator)
        locator.set_params(numticks=7)
    ax.axhline(0.0, color=palette.RULE, linewidth=1.0, zorder=0)
    ax.set_ylabel("loss above the saddle's")
    plain_ticks(ax.yaxis)
    return _finished(ax)


def _drawn(runs: xr.Dataset, variable: str, index: int, ax: Axes) -> str:
    """The median and quartiles of one kind of descent; returns its color."""
    require(runs, "escape_time", "run", "step")
    values = runs[variable].values.astype(np.float64)
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
    color, step = palette.series_color(index), runs["step"].values
    ax.plot(
        step,
        middle,
        color=color,
        linestyle=palette.series_dash(index),
        linewidth=1.6,
        label=NAMES.get(str(runs.attrs["method"]), str(runs.attrs["method"])),
    )
    ax.fill_between(step, low, high, color=color, alpha=0.15, linewidth=0)
    return color


def _finished(ax: Axes) -> Axes:
    ax.set_xlim(left=0)
    ax.set_xlabel("step")
    plain_ticks(ax.xaxis)
    ax.legend(frameon=False, fontsize=9, labelcolor=palette.MUTED)
    return dress(ax)
