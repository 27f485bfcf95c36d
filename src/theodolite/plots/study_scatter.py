"""The ends of trainings as points: sharpness over temperature, and test error over sharpness."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.ticker import FuncFormatter

from theodolite.plots import palette
from theodolite.plots.dress import dress, log_axis, plain_ticks, require
from theodolite.plots.study_grid import cell_means, color_scale

MARKS = ("o", "s", "^", "D", "v", "P", "X", "<")
NAMES = {
    "largest_eigenvalue": "largest eigenvalue",
    "trace": "trace of the Hessian",
    "adaptive_sharpness": "adaptive sharpness",
}


def plot_collapse(study: xr.Dataset, ax: Axes, *, measure: str = "largest_eigenvalue") -> Axes:
    """Draw sharpness over learning rate by batch size, a mark a cell; return `ax`.

    Every batch size has its own color and mark; points of one curve mean that the ratio alone
    decides. The mark is the geometric mean over the seeds compared, the bar their range. Both axes
    are logarithmic. Raises `InvalidArgument` for another result.
    """
    require(study, "batch_size_study", "batch_size", "seed", "learning_rate")
    heat = study["temperature"].transpose("batch_size", "learning_rate").values
    means, _ = cell_means(study, measure)
    ordered = study.transpose("batch_size", "learning_rate", "seed", ...)
    each = np.where(ordered["compared"].values == 1, ordered[measure].values, np.nan)
    for k, size in enumerate(study["batch_size"].values):
        there = np.isfinite(means[k])
        color = palette.series_color(k)
        ax.plot(
            heat[k][there],
            means[k][there],
            color=color,
            marker=MARKS[k % len(MARKS)],
            markersize=6,
            linewidth=1.0,
            linestyle=palette.series_dash(k),
            label=f"{int(size):,}",
        )
        for x, values in zip(heat[k][there], each[k][there], strict=True):
            ax.plot([x, x], [np.nanmin(values), np.nanmax(values)], color=color, linewidth=1.0)
    log_axis(ax.xaxis, *ax.xaxis.get_data_interval())
    log_axis(ax.yaxis, *ax.yaxis.get_data_interval())
    ax.set_xlabel("learning rate / batch size")
    ax.set_ylabel(NAMES.get(measure, measure))
    legend = ax.legend(
        title="batch size", frameon=False, fontsize=9, title_fontsize=9, labelcolor=palette.MUTED
    )
    legend.get_title().set_color(palette.MUTED)
    return dress(ax)


def plot_sharpness_error(
    study: xr.Dataset, ax: Axes, *, measure: str = "largest_eigenvalue"
) -> Axes:
    """Draw the test error over sharpness, a point a training, colored by temperature.

    The mark tells the batch size as in `plot_collapse`. Raises as `plot_collapse`.
    """
    require(study, "batch_size_study", "batch_size", "seed", "learning_rate")
    full = study["temperature"].broadcast_like(study["compared"])
    norm = color_scale(full.values[full.values > 0], log=True)
    colors = mpl.colormaps[palette.SURFACE]
    for k, size in enumerate(study["batch_size"].values):
        run = study.isel(batch_size=k)
        keep = (run["compared"].values == 1) & np.isfinite(run[measure].values)
        heat = full.isel(batch_size=k).transpose(*run["compared"].dims).values[keep]
        ax.scatter(
            run[measure].values[keep],
            run["test_error"].values[keep],
            c=[colors(norm(t)) for t in heat],
            marker=MARKS[k % len(MARKS)],
            s=34,
            edgecolors=palette.MUTED,
            linewidths=0.5,
            label=f"{int(size):,}",
        )
    log_axis(ax.xaxis, *ax.xaxis.get_data_interval())
    percent_axis(ax.yaxis)
    ax.set_xlabel(NAMES.get(measure, measure))
    ax.set_ylabel("test error")
    bar = ax.figure.colorbar(ScalarMappable(norm, palette.SURFACE), ax=ax, pad=0.02)
    bar.set_label("learning rate / batch size", color=palette.INK, fontsize=10)
    bar.outline.set_visible(False)
    plain_ticks(bar.ax.yaxis)
    bar.ax.tick_params(color=palette.RULE, labelcolor=palette.MUTED, labelsize=9)
    return dress(ax)


def percent_axis(axis: Axis) -> None:
    """A share in percent, without zeros that say nothing."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))
