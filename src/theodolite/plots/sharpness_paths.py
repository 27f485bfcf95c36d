"""Sharpness and loss along gradient descent at several rates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from theodolite.plots import palette
from theodolite.plots.dress import dress, log_axis, require
from theodolite.plots.height_scale import plain

POINTS = 400
"""A line of more values is drawn by the lowest and the highest of so many stretches."""

WIDE = 30.0
"""Values that span more than this factor are drawn on a log scale."""


BEGUN = 0.75
"""A curve that begins above this share of its threshold has the threshold's name below it."""


def plot_sharpness_paths(found: xr.Dataset, ax: Axes) -> Axes:
    """Draw the largest eigenvalue over steps for every rate, and its threshold; return `ax`.

    A rate has one color and dash; runs from other starts are thinner lines of the same kind. A
    threshold is a thin line with the rate written at it.
    """
    require(found, "edge_of_stability", "run", "time")
    times, drawn = found["time"].values, []
    rates, seen = distinct_rates(found), set()
    for k in range(found.sizes["run"]):
        rate = float(found["rate"].values[k])
        if not math.isfinite(rate):
            continue
        kind = rates.index(_key(rate))
        values = found["eigenvalue"].values[k, :, 0].astype(np.float64)
        limit = float(found["threshold"].values[k])
        _line(ax, times, values, kind, "", first=kind not in seen)
        if kind not in seen:
            begun = bool(values[0] > BEGUN * limit)
            _threshold(ax, limit, kind, f"threshold at rate {_short(rate)}", below=begun)
        seen.add(kind)
        drawn += [values[np.isfinite(values)], np.array([1.06 * limit])]
    ax.set_ylabel("largest eigenvalue")
    ax.set_xlim(right=float(times[-1]))
    return _finished(ax, drawn)


def _threshold(ax: Axes, limit: float, kind: int, name: str, *, below: bool) -> None:
    """A thin line with its name at the left, on the side where its curve does not begin."""
    color = palette.series_color(kind)
    ax.axhline(limit, color=color, linewidth=0.8, alpha=0.75)
    ax.annotate(
        name,
        (0.0, limit),
        xycoords=("axes fraction", "data"),
        xytext=(4, -2 if below else 2),
        textcoords="offset points",
        ha="left",
        va="top" if below else "bottom",
        fontsize=8.5,
        color=color,
    )


def plot_descent_losses(found: xr.Dataset, ax: Axes) -> Axes:
    """Draw the loss over steps for every rate, on a log scale where it spans much; return `ax`.

    Long lines are drawn by the lowest and highest value of each stretch, so that swings from
    step to step show as a band.
    """
    require(found, "edge_of_stability", "run", "step")
    rates, drawn, seen = distinct_rates(found), [], set()
    for k in range(found.sizes["run"]):
        rate = float(found["rate"].values[k])
        if not math.isfinite(rate):
            continue
        color = rates.index(_key(rate))
        loss = found["loss"].values[k].astype(np.float64)
        steps, values = envelope(found["step"].values, loss)
        label = "" if color in seen else f"rate {_short(rate)}"
        _line(ax, steps, values, color, label, first=color not in seen)
        seen.add(color)
        drawn.append(values[np.isfinite(values)])
    ax.set_ylabel("loss")
    ax.set_xlim(right=float(found["step"].values[-1]))
    return _finished(ax, drawn)


def envelope(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A line of at most twice `POINTS` values with the same extremes in every stretch.

    >>> import numpy as np
    >>> at, kept = envelope(np.arange(10_000), np.arange(10_000.0) % 7)
    >>> len(kept) <= 2 * POINTS, float(kept.min()), float(kept.max())
    (True, 0.0, 6.0)
    """
    if len(values) <= 2 * POINTS:
        return steps, values
    kept = []
    for part in np.array_split(np.arange(len(values)), POINTS):
        seen = part[np.isfinite(values[part])]
        if len(seen):
            kept += sorted({int(seen[values[seen].argmin()]), int(seen[values[seen].argmax()])})
    return steps[kept], values[kept]


def distinct_rates(found: xr.Dataset) -> list[float]:
    """The rates of the runs made, in the order of the runs."""
    values = found["rate"].values.astype(np.float64)
    return list(dict.fromkeys(_key(v) for v in values if math.isfinite(v)))


def _key(rate: float) -> float:
    return float(f"{rate:.3g}")


def _short(rate: float) -> str:
    return plain(_key(rate))


def _line(ax: Axes, x: np.ndarray, y: np.ndarray, color: int, label: str, *, first: bool) -> None:
    ax.plot(
        x,
        y,
        color=palette.series_color(color),
        linewidth=1.5 if first else 0.8,
        linestyle=palette.series_dash(color) if color else "solid",
        alpha=1.0 if first else 0.6,
        label=label or None,
    )


def _finished(ax: Axes, drawn: Sequence[np.ndarray]) -> Axes:
    values = np.concatenate(drawn) if drawn else np.empty(0)
    if values.size and values.min() > 0 and values.max() > WIDE * values.min():
        log_axis(ax.yaxis, float(values.min()), float(values.max()))
    elif values.size and values.min() >= 0:
        ax.set_ylim(bottom=0)
    ax.set_xlim(left=0)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    ax.set_xlabel("steps of descent")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize=9, labelcolor=palette.MUTED)
    return dress(ax)
