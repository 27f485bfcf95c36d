"""The path of a training over the surface of its plane, its losses, and how far it is from it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

from theodolite.errors import InvalidArgument
from theodolite.plots import palette
from theodolite.plots.dress import dress, plain_ticks, require
from theodolite.plots.height_scale import Heights, plain
from theodolite.plots.line import BAND
from theodolite.plots.plane import plot_plane
from theodolite.results import OK

DROPPED = "learning rate dropped"
ARROWS = 4
"""Arrows along a path."""
BELOW = 0.68
"""Inches between an axis and the legend under its label."""


def plot_trajectory(
    trajectory: xr.Dataset,
    ax: Axes,
    *,
    plane: xr.Dataset | None = None,
    scale: Heights | None = None,
) -> Axes:
    """Draw the path of every run over `plane`, or on an empty one; return `ax`.

    A circle marks the first checkpoint of a run, a diamond the last, a triangle the first one
    after a drop of the learning rate, and arrows the direction. One run is white with a dark rim,
    several have the colors of series. Labels name the share of the path's variance along each
    axis and, in parentheses, a random walk's. Raises ``InvalidArgument`` for a result of another
    quantity, or of one axis. Not checked: that `plane` was made with the trajectory's axes and
    origin.
    """
    require(trajectory, "trajectory", "time", "axis")
    if trajectory.sizes["axis"] < 2:
        raise InvalidArgument(
            "the picture of a path needs a trajectory of 2 axes; got 1.",
            fix="pass directions of shape (2, params) to trajectory(), or draw "
            "plot_trajectory_distance.",
            code="E-P03",
        )
    if plane is not None:
        plot_plane(plane, ax, scale=scale, marks=False)
    names = run_names(trajectory)
    for number, name in enumerate(names):
        _path(ax, trajectory, number, name, alone=len(names) == 1, field=plane is not None)
    if plane is None:
        ax.margins(0.15)
        ax.set_aspect("equal", adjustable="datalim")
    ax.set_xlabel(axis_label(trajectory, 1))
    ax.set_ylabel(axis_label(trajectory, 2))
    _legend(ax)
    return dress(ax)


def plot_trajectory_losses(trajectory: xr.Dataset, ax: Axes) -> Axes:
    """Draw the loss at every checkpoint (solid) and at its shadow on the plane (dashed).

    Bands are two standard errors over examples. Diverged points are left out.
    """
    require(trajectory, "trajectory", "time")
    names, lowest, highest = run_names(trajectory), math.inf, 0.0
    for number, name in enumerate(names):
        own = _of_run(trajectory, number)
        color, prefix = palette.series_color(number), f"{name}: " if len(names) > 1 else ""
        for key, dash, words in (
            ("loss", "solid", "at the checkpoint"),
            ("shadow_loss", "dashed", "surface below it"),
        ):
            values = _measured(own, key)
            finite = values[np.isfinite(values)]
            lowest, highest = min([lowest, *finite]), max([highest, *finite])
            label = prefix + words
            style: dict[str, Any] = {
                "color": color,
                "linestyle": dash,
                "linewidth": 1.6,
                "marker": ".",
            }
            ax.plot(own["time"].values, values, label=label, **style)
            half = BAND * own[f"{key}_error"].values
            ax.fill_between(
                own["time"].values, values - half, values + half, color=color, alpha=0.18, lw=0
            )
    if 0 < 100 * lowest < highest:
        ax.set_yscale("log")
        plain_ticks(ax.yaxis)
    _drops(ax, trajectory)
    ax.set_ylabel("loss")
    ax.legend(frameon=False, fontsize=9, labelcolor=palette.MUTED)
    return _by_time(ax, trajectory)


def plot_trajectory_distance(trajectory: xr.Dataset, ax: Axes) -> Axes:
    """Draw the distance from the first checkpoint (line) and from the plane (filled)."""
    require(trajectory, "trajectory", "time")
    names = run_names(trajectory)
    for number, name in enumerate(names):
        own = _of_run(trajectory, number)
        color, prefix = palette.series_color(number), f"{name}: " if len(names) > 1 else ""
        time = own["time"].values
        ax.plot(
            time,
            own["distance_from_start"].values,
            color=color,
            linewidth=1.6,
            marker=".",
            label=f"{prefix}from the first checkpoint",
        )
        ax.fill_between(
            time,
            0,
            own["residual"].values,
            color=color,
            alpha=0.25,
            linewidth=0,
            label=f"{prefix}from the plane",
        )
    ax.set_ylim(bottom=0)
    _drops(ax, trajectory)
    ax.set_ylabel("distance (norm of parameters)")
    ax.legend(frameon=False, fontsize=9, labelcolor=palette.MUTED)
    return _by_time(ax, trajectory)


def axis_label(trajectory: xr.Dataset, axis: int) -> str:
    """The name of an axis, with the share it explains and, in parentheses, a random walk's."""
    if trajectory.attrs.get("axes") != "principal":
        return f"distance along direction {axis}"
    share = float(trajectory["explained_variance"][axis - 1])
    null = float(trajectory["null_explained_variance"][axis - 1])
    walk = f" (random walk {percent(null)})" if math.isfinite(null) else ""
    return f"principal axis {axis}\n{percent(share)} of the path{walk}"


def percent(share: float | int) -> str:
    """A share in two significant digits.

    >>> percent(0.9057), percent(0.0043), percent(0.99961)
    ('91 %', '0.43 %', '99.96 %')
    """
    if 0.995 <= share < 1:
        return f"{plain(100 - float(f'{100 * (1 - share):.1g}'))} %"
    return f"{plain(float(f'{100 * share:.2g}'))} %"


def run_names(trajectory: xr.Dataset) -> list[str]:
    """The names of the runs, in the order of their numbers."""
    found = trajectory.attrs.get("runs", ["training"])
    return [found] if isinstance(found, str) else list(found)


def _of_run(trajectory: xr.Dataset, number: int) -> xr.Dataset:
    return trajectory.isel(time=np.flatnonzero(trajectory["run"].values == number))


def _measured(own: xr.Dataset, key: str) -> np.ndarray:
    """The values, NaN wherever the status is not ok."""
    status = "shadow_status" if key.startswith("shadow_") else "status"
    values = own[key].values.astype(np.float64)
    return np.where(own[status].values == OK, values, np.nan) if status in own else values


def _path(
    ax: Axes, trajectory: xr.Dataset, number: int, name: str, *, alone: bool, field: bool
) -> None:
    own = _of_run(trajectory, number)
    x, y = (own["coordinates"].sel(axis=k).values for k in (1, 2))
    color = "white" if alone and field else palette.series_color(number)
    rim = palette.ON_FIELD if alone and field else "white"
    edges = [Stroke(linewidth=4.2, foreground=rim), Normal()] if field else []
    label = None if alone else name
    ax.plot(x, y, color=color, linewidth=2, path_effects=edges, label=label, zorder=4)
    _arrows(ax, x, y, rim if field else color)
    dots: dict[str, Any] = {"linestyle": "none", "markeredgecolor": palette.ON_FIELD, "zorder": 6}
    ax.plot(x[1:-1], y[1:-1], marker="o", markersize=3, markerfacecolor=color, **dots)
    first = number == 0
    marks = (("o", slice(0, 1), "first checkpoint"), ("D", slice(-1, None), "last checkpoint"))
    for marker, part, words in marks:
        ax.plot(
            x[part],
            y[part],
            marker=marker,
            markersize=7,
            markerfacecolor=color,
            label=words if first else None,
            **dots,
        )
    dropped = own["learning_rate_drop"].values.astype(bool)
    if dropped.any():
        ax.plot(
            x[dropped],
            y[dropped],
            marker="v",
            markersize=8,
            markerfacecolor=palette.NEGATIVE if alone else color,
            label=None if DROPPED in ax.get_legend_handles_labels()[1] else DROPPED,
            **dots,
        )


def _arrows(ax: Axes, x: np.ndarray, y: np.ndarray, color: str) -> None:
    """Heads in the middle of the segments that are spread evenly along the path's length."""
    lengths = np.hypot(np.diff(x), np.diff(y))
    along = np.cumsum(lengths) - lengths / 2
    wanted = (np.arange(ARROWS) + 0.5) / ARROWS * lengths.sum()
    for k in np.unique([int(np.abs(along - w).argmin()) for w in wanted]):
        if lengths[k] == 0:
            continue
        start = (x[k] + 0.45 * (x[k + 1] - x[k]), y[k] + 0.45 * (y[k + 1] - y[k]))
        end = (x[k] + 0.55 * (x[k + 1] - x[k]), y[k] + 0.55 * (y[k + 1] - y[k]))
        ax.annotate(
            "",
            xy=end,
            xytext=start,
            arrowprops={"arrowstyle": "-|>", "color": color, "mutation_scale": 13, "lw": 0},
            zorder=5,
        )


def _drops(ax: Axes, trajectory: xr.Dataset) -> None:
    """A thin line where the learning rate dropped."""
    at = trajectory["time"].values[trajectory["learning_rate_drop"].values.astype(bool)]
    for k, time in enumerate(np.unique(at)):
        label = DROPPED if k == 0 else None
        ax.axvline(float(time), color=palette.NEGATIVE, linewidth=1, linestyle=":", label=label)


def _by_time(ax: Axes, trajectory: xr.Dataset) -> Axes:
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel(str(trajectory["time"].attrs.get("long_name", "time")))
    return dress(ax)


def _legend(ax: Axes) -> None:
    """Below the label of the axis, which has two lines, whatever the shape of the picture."""
    below = ScaledTranslation(0, -BELOW, ax.figure.dpi_scale_trans)
    ax.legend(
        loc="upper left",
        bbox_to_anchor=(0.0, 0.0),
        bbox_transform=ax.transAxes + below,
        ncols=3,
        frameon=False,
        fontsize=9,
        labelcolor=palette.MUTED,
        borderaxespad=0.0,
        handletextpad=0.3,
        columnspacing=1.2,
    )
