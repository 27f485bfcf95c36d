"""Several minima and the tree of the lowest paths between them, labeled with their heights."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from theodolite.plots import palette
from theodolite.plots.dress import dress, require
from theodolite.plots.height_scale import plain

KINDS = {1: "straight line", 2: "curve", 3: "elastic band"}
"""What joins two minima, by the number in the result; each has a color and a dash."""

DASHES: dict[int, Any] = {1: "solid", 2: (0.0, (5.0, 2.0)), 3: (0.0, (1.5, 1.5))}

BEND = {1: 0.0, 2: 0.14, 3: 0.14}
"""How far an edge bows out, as a share of its length: only straight lines are straight."""


def plot_minima_graph(found: xr.Dataset, ax: Axes) -> Axes:
    """Draw the minima and the edges of their tree, each labeled with the largest loss on it.

    Below each minimum stands its own loss. The center of the tree is in the middle; places and
    lengths mean nothing else. Colors and dashes say what joins two minima. Returns `ax`.
    """
    require(found, "minima_graph", "first", "second", "edge")
    both = found["edge_first"].values, found["edge_second"].values
    edges = [(int(i), int(j)) for i, j in zip(*both, strict=True)]
    where = tree_places(len(found["first"]), edges)
    names, losses = found["first"].values, found["minimum_loss"].values
    for (i, j), height, kind in zip(
        edges, found["edge_height"].values, found["edge_kind"].values, strict=True
    ):
        _edge(ax, where[i], where[j], float(height), int(kind))
    ax.plot(
        where[:, 0],
        where[:, 1],
        linestyle="none",
        marker="o",
        markersize=9,
        color=palette.INK,
        gid="minima",
        zorder=3,
    )
    for place, name, loss in zip(where, names, losses, strict=True):
        ax.annotate(
            f"{name}\n{_short(float(loss))}",
            place,
            xytext=(0, -8),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=8.5,
            color=palette.INK,
            zorder=4,
            bbox={"facecolor": ax.get_facecolor(), "alpha": 0.8, "linewidth": 0, "pad": 0.5},
        )
    _frame(ax, sorted({int(k) for k in found["edge_kind"].values}))
    return ax


def tree_places(points: int, edges: list[tuple[int, int]]) -> np.ndarray:
    """Places of the points of a tree in rings around its center; no two edges cross.

    >>> tree_places(3, [(0, 1), (1, 2)])[1].tolist()
    [0.0, 0.0]
    """
    near: dict[int, list[int]] = {k: [] for k in range(points)}
    for i, j in edges:
        near[i].append(j)
        near[j].append(i)
    center = min(range(points), key=lambda k: (max(_depths(near, k)), k))
    made = np.zeros((points, 2))
    leaves = {k: _leaves(near, k, before) for k, before in _order(near, center)}
    spans = {center: (0.0, 2 * math.pi)}
    depths = _depths(near, center)
    for k, before in _order(near, center):
        low, high = spans[k]
        if k != center:
            angle = (low + high) / 2
            made[k] = depths[k] * np.array([math.cos(angle), math.sin(angle)])
        width = (high - low) / leaves[k]
        for child in near[k]:
            if child != before:
                spans[child] = (low, low + width * leaves[child])
                low = spans[child][1]
    return made


def _order(near: dict[int, list[int]], first: int) -> list[tuple[int, int]]:
    """Every point and the one before it, from `first` outward."""
    made = [(first, -1)]
    for k, before in made:
        made.extend((child, k) for child in near[k] if child != before)
    return made


def _depths(near: dict[int, list[int]], first: int) -> list[int]:
    depths = [0] * len(near)
    for k, before in _order(near, first)[1:]:
        depths[k] = depths[before] + 1
    return depths


def _leaves(near: dict[int, list[int]], k: int, before: int) -> int:
    below = [child for child in near[k] if child != before]
    return sum(_leaves(near, child, k) for child in below) if below else 1


def _edge(ax: Axes, a: np.ndarray, b: np.ndarray, height: float, kind: int) -> None:
    """A line from one minimum to the other, bowed if it is no straight one, and its label."""
    t = np.linspace(0, 1, 41)[:, None]
    across = np.array([a[1] - b[1], b[0] - a[0]])
    path = (1 - t) * a + t * b + 4 * BEND[kind] * t * (1 - t) * across
    ax.plot(
        path[:, 0],
        path[:, 1],
        color=palette.series_color(kind - 1),
        linestyle=DASHES[kind],
        linewidth=1.8,
        zorder=1,
    )
    ax.text(
        float(path[20, 0]),
        float(path[20, 1]),
        _short(height),
        ha="center",
        va="center",
        fontsize=8.5,
        color=palette.series_color(kind - 1),
        bbox={"facecolor": ax.get_facecolor(), "linewidth": 0, "pad": 1.5},
        zorder=2,
    )


def _short(value: float) -> str:
    return plain(float(f"{value:.3g}")) if math.isfinite(value) else "not finite"


def _frame(ax: Axes, kinds: list[int]) -> None:
    """No axes: places mean nothing; a legend of the kinds that are there."""
    dress(ax)
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_xlabel("below a minimum: its loss; on an edge: the largest loss on the path")
    ax.set_aspect("equal")
    ax.margins(0.2)
    handles = [
        Line2D([], [], color=palette.series_color(k - 1), linestyle=DASHES[k], label=KINDS[k])
        for k in kinds
    ]
    ax.legend(
        handles=handles,
        frameon=False,
        fontsize=8.5,
        labelcolor=palette.MUTED,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=3,
    )
