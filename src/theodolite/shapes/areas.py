"""The area of a sublevel set: exact for the function that is linear on each triangle of a grid."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from theodolite.shapes.grids import Grid


def triangles(values: Float[np.ndarray, "alpha beta"]) -> Float[np.ndarray, "3 triangle"]:
    """The three corner values, ascending, of both triangles of every cell.

    Each cell is cut along the diagonal from its corner of the lowest coordinates to that of the
    highest (Freudenthal's triangulation).
    """
    a, b = values[:-1, :-1].reshape(-1), values[1:, 1:].reshape(-1)
    c, d = values[1:, :-1].reshape(-1), values[:-1, 1:].reshape(-1)
    corners = np.concatenate([np.stack([a, b, c]), np.stack([a, b, d])], axis=1)
    return np.sort(corners, axis=0)


def triangle_areas(grid: Grid) -> Float[np.ndarray, " triangle"]:
    """The area of every triangle in the units of the coordinates, in the order of `triangles`."""
    wide, high = (np.diff(axis) for axis in grid.axes)
    cells = np.outer(wide, high).reshape(-1)
    return np.concatenate([cells, cells]) / 2


def share_below(
    corners: Float[np.ndarray, "3 triangle"], level: float
) -> Float[np.ndarray, " triangle"]:
    """The share of each triangle on which the linear function is at most `level`.

    The limit for a corner that is infinite is zero: nothing next to a diverged point counts.

    >>> share_below(np.array([[0.0], [0.0], [1.0]]), 0.5).tolist()
    [0.75]
    """
    low, middle, high = corners
    share = np.zeros(low.shape)
    finite = np.isfinite(high)
    rising = finite & (low < level) & (level <= middle)
    part = (level - low[rising]) / (middle[rising] - low[rising])
    share[rising] = part * (level - low[rising]) / (high[rising] - low[rising])
    falling = finite & (middle < level) & (level < high)
    part = (high[falling] - level) / (high[falling] - low[falling])
    share[falling] = 1 - part * (high[falling] - level) / (high[falling] - middle[falling])
    share[finite & (level >= high)] = 1.0
    return share


def sublevel_shares(grid: Grid, levels: Float[np.ndarray, " level"]) -> Float[np.ndarray, " level"]:
    """The share of the plane's area where the loss is at most each level."""
    corners, areas = triangles(grid.values), triangle_areas(grid)
    return np.array([float(areas @ share_below(corners, float(v)) / areas.sum()) for v in levels])


def reaches_edge(grid: Grid, levels: Float[np.ndarray, " level"]) -> Float[np.ndarray, " level"]:
    """Whether each sublevel set touches the border, so that it may go on beyond the plane."""
    inner = grid.values[1:-1, 1:-1]
    border = np.ones(grid.values.shape, dtype=bool)
    border[1:-1, 1:-1] = np.zeros(inner.shape, dtype=bool)
    lowest = float(grid.values[border].min())
    return np.array([float(lowest <= v) for v in levels])


def plane_area(grid: Grid) -> float:
    """The area of the plane in the units of the coordinates."""
    first, second = (float(axis[-1] - axis[0]) for axis in grid.axes)
    return first * second
