"""Straight ways from the start to the border of a plane, on the triangulated surface itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from theodolite.shapes.grids import Grid

RAYS = 360
"""How many ways from the start, evenly spaced in angle."""
TOUCHING = 1e-12
"""A corner of less weight is only touched: rounding alone does not make a way diverge."""


@dataclass(frozen=True, eq=False)
class Ways:
    """For each way the distances at which it enters another triangle, and the heights there.

    Between two distances the height is linear. A way ends at the border, or before the first
    triangle with a diverged corner (``open`` is false then); its last knot is repeated.
    """

    distance: Float[np.ndarray, "way knot"]
    height: Float[np.ndarray, "way knot"]
    open: Bool[np.ndarray, " way"]


def directions(count: int, cosine: float) -> Float[np.ndarray, "way 2"]:
    """Coordinates of unit vectors at even angles, where the axes enclose an angle of `cosine`.

    >>> directions(4, 0.0).round(12).tolist()
    [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [-0.0, -1.0]]
    """
    angle = 2 * np.pi * np.arange(count) / count
    sine = math.sqrt(max(1 - cosine**2, 1e-300))
    second = np.sin(angle) / sine
    return np.stack([np.cos(angle) - cosine * second, second], axis=1)


def ways_from_start(grid: Grid, cosine: float = 0.0, count: int = RAYS) -> Ways:
    """The ways from the origin of the coordinates; none where the plane does not contain it.

    A way changes its slope at grid lines and at the diagonals of cells, and nowhere else.
    """
    if any(not axis[0] <= 0 <= axis[-1] for axis in grid.axes):
        return Ways(np.empty((0, 2)), np.empty((0, 2)), np.empty(0, dtype=bool))
    along = directions(count, cosine)
    lines = []
    for axis, speed in zip(grid.axes, along.T, strict=True):
        still = np.abs(speed) < 1e-15
        lines.append(np.where(still[:, None], np.inf, axis / np.where(still, 1, speed)[:, None]))
    ends = [np.where(t > 0, t, np.nan)[:, [0, -1]] for t in lines]
    reach = np.nanmin(np.concatenate(ends, axis=1), axis=1, keepdims=True)
    knots = np.clip(np.concatenate([np.zeros((count, 1)), *lines], axis=1), 0, reach)
    knots = np.sort(knots, axis=1)
    knots = np.sort(np.concatenate([knots, diagonals(grid, along, knots)], axis=1), axis=1)
    points = knots[:, :, None] * along[:, None, :]
    height = heights(grid, points.reshape(-1, 2)).reshape(knots.shape)
    return ended(knots, height)


def ended(distance: Float[np.ndarray, "way knot"], height: Float[np.ndarray, "way knot"]) -> Ways:
    """Ways cut before their first knot that is not finite, the last one before it repeated."""
    broken = ~np.isfinite(height)
    whole = ~broken.any(axis=1)
    last = np.where(whole, height.shape[1] - 1, np.maximum(np.argmax(broken, axis=1) - 1, 0))
    place = np.minimum(np.arange(height.shape[1]), last[:, None])
    distance, height = (np.take_along_axis(v, place, axis=1) for v in (distance, height))
    return Ways(distance, np.where(np.isfinite(height), height, 0.0), whole)


def diagonals(
    grid: Grid, along: Float[np.ndarray, "way 2"], knots: Float[np.ndarray, "way knot"]
) -> Float[np.ndarray, "way gap"]:
    """Where a way crosses a diagonal between two knots; the first knot where it does not."""
    first, second = knots[:, :-1], knots[:, 1:]
    middle = (first + second) / 2
    gap: list[list[Float[np.ndarray, "way gap"]]] = []
    for k, axis in enumerate(grid.axes):
        speed = along[:, k : k + 1]
        i, _ = cells(axis, (middle * speed).reshape(-1))
        low, high = (axis[i + n].reshape(middle.shape) for n in (0, 1))
        gap.append([(t * speed - low) / (high - low) for t in (first, second)])
    before, after = (gap[0][s] - gap[1][s] for s in (0, 1))
    crossed = before * after < 0
    part = np.where(crossed, before, 0.0) / np.where(crossed, before - after, 1.0)
    return np.asarray(first + part * (second - first))


def heights(grid: Grid, points: Float[np.ndarray, "point 2"]) -> Float[np.ndarray, " point"]:
    """The function that is linear on each triangle, at points of the plane.

    Infinite where a corner that has a weight is.
    """
    (i, u), (j, v) = (cells(axis, points[:, k]) for k, axis in enumerate(grid.axes))
    low, high = grid.values[i, j], grid.values[i + 1, j + 1]
    side = np.where(u >= v, grid.values[i + 1, j], grid.values[i, j + 1])
    weights = np.stack([1 - np.maximum(u, v), np.abs(u - v), np.minimum(u, v)])
    corners = np.stack([low, side, high])
    used = weights > TOUCHING
    return np.asarray((np.where(used, weights, 0.0) * np.where(used, corners, 0.0)).sum(axis=0))


def cells(
    axis: Float[np.ndarray, " line"], x: Float[np.ndarray, " place"]
) -> tuple[Int[np.ndarray, " place"], Float[np.ndarray, " place"]]:
    """The cell of each coordinate and the place in it, from zero to one."""
    k = np.clip(np.searchsorted(axis, x, side="right") - 1, 0, len(axis) - 2)
    return k, np.clip((x - axis[k]) / (axis[k + 1] - axis[k]), 0.0, 1.0)


def first_crossing(
    ways: Ways, level: float
) -> tuple[Float[np.ndarray, " way"], Bool[np.ndarray, " way"]]:
    """The distance at which each way first rises above `level`, and whether it does.

    A way that ends at a diverged point crosses every level there. One that reaches the border
    below the level has the border's distance and False.
    """
    above = ways.height > level
    rises = above.any(axis=1)
    after = np.argmax(above, axis=1)
    index = np.arange(len(after))
    before = np.maximum(after - 1, 0)
    low, high = ways.height[index, before], ways.height[index, after]
    near, far = ways.distance[index, before], ways.distance[index, after]
    between = rises & (after > 0)
    part = np.where(between, level - low, 0.0) / np.where(between, high - low, 1.0)
    crossing = np.where(between, near + part * (far - near), 0.0)
    return np.where(rises, crossing, ways.distance[:, -1]), rises | ~ways.open


def roughness(ways: Ways, *, log: bool = False) -> float:
    r"""The share of all ups and downs along the ways that cancels.

    .. math:: 1 - \frac{\sum |L_{end} - L_{start}|}{\sum \int |dL|}

    Zero where the loss only rises (or only falls) along each way; NaN where it is constant. With
    `log`, of the log of the loss, where small heights count as much as great ones; NaN unless all
    are positive. Exact, since between two knots both only rise or only fall.
    """
    height = ways.height
    if log:
        if not height.size or height.min() <= 0:
            return math.nan
        height = np.log(height)
    total = float(np.abs(np.diff(height, axis=1)).sum())
    net = float(np.abs(height[:, -1] - height[:, 0]).sum())
    return max(0.0, 1 - net / total) if total > 0 else math.nan
