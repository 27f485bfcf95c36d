"""The rise of the loss with distance: measured, and predicted to second order."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from theodolite.plots import palette
from theodolite.plots.dress import dress, plain_ticks, require
from theodolite.plots.height_scale import plain

BAND = 2.0
"""Half the height of a band, in standard errors over directions."""


def plot_rises(rises: xr.Dataset, ax: Axes) -> Axes:
    """Draw the mean measured and the mean predicted rise over the radius; return `ax`.

    Both axes are logarithmic; means that are not positive are left out. Bands are two standard
    errors over directions; where one reaches zero it ends at a twentieth of the mean. A dotted
    line marks the median trust radius: up to there the prediction is within 10 % in half of the
    directions.
    """
    require(rises, "predicted_rise", "direction", "radius")
    radius = rises["radius"].values.astype(np.float64)
    for name, label, color, dash in (
        ("measured", "measured", palette.series_color(0), "-"),
        ("predicted", "second order", palette.NEGATIVE, (0, (5, 3))),
    ):
        values = rises[name].values.astype(np.float64)
        mean, error = _mean_and_error(values)
        shown = np.isfinite(mean) & (mean > 0)
        ax.plot(radius[shown], mean[shown], color=color, linestyle=dash, linewidth=1.6, label=label)
        if values.shape[0] > 1 and shown.any():
            low = np.maximum(mean - BAND * error, mean / 20)
            ax.fill_between(
                radius[shown],
                low[shown],
                (mean + BAND * error)[shown],
                color=color,
                alpha=0.18,
                linewidth=0,
            )
    ax.set_xscale("log")
    if any(len(line.get_xdata()) for line in ax.get_lines()):  # type: ignore[arg-type]
        ax.set_yscale("log")
        plain_ticks(ax.yaxis)
    plain_ticks(ax.xaxis)
    trust = trust_radius(rises)
    if np.isfinite(trust):
        ax.axvline(trust, color=palette.MUTED, linestyle=":", linewidth=1.2)
        right = trust < float(np.sqrt(radius[0] * radius[-1]))
        ax.annotate(
            f"within 10 % up to {plain(float(f'{trust:.2g}'))}",
            (trust, 0.98),
            xycoords=("data", "axes fraction"),
            xytext=(4 if right else -4, 0),
            textcoords="offset points",
            ha="left" if right else "right",
            va="top",
            fontsize=9,
            color=palette.MUTED,
        )
    ax.set_xlabel("distance from the weights (Euclidean)")
    ax.set_ylabel("rise of the loss")
    ax.legend(frameon=False, fontsize=9, labelcolor=palette.MUTED, loc="lower right")
    return dress(ax)


def plot_rise_errors(rises: xr.Dataset, ax: Axes) -> Axes:
    """Draw the error of the prediction, in percent of the measured rise, over the radius.

    The line is the median over directions, the band from the lower to the upper quartile; radii
    at which a rise is lost in rounding are left out. A thin line marks 10 percent.
    """
    require(rises, "predicted_rise", "direction", "radius")
    radius = rises["radius"].values.astype(np.float64)
    error = rises["relative_error"].values.astype(np.float64)
    known = np.isfinite(error).all(axis=0)
    low, middle, high = np.quantile(100 * error[:, known], [0.25, 0.5, 0.75], axis=0)
    color, floor = palette.series_color(2), 1e-6
    ax.plot(radius[known], np.maximum(middle, floor), color=color, linewidth=1.6, label="median")
    ax.fill_between(
        radius[known],
        np.maximum(low, floor),
        np.maximum(high, floor),
        color=color,
        alpha=0.18,
        linewidth=0,
        label="quartiles",
    )
    ax.axhline(10, color=palette.MUTED, linestyle=":", linewidth=1.2)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(radius[0] / 1.5, radius[-1] * 1.5)
    bottom, top = ax.get_ylim()
    ax.set_ylim(min(1.0, bottom), max(100.0, top))
    plain_ticks(ax.xaxis)
    plain_ticks(ax.yaxis)
    ax.set_xlabel("distance from the weights (Euclidean)")
    ax.set_ylabel("error of the prediction, percent")
    ax.legend(frameon=False, fontsize=9, labelcolor=palette.MUTED, loc="upper left")
    return dress(ax)


def trust_radius(rises: xr.Dataset) -> float:
    """The distance that half of the directions can be trusted to; NaN where most have none."""
    known = np.nan_to_num(rises["trust_radius"].values.astype(np.float64))
    middle = float(np.quantile(known, 0.5, method="lower"))
    return middle or float("nan")


def _mean_and_error(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error over directions; NaN where a direction diverged."""
    count = len(values)
    mean = values.mean(axis=0)
    spread = values.std(axis=0, ddof=1) if count > 1 else np.full(mean.shape, np.nan)
    return mean, spread / np.sqrt(count)
