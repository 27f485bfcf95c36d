"""A plane of loss values from above: cells, contour lines, and everything that has no value."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection, QuadMesh

from theodolite.plots import palette
from theodolite.plots.dress import distance_label, dress, long_name, require
from theodolite.plots.height_scale import Heights, heights, plain, round_step, shown
from theodolite.results import DIVERGED, FAILED, OK, TODO

NO_VALUE = ((DIVERGED, "diverged", "////"), (FAILED, "failed", "xxxx"))


def plot_plane(
    plane: xr.Dataset,
    ax: Axes,
    *,
    variable: str = "loss",
    scale: Heights | None = None,
    colorbar: bool = True,
    marks: bool = True,
) -> Axes:
    """Draw `variable` over (alpha, beta) as cells with labeled contour lines; return `ax`.

    One cell a measured point, nothing smoothed. `scale` defaults to ``heights(plane)``; pass the
    same one to every panel that is to be compared. Diverged and failed cells are hatched and
    counted in the legend, points not computed stay empty. `marks` are the start, the lowest point
    and the legend. Raises ``InvalidArgument`` for a
    result of another quantity. Not checked: that planes drawn beside each other share directions.
    """
    require(plane, "plane", "alpha", "beta")
    scale = heights(plane, variable) if scale is None else scale
    alpha, beta = plane["alpha"].values, plane["beta"].values
    field = shown_field(plane, variable, scale).T
    limits = (float(shown(np.array(scale.low), scale)), float(shown(np.array(scale.high), scale)))
    mesh = ax.pcolormesh(
        alpha, beta, field, shading="nearest", cmap=palette.SURFACE, rasterized=True
    )
    mesh.set_clim(*limits)
    _contours(ax, alpha, beta, field, scale)
    draw_gaps(ax, plane, status_of(plane, variable))
    if marks:
        _marks(ax, plane, variable)
    _scale_bar(ax, plane)
    ax.set_xlabel(distance_label(plane, 1))
    ax.set_ylabel(distance_label(plane, 2))
    ax.set_aspect("equal")
    if colorbar:
        _colorbar(ax, mesh, scale, long_name(plane, variable))
    return dress(ax)


def measured(plane: xr.Dataset, variable: str) -> np.ndarray:
    """The values over (alpha, beta), NaN wherever the status is not ok."""
    long_name(plane, variable)  # refuses an unknown variable by name
    values = plane[variable].transpose("alpha", "beta").values.astype(np.float64)
    values = np.where(np.isfinite(values), values, np.nan)
    status = status_of(plane, variable)
    return values if status is None else np.where(status == OK, values, np.nan)


def shown_field(plane: xr.Dataset, variable: str, scale: Heights) -> np.ndarray:
    """The values as drawn on `scale`, over (alpha, beta); NaN where there is none."""
    return shown(measured(plane, variable), scale)


def status_of(plane: xr.Dataset, variable: str) -> np.ndarray | None:
    """The status over (alpha, beta) that belongs to `variable`; test data have their own."""
    own = "test_status" if variable.startswith("test_") and "test_status" in plane else "status"
    return plane[own].transpose("alpha", "beta").values if own in plane else None


def status_counts(result: xr.Dataset) -> dict[str, int]:
    """How many points are ok, diverged, failed and not computed.

    >>> status_counts(xr.Dataset({"status": ("alpha", [1, 1, 2, 0])}))
    {'ok': 2, 'diverged': 1, 'failed': 0, 'not computed': 1}
    """
    names = (("ok", OK), ("diverged", DIVERGED), ("failed", FAILED), ("not computed", TODO))
    status = result["status"].values
    return {name: int((status == code).sum()) for name, code in names}


def minimum(plane: xr.Dataset, variable: str = "loss") -> tuple[float, float, float] | None:
    """(alpha, beta, value) of the lowest measured point, ``None`` when there is none."""
    values = measured(plane, variable)
    if not np.isfinite(values).any():
        return None
    i, j = np.unravel_index(int(np.nanargmin(values)), values.shape)
    return float(plane["alpha"][i]), float(plane["beta"][j]), float(values[i, j])


def scale_bar(plane: xr.Dataset, fraction: float = 0.25) -> tuple[float, float] | None:
    """(length along alpha, percent of the weights' norm), round and near `fraction` of the span.

    ``None`` where the norms were not recorded.
    """
    norm, total = plane.attrs.get("direction_norm_alpha"), plane.attrs.get("theta_norm")
    if not norm or not total:
        return None
    per_unit = 100.0 * float(norm) / float(total)
    span = float(plane["alpha"].max() - plane["alpha"].min())
    if not (span > 0 and math.isfinite(per_unit) and per_unit > 0):
        return None
    percent = round_step(fraction * span * per_unit)
    if percent > 2 * fraction * span * per_unit:
        percent /= 2
    return percent / per_unit, percent


def cell_edges(coordinate: np.ndarray) -> np.ndarray:
    """The borders between neighboring points, and one beyond each end.

    >>> cell_edges(np.array([0.0, 1.0, 3.0])).tolist()
    [-0.5, 0.5, 2.0, 4.0]
    """
    if coordinate.size == 1:
        return np.array([coordinate[0] - 0.5, coordinate[0] + 0.5])
    middle = (coordinate[1:] + coordinate[:-1]) / 2
    first = 2 * coordinate[0] - middle[0]
    return np.concatenate([[first], middle, [2 * coordinate[-1] - middle[-1]]])


def _contours(
    ax: Axes, alpha: np.ndarray, beta: np.ndarray, field: np.ndarray, scale: Heights
) -> None:
    finite = field[np.isfinite(field)]
    if min(field.shape) < 2 or finite.size == 0:
        return
    at = {float(shown(np.array(v), scale)): plain(v) for v in scale.levels}
    inside = [v for v in at if finite.min() < v < finite.max()]
    if not inside:
        return
    middle = (finite.min() + finite.max()) / 2
    colors = ["white" if v < middle else palette.ON_FIELD for v in inside]
    lines = ax.contour(
        alpha, beta, field, levels=inside, colors=colors, linewidths=0.8, linestyles="solid"
    )
    ax.clabel(lines, fmt=at, fontsize=8, inline_spacing=3)


def draw_gaps(ax: Axes, plane: xr.Dataset, status: np.ndarray | None) -> None:
    """Hatch the cells that diverged or failed, with their number as the label."""
    if status is None:
        return
    x, y = cell_edges(plane["alpha"].values), cell_edges(plane["beta"].values)
    for code, name, hatch in NO_VALUE:
        cells = np.argwhere(status == code)
        if not len(cells):
            continue
        boxes = [
            [(x[i], y[j]), (x[i + 1], y[j]), (x[i + 1], y[j + 1]), (x[i], y[j + 1])]
            for i, j in cells
        ]
        ax.add_collection(
            PolyCollection(
                boxes,
                facecolor="none",
                edgecolor=palette.GAP,
                linewidth=0.0,
                hatch=hatch,
                label=f"{name} ({len(cells):,})",
            )
        )


def _marks(ax: Axes, plane: xr.Dataset, variable: str) -> None:
    alpha, beta = plane["alpha"].values, plane["beta"].values
    if alpha.min() <= 0 <= alpha.max() and beta.min() <= 0 <= beta.max():
        _mark(ax, 0.0, 0.0, "D", "start")
    lowest = minimum(plane, variable) if variable.endswith("loss") else None
    if lowest is not None:
        a, b = lowest[0] + 0.0, lowest[1] + 0.0
        _mark(ax, a, b, "o", f"lowest point ({a:.2f}, {b:.2f})")
    ax.legend(
        loc="upper left",
        bbox_to_anchor=(0.0, -0.14),
        ncols=3,
        frameon=False,
        fontsize=9,
        labelcolor=palette.MUTED,
        borderaxespad=0.0,
        handletextpad=0.3,
        columnspacing=1.2,
    )


def _mark(ax: Axes, alpha: float, beta: float, marker: str, label: str) -> None:
    ax.plot(
        [alpha],
        [beta],
        linestyle="none",
        marker=marker,
        markersize=6,
        markeredgecolor=palette.ON_FIELD,
        markerfacecolor="white",
        zorder=5,
        label=label,
    )


def _scale_bar(ax: Axes, plane: xr.Dataset) -> None:
    bar = scale_bar(plane)
    if bar is None:
        return
    length, percent = bar
    low, high = float(plane["alpha"].min()), float(plane["alpha"].max())
    right = high - 0.04 * (high - low)
    transform = ax.get_xaxis_transform()
    ax.plot(
        [right - length, right],
        [0.035, 0.035],
        transform=transform,
        color=palette.ON_FIELD,
        linewidth=6,
        alpha=0.75,
        solid_capstyle="butt",
    )
    ax.plot(
        [right - length, right],
        [0.035, 0.035],
        transform=transform,
        color="white",
        linewidth=2,
        solid_capstyle="butt",
        gid="scale-bar",
    )
    ax.text(
        right,
        0.055,
        f"{plain(percent)} % of the weights' norm",
        transform=transform,
        ha="right",
        va="bottom",
        fontsize=8,
        color="white",
        bbox={"facecolor": palette.ON_FIELD, "alpha": 0.75, "linewidth": 0, "pad": 2},
    )


def _colorbar(ax: Axes, mesh: QuadMesh, scale: Heights, label: str) -> None:
    bar = ax.figure.colorbar(mesh, ax=ax, shrink=0.82, pad=0.03, aspect=30)
    bar.set_ticks(
        [float(shown(np.array(v), scale)) for v in scale.levels],
        labels=[plain(v) for v in scale.levels],
    )
    clipped = f", clipped at {plain(float(f'{scale.high:.2g}'))}" if scale.clipped else ""
    bar.set_label(f"{label}, {'log' if scale.log else 'linear'} scale{clipped}", fontsize=10)
    bar.outline.set_visible(False)
    dress(bar.ax)
