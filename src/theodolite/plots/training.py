"""The history of training: train solid, test dashed."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from theodolite.plots import palette
from theodolite.plots.dress import dress, long_name, plain_ticks
from theodolite.plots.height_scale import finite_values


def plot_training(
    history: xr.Dataset,
    ax: Axes,
    *,
    variable: str = "loss",
    label: str = "",
    series: int = 0,
    log: bool | None = None,
) -> Axes:
    """Draw `variable` and, where recorded, ``test_<variable>`` over epochs; return `ax`.

    Bands of two standard errors are over examples, where they were recorded; over seeds one run
    has no error bar, and the title says so. `log` is decided by the range when ``None``.
    """
    name = long_name(history, variable)
    color = palette.series_color(series)
    prefix = f"{label}: " if label else ""
    pairs = [(variable, "solid", "train"), (f"test_{variable}", "dashed", "test")]
    drawn = [(n, dash, split) for n, dash, split in pairs if n in history]
    for key, dash, split in drawn:
        ax.plot(
            history["epoch"].values,
            history[key].values.astype(np.float64),
            color=color,
            linestyle=dash,
            linewidth=1.6,
            label=prefix + split,
        )
        if f"{key}_error" in history:
            values, half = history[key].values, 2 * history[f"{key}_error"].values
            ax.fill_between(
                history["epoch"].values,
                values - half,
                values + half,
                color=color,
                alpha=0.2,
                linewidth=0,
            )
    if log is None:
        values = np.concatenate([finite_values(history, key) for key, _, _ in drawn])
        log = bool(values.size and values.min() > 0 and values.max() > 100 * values.min())
    if log:
        ax.set_yscale("log")
        plain_ticks(ax.yaxis)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("epoch")
    ax.set_ylabel(name)
    ax.set_title("one run: no error bar over seeds")
    ax.legend(frameon=False, fontsize=9, labelcolor=palette.MUTED)
    return dress(ax)
