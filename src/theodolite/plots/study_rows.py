"""Optimizers side by side: a row each, a dot with its interval, and the single seeds."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from theodolite.plots import palette
from theodolite.plots.dress import dress, log_axis, require
from theodolite.plots.study_scatter import NAMES, percent_axis

OPTIMIZER_NAMES = {
    "sgd": "SGD",
    "gd": "full batch",
    "gd_batch_noise": "full batch, batch noise",
    "gd_isotropic_noise": "full batch, isotropic noise",
    "sam": "SAM",
    "adam": "Adam",
}


def plot_optimizers(study: xr.Dataset, ax: Axes, *, measure: str = "largest_eigenvalue") -> Axes:
    """Draw a measure of every optimizer: mean, 95 % interval, and each seed as a ring.

    Sharpness is on a log axis, the test error in percent from zero. Only runs that are compared
    are drawn; an optimizer without one has an empty row that says so. Raises `InvalidArgument`
    for another result.
    """
    require(study, "optimizer_study", "optimizer", "seed")
    names = study["optimizer"].values.tolist()
    at = study.sel(measure=measure)
    for k, name in enumerate(names):
        run = study.sel(optimizer=name)
        keep = (run["compared"].values == 1) & np.isfinite(run[measure].values)
        values, row = run[measure].values[keep], len(names) - 1 - k
        color = palette.series_color(0 if k == 0 else 1)
        if not len(values):
            ax.text(
                0.02,
                row,
                "not at the loss",
                transform=ax.get_yaxis_transform(),
                va="center",
                fontsize=9,
                color=palette.MUTED,
            )
            continue
        ax.plot(
            values,
            np.full(len(values), row),
            linestyle="",
            marker="o",
            markersize=5,
            markerfacecolor="none",
            markeredgecolor=palette.MUTED,
            markeredgewidth=0.9,
        )
        mean, low, high = (
            float(at["mean" + end].sel(optimizer=name)) for end in ("", "_low", "_high")
        )
        if np.isfinite(mean):
            ax.plot([low, high], [row, row], color=color, linewidth=1.6)
            ax.plot([mean], [row], color=color, marker="D", markersize=6)
    ax.set_yticks(range(len(names)), [OPTIMIZER_NAMES.get(n, n) for n in reversed(names)])
    ax.set_ylim(-0.6, len(names) - 0.4)
    _scale(study, ax, measure)
    return dress(ax)


def _scale(study: xr.Dataset, ax: Axes, measure: str) -> None:
    """Percent from zero for the test error; else a log axis about the seeds' values."""
    if measure == "test_error":
        ax.set_xlim(left=0)
        percent_axis(ax.xaxis)
        ax.set_xlabel("test error")
        return
    values = study[measure].where(study["compared"] == 1).values
    values = values[np.isfinite(values) & (values > 0)]
    low, high = (values.min() / 2.5, values.max() * 2.5) if values.size else (1.0, 10.0)
    log_axis(ax.xaxis, low, high)
    ax.set_xlim(low, high)
    ax.set_xlabel(NAMES.get(measure, measure))
