"""A monitored training: its values over optimizer steps, and its sharpness at the threshold."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from theodolite.plots import palette
from theodolite.plots.dress import dress, log_axis, long_name, require

BAND = 2.0
"""Bands reach so many standard errors."""
BEYOND = 100.0
"""How many times the largest value an upper end without limit is drawn at."""
SHORT = {
    "loss": "mean loss",
    "distance_from_start": "distance from the start",
    "noise_scale": "noise scale, examples",
    "step_angle": "angle in degrees",
}
"""Labels of an axis where the long name does not fit beside it."""
WIDE = 30.0
"""Values that span more than this factor are drawn on a log scale."""


def plot_edge(history: xr.Dataset, ax: Axes) -> Axes:
    """Draw the sharpness in the optimizer's units over steps, and the threshold, dashed.

    Where it was measured, batch sharpness is a thin line with a band of two standard errors; it is
    in the units of the loss, so it is left out where the optimizer has its own (Adam). Without a
    threshold the largest eigenvalues of the Hessian are drawn.
    """
    require(history, "monitor", "time")
    time = history["time"].values
    drawn = []
    if _has(history, "threshold"):
        drawn += [_line(ax, time, history["sharpness"].values, 0, "sharpness")]
        limit = history["threshold"].values.astype(np.float64)
        ax.plot(
            time, limit, color=palette.INK, linestyle="dashed", linewidth=1.2, label="threshold"
        )
        drawn.append(limit)
        own_units = str(history.attrs.get("rule", "")).startswith(("Adam", "RMSprop"))
    else:
        own_units = False
        for k in range(history.sizes.get("pair", 0)):
            values = history["eigenvalue"].values[:, k]
            drawn.append(_line(ax, time, values, k, f"eigenvalue {k + 1}"))
    if _has(history, "batch_sharpness") and not own_units:
        values = history["batch_sharpness"].values
        drawn.append(_line(ax, time, values, 1, "batch sharpness"))
        half = BAND * np.nan_to_num(history["batch_sharpness_error"].values)
        ax.fill_between(
            time, values - half, values + half, color=palette.series_color(1), alpha=0.18, lw=0
        )
    ax.set_ylabel("curvature")
    ax.legend(frameon=False, fontsize=9, labelcolor=palette.MUTED)
    return _over_steps(ax, drawn, from_zero=True)


def plot_monitored(history: xr.Dataset, ax: Axes, *, variable: str = "loss") -> Axes:
    """Draw one value over steps, with a band of two standard errors where it has them."""
    require(history, "monitor", "time")
    name = SHORT.get(variable) or long_name(history, variable)
    time, values = history["time"].values, history[variable].values.astype(np.float64)
    _line(ax, time, values, 0, "")
    if f"{variable}_low" in history:
        _interval(ax, history, variable)
    if f"{variable}_error" in history:
        half = BAND * np.nan_to_num(history[f"{variable}_error"].values)
        ax.fill_between(
            time, values - half, values + half, color=palette.series_color(0), alpha=0.18, lw=0
        )
    ax.set_ylabel(name)
    if variable == "step_angle":
        ax.set_ylim(0, 180)
        ax.set_yticks([0, 45, 90, 135, 180])
        return _over_steps(ax, [])
    return _over_steps(ax, [values], from_zero=variable in ("distance_from_start", "noise_scale"))


def _interval(ax: Axes, history: xr.Dataset, variable: str) -> None:
    """The interval as a band; an upper end that is missing is out of the picture."""
    low, high = (history[f"{variable}_{end}"].values.astype(np.float64) for end in ("low", "high"))
    values = history[variable].values.astype(np.float64)
    finite = np.concatenate([v[np.isfinite(v)] for v in (values, high)])
    if not finite.size:
        return
    top = np.where(np.isfinite(high), high, BEYOND * finite.max())
    color = palette.series_color(0)
    ax.fill_between(history["time"].values, low, top, color=color, alpha=0.18, lw=0)
    least = np.concatenate([v[np.isfinite(v) & (v > 0)] for v in (values, low)])
    ax.set_ylim(0.85 * least.min() if least.size else 0.0, 1.15 * finite.max())


def _has(history: xr.Dataset, name: str) -> bool:
    return name in history and bool(np.isfinite(history[name].values).any())


def _line(ax: Axes, time: np.ndarray, values: np.ndarray, series: int, label: str) -> np.ndarray:
    """A line with a dot at every measurement, unless there are many."""
    ax.plot(
        time,
        values,
        color=palette.series_color(series),
        linewidth=1.6,
        marker="." if len(time) <= 60 else "",
        label=label,
    )
    return np.asarray(values, np.float64)


def _over_steps(ax: Axes, drawn: list[np.ndarray], *, from_zero: bool = False) -> Axes:
    """The axis of steps; a log scale where values span much and none is negative."""
    values = np.concatenate([v[np.isfinite(v)] for v in drawn]) if drawn else np.empty(0)
    if values.size and values.min() > 0 and values.max() > WIDE * values.min():
        log_axis(ax.yaxis, float(values.min()), float(values.max()))
    elif from_zero and values.size and values.min() >= 0:
        ax.set_ylim(bottom=0)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    ax.set_xlabel("optimizer steps")
    return dress(ax)
