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

NEAR = math.radians(70)
"""An edge as near to straight down as this would cross the label below a minimum."""

SIDEWAYS = 0.38
"""A label is centered on an axis along which it is moved by less than this share."""


def plot_minima_graph(found: xr.Dataset, ax: Axes) -> Axes:
    """Draw the minima and the edges of their tree, each labeled with the largest loss on it.

    Beside each minimum stands its own loss. The center of the tree is in the middle; places and
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
    for k, (name, loss) in enumerate(zip(names, losses, strict=True)):
        _label(ax, where, k, edges, f"{_elided(str(name))}\n{_short(float(loss))}")
    _limits(ax, where)
    _frame(ax, sorted({int(k) for k in found["edge_kind"].values}))
    return ax


def _label(ax: Axes, where: np.ndarray, k: int, edges: list[tuple[int, int]], words: str) -> None:
    """A name and loss beside a minimum, below it where no edge is near."""
    others = [j if i == k else i for i, j in edges if k in (i, j)]
    across, up = open_side([tuple(where[o] - where[k]) for o in others])
    ax.annotate(
        words,
        where[k],
        xytext=(9 * across, 9 * up),
        textcoords="offset points",
        ha="center" if abs(across) < SIDEWAYS else "left" if across > 0 else "right",
        va="center" if abs(up) < SIDEWAYS else "bottom" if up > 0 else "top",
        fontsize=8.5,
        color=palette.INK,
        zorder=4,
    )


def open_side(edges: list[tuple[float, float]]) -> tuple[float, float]:
    """The direction in which a label keeps clear of edges that leave in these directions.

    Straight down where no edge is within 70 degrees of it, else the middle of the widest gap.

    >>> open_side([(1.0, 0.0)])
    (0.0, -1.0)
    """
    angles = sorted(math.atan2(y, x) % (2 * math.pi) for x, y in edges)
    down = 1.5 * math.pi
    if all(abs(a - down) >= NEAR for a in angles):
        return 0.0, -1.0
    best, chosen = 0.0, (0.0, 1.0)
    for before, after in zip(angles, [*angles[1:], angles[0]], strict=True):
        gap = (after - before) % (2 * math.pi) or 2 * math.pi
        side = math.cos(before + gap / 2), math.sin(before + gap / 2)
        worth = gap + 0.1 * abs(side[0]) - 0.2 * side[1]  # words are wide, and numbers lie above
        if worth > best:
            best, chosen = worth, side
    return chosen


def tree_places(points: int, edges: list[tuple[int, int]]) -> np.ndarray:
    """Places of the points of a tree in rings around its center, or of a chain in a row.

    No two edges cross.

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
    if points > 3 and all(len(others) <= 2 for others in near.values()):
        return _zigzag([k for k, _ in _order(near, min(k for k in near if len(near[k]) == 1))])
    spans = {center: (-math.pi / 2, 1.5 * math.pi)}  # no edge leads straight down
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


def _zigzag(chain: list[int]) -> np.ndarray:
    """Points in a row, up and down, so that there is room for their names."""
    made = np.zeros((len(chain), 2))
    for place, k in enumerate(chain):
        made[k] = place - (len(chain) - 1) / 2, 0.4 * (place % 2)
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
    across = -across if across[1] < 0 else across  # bows and labels lie above an edge
    path = (1 - t) * a + t * b + 4 * BEND[kind] * t * (1 - t) * across
    ax.plot(
        path[:, 0],
        path[:, 1],
        color=palette.series_color(kind - 1),
        linestyle=DASHES[kind],
        linewidth=1.8,
        zorder=1,
    )
    side = across / float(np.hypot(*across))
    ax.annotate(
        _short(height),
        (float(path[20, 0]), float(path[20, 1])),
        xytext=(6 * side[0], 6 * side[1]),
        textcoords="offset points",
        ha="center" if abs(side[0]) < SIDEWAYS else "left" if side[0] > 0 else "right",
        va="center" if abs(side[1]) < SIDEWAYS else "bottom" if side[1] > 0 else "top",
        fontsize=8.5,
        color=palette.series_color(kind - 1),
        zorder=2,
    )


def _elided(name: str, longest: int = 16) -> str:
    """A long name without its middle.

    >>> _elided("experiments_17/best")
    'experi…s_17/best'
    """
    return name if len(name) <= longest else f"{name[:6]}…{name[7 - longest :]}"


def _short(value: float) -> str:
    return plain(float(f"{value:.3g}")) if math.isfinite(value) else "not finite"


def _limits(ax: Axes, where: np.ndarray) -> None:
    """Room for the labels around the outermost minima, and a height also for a flat tree."""
    middle = (where.max(0) + where.min(0)) / 2
    width, height = np.ptp(where, axis=0)
    half = float(max(width / 2 + 0.3 * max(1.0, width / 3), 0.8))
    up = float(max(height / 2 + 0.3 * max(1.0, width / 2), 0.3 * half))
    ax.set_xlim(middle[0] - half, middle[0] + half)
    ax.set_ylim(middle[1] - up, middle[1] + up)
    ax.set_aspect("equal")


def _frame(ax: Axes, kinds: list[int]) -> None:
    """No axes: places mean nothing; a legend of the kinds that are there."""
    dress(ax)
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_xlabel("at a minimum: its loss; at an edge: the largest loss on the path")
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
