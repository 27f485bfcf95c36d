"""A grid of batch sizes and learning rates as a heat map with its numbers written in."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.patches import Rectangle

from theodolite.plots import palette
from theodolite.plots.dress import dress, require
from theodolite.plots.height_scale import plain

PERCENT = ("test_error",)
"""Shares, shown in percent and averaged as they are; others are averaged in the logarithm."""


def plot_study_grid(study: xr.Dataset, ax: Axes, *, variable: str = "test_error") -> Axes:
    """Draw a number of every cell, averaged over the seeds that are compared; return `ax`.

    Rates run to the right, batch sizes upward; the color is cividis, on a log scale where values
    are not shares. Cells without any compared seed are hatched, and a small number below the
    value says how many seeds it is the mean of where some are missing. Raises `InvalidArgument`
    for another result.
    """
    require(study, "batch_size_study", "batch_size", "seed", "learning_rate")
    values, counts = cell_means(study, variable)
    known = values[np.isfinite(values)]
    norm = color_scale(known, log=variable not in PERCENT)
    colors = mpl.colormaps[palette.SURFACE]
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            value, count = values[i, j], counts[i, j]
            there = bool(np.isfinite(value))
            shade = colors(norm(value)) if there else "none"
            ax.add_patch(
                Rectangle(
                    (j - 0.48, i - 0.48),
                    0.96,
                    0.96,
                    facecolor=shade,
                    edgecolor="none" if there else palette.GAP,
                    hatch=None if there else "////",
                    linewidth=0,
                )
            )
            if there:
                few = f"\n{count} of {study.sizes['seed']}"
                text = written(value, variable) + (few if count < study.sizes["seed"] else "")
                dark = palette.ON_FIELD if light_color(shade) else "#ffffff"
                ax.text(j, i, text, ha="center", va="center", fontsize=9, color=dark)
    _labels(study, ax)
    return dress(ax)


def cell_means(study: xr.Dataset, variable: str) -> tuple[np.ndarray, np.ndarray]:
    """Means over (batch_size, learning_rate) of the seeds compared, and how many there are."""
    ordered = study.transpose("batch_size", "learning_rate", "seed", ...)
    values = ordered[variable].values.astype(np.float64)
    keep = (ordered["compared"].values == 1) & np.isfinite(values)
    if variable not in PERCENT:
        keep &= values > 0
    counts = keep.sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        shown = values if variable in PERCENT else np.log(values)
        means = np.where(keep, shown, 0.0).sum(-1) / counts
        means = means if variable in PERCENT else np.exp(means)
    return np.where(counts > 0, means, np.nan), counts


def color_scale(values: np.ndarray, *, log: bool) -> Normalize:
    """From the smallest to the largest value; a single value lies in the middle."""
    if not values.size:
        return Normalize(0.0, 1.0)
    low, high = float(values.min()), float(values.max())
    if low == high:
        low, high = low * 0.9 - 1e-12, high * 1.1 + 1e-12
    return LogNorm(low, high) if log and low > 0 else Normalize(low, high)


def written(value: float, variable: str) -> str:
    """A cell's number: percent for shares.

    >>> written(0.034, "test_error"), written(12.345, "trace")
    ('3.4 %', '12.3')
    """
    return f"{100 * value:.2g} %" if variable in PERCENT else plain(float(f"{value:.3g}"))


def light_color(color: tuple[float, ...] | str) -> bool:
    """Whether dark text has more contrast than white on a color (relative luminance, WCAG)."""
    parts = [float(v) for v in color[:3]]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.19


def _labels(study: xr.Dataset, ax: Axes) -> None:
    rates, sizes = study["learning_rate"].values, study["batch_size"].values
    ax.set_xticks(range(len(rates)), [plain(float(f"{r:.3g}")) for r in rates])
    ax.set_yticks(range(len(sizes)), [f"{int(b):,}" for b in sizes])
    ax.set_xlim(-0.5, len(rates) - 0.5)
    ax.set_ylim(-0.5, len(sizes) - 0.5)
    ax.set_xlabel("learning rate")
    ax.set_ylabel("batch size")
