"""Many planes as small panels side by side: one scale of colors, one span, one shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from theodolite.errors import InvalidArgument
from theodolite.plots import palette
from theodolite.plots.dress import distance_label, dress, long_name, require
from theodolite.plots.height_scale import Heights, heights, plain, shown
from theodolite.plots.plane import draw_gaps, minimum, shown_field, status_of

ACROSS = 4
PANEL, HEAD, BAR = 2.5, 0.62, 0.75
"""Inches: the side of a panel, the room above it for its title, and the color bar's below."""
MOST_LEVELS = 8


@dataclass(frozen=True)
class Panel:
    """One model's plane; ``notes`` are short lines under its label, its headline numbers say."""

    label: str
    plane: xr.Dataset
    notes: tuple[str, ...] = ()


def plot_small_multiples(
    panels: Sequence[Panel],
    figure: Figure,
    *,
    variable: str = "loss",
    scale: Heights | None = None,
    across: int = ACROSS,
) -> list[Axes]:
    """Draw one contour panel a model, in the order given; return their axes.

    All panels share the color scale (``heights`` of all planes unless given), the span of both
    axes (that of the widest plane) and the contour lines, so that equal colors and equal
    distances mean the same everywhere. The figure's size is set to fit. Raises
    ``InvalidArgument`` without a panel, or for a result that is no plane. Not checked: that the
    planes use directions of one kind; ``alpha`` of one model is not ``alpha`` of another.
    """
    if not panels:
        raise InvalidArgument("panels must hold at least one plane; got none.", code="E-P05")
    for panel in panels:
        require(panel.plane, "plane", "alpha", "beta")
    planes = [p.plane for p in panels]
    shared = heights(planes, variable) if scale is None else scale
    columns = min(across, len(panels))
    rows = math.ceil(len(panels) / columns)
    width, height = columns * (PANEL + 0.45) + 0.35, rows * (PANEL + HEAD + 0.3) + BAR
    figure.set_size_inches(width, height)
    grid = figure.add_gridspec(
        rows,
        columns,
        left=0.6 / width,
        right=1 - 0.1 / width,
        top=1 - HEAD / height,
        bottom=(BAR + 0.3) / height,
        wspace=0.45 / PANEL,
        hspace=(HEAD + 0.3) / PANEL,
    )
    drawn = []
    for k, panel in enumerate(panels):
        ax = figure.add_subplot(grid[k // columns, k % columns])
        drawn.append(_panel(ax, panel, k, variable, shared))
        _span(ax, planes, first=k % columns == 0, last=k + columns >= len(panels))
    _colors(figure, shared, planes[0], variable, height)
    return drawn


def span_of(planes: Sequence[xr.Dataset], axis: str) -> tuple[float, float]:
    """The smallest and largest coordinate over all planes.

    >>> a, b = (xr.Dataset(coords={"alpha": x}) for x in ([-1.0, 1.0], [-0.5, 2.0]))
    >>> span_of([a, b], "alpha")
    (-1.0, 2.0)
    """
    return min(float(p[axis].min()) for p in planes), max(float(p[axis].max()) for p in planes)


def few_levels(levels: Sequence[float], most: int = MOST_LEVELS) -> list[float]:
    """Evenly thinned `levels`, at most `most` of them.

    >>> few_levels([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 3)
    [1.0, 4.0, 7.0]
    """
    return list(levels[:: math.ceil(len(levels) / most)]) if levels else []


def _panel(ax: Axes, panel: Panel, series: int, variable: str, scale: Heights) -> Axes:
    plane = panel.plane
    alpha, beta = plane["alpha"].values, plane["beta"].values
    field = shown_field(plane, variable, scale).T
    mesh = ax.pcolormesh(
        alpha, beta, field, shading="nearest", cmap=palette.SURFACE, rasterized=True
    )
    mesh.set_clim(*_ends(scale))
    finite = field[np.isfinite(field)]
    levels = [float(shown(np.array(v), scale)) for v in few_levels(scale.levels)]
    inside = [v for v in levels if finite.size and finite.min() < v < finite.max()]
    if inside and min(field.shape) > 1:
        middle = sum(_ends(scale)) / 2
        colors = ["white" if v < middle else palette.ON_FIELD for v in inside]
        ax.contour(
            alpha, beta, field, levels=inside, colors=colors, linewidths=0.6, linestyles="solid"
        )
    draw_gaps(ax, plane, status_of(plane, variable))
    lowest = minimum(plane, variable) if variable.endswith("loss") else None
    for point, marker in (((0.0, 0.0), "D"), (lowest, "o")):
        if point is not None:
            ax.plot(
                [point[0]], [point[1]], marker, markersize=4, markerfacecolor="white",
                markeredgecolor=palette.ON_FIELD, markeredgewidth=0.8,
            )  # fmt: skip
    ax.set_aspect("equal", adjustable="box")
    dress(ax)
    _title(ax, panel, series)
    return ax


def _title(ax: Axes, panel: Panel, series: int) -> None:
    lines = panel.notes[:2]
    ax.annotate(
        panel.label if len(panel.label) <= 30 else panel.label[:29] + "…",
        (0, 1), (0, 5 + 11 * len(lines)), xycoords="axes fraction", textcoords="offset points",
        fontsize=9.5, fontweight="bold", color=palette.INK,
    )  # fmt: skip
    for k, line in enumerate(reversed(lines)):
        ax.annotate(
            line, (0, 1), (0, 5 + 11 * k), xycoords="axes fraction",
            textcoords="offset points", fontsize=8, color=palette.MUTED,
        )  # fmt: skip


def _span(ax: Axes, planes: Sequence[xr.Dataset], *, first: bool, last: bool) -> None:
    ax.set_xlim(*span_of(planes, "alpha"))
    ax.set_ylim(*span_of(planes, "beta"))
    for axis, name in ((ax.xaxis, "alpha"), (ax.yaxis, "beta")):
        low, high = span_of(planes, name)
        ticks = sorted({low, 0.0, high} if low < 0 < high else {low, high})
        axis.set_ticks(ticks, labels=[plain(float(f"{t:.3g}")) for t in ticks], fontsize=8)
    ax.xaxis.set_tick_params(labelbottom=last)
    ax.yaxis.set_tick_params(labelleft=first)


def _colors(
    figure: Figure, scale: Heights, plane: xr.Dataset, variable: str, height: float
) -> None:
    """The one color bar, with what the axes are in words beneath."""
    ax = figure.add_axes((0.1, 0.5 / height, 0.8, 0.1 / height))
    mapped = ScalarMappable(Normalize(*_ends(scale)), palette.SURFACE)
    bar = figure.colorbar(mapped, cax=ax, orientation="horizontal")
    levels = few_levels(scale.levels, 10)
    ticks = [float(shown(np.array(v), scale)) for v in levels]
    bar.set_ticks(ticks, labels=[plain(v) for v in levels], fontsize=8)
    clipped = f", clipped at {plain(float(f'{scale.high:.2g}'))}" if scale.clipped else ""
    kind = "log" if scale.log else "linear"
    bar.set_label(
        f"{long_name(plane, variable)}, {kind} scale{clipped}; across: {distance_label(plane, 1)}; "
        "up: direction 2",
        fontsize=8,
        color=palette.INK,
    )
    bar.outline.set_visible(False)
    ax.tick_params(color=palette.RULE, labelcolor=palette.MUTED)


def _ends(scale: Heights) -> tuple[float, float]:
    return float(shown(np.array(scale.low), scale)), float(shown(np.array(scale.high), scale))
