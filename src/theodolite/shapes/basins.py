"""Where steepest descent over a grid ends, and how high the passes between its basins are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Int

from theodolite.errors import InvalidArgument
from theodolite.shapes.grids import Values

NEIGHBORS = ("auto", "triangulated", "axes", "all")
"""Which points of a grid count as next to each other."""

Whole = Int[np.ndarray, "..."]
Slices = tuple[slice, ...]


@dataclass(frozen=True, eq=False)
class Basins:
    """Minima in order of height, the basin of every point, and the passes between basins.

    ``minima`` are flat indices; ``basin`` is -1 where a value is not finite. Pass k, at the point
    ``passes[k]``, is the lowest between the basins ``left[k]`` and ``right[k]``; passes rise.
    """

    minima: Int[np.ndarray, " minimum"]
    basin: Whole
    passes: Int[np.ndarray, " link"]
    left: Int[np.ndarray, " link"]
    right: Int[np.ndarray, " link"]


def resolved_neighbors(neighbors: str, dims: int) -> str:
    """The rule that "auto" stands for: a triangulation up to three axes, else axes alone."""
    if neighbors not in NEIGHBORS:
        raise InvalidArgument(
            f"neighbors must be one of {', '.join(NEIGHBORS)}; got {neighbors!r}.", code="E-Q04"
        )
    if neighbors != "auto":
        return neighbors
    return "triangulated" if dims <= 3 else "axes"


def offsets(neighbors: str, dims: int) -> list[tuple[int, ...]]:
    """Steps to half of a point's neighbors; the other half are their opposites.

    >>> offsets("axes", 2), offsets("triangulated", 2), len(offsets("all", 3))
    ([(0, 1), (1, 0)], [(0, 1), (1, 0), (1, 1)], 13)
    """
    if neighbors == "all":
        every = product((-1, 0, 1), repeat=dims)
        return [o for o in every if o > (0,) * dims]
    ahead = [o for o in product((0, 1), repeat=dims) if any(o)]
    return [o for o in ahead if sum(o) == 1] if neighbors == "axes" else ahead


def ranks(values: Values) -> tuple[Whole, Int[np.ndarray, " point"]]:
    """The place of each value in ascending order, ties by index, and the points in that order.

    Values that are not finite share the last rank, one beyond all others.
    """
    flat = values.reshape(-1)
    order = np.argsort(np.where(np.isfinite(flat), flat, np.inf), kind="stable")
    order = order[np.isfinite(flat[order])]
    rank = np.full(flat.shape, len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank.reshape(values.shape), order


def links(rank: Whole, neighbors: str) -> Iterator[tuple[Whole, Whole, Slices, Slices]]:
    """All pairs of neighboring points: their ranks, and the two slices they lie on."""
    for offset in offsets(neighbors, rank.ndim):
        ahead = tuple(
            slice(max(o, 0), s + min(o, 0)) for o, s in zip(offset, rank.shape, strict=True)
        )
        behind = tuple(
            slice(max(-o, 0), s + min(-o, 0)) for o, s in zip(offset, rank.shape, strict=True)
        )
        yield rank[ahead], rank[behind], ahead, behind


def basins(values: Values, neighbors: str) -> Basins:
    """The basins of a grid: every point follows its lowest neighbor down to a local minimum.

    Two points of equal value are ordered by their index, so that a plateau has one minimum.
    Points that are not finite belong to no basin and connect nothing.
    """
    rank, order = ranks(values)
    finite = len(order)
    lowest = rank.copy()
    for first, second, ahead, behind in links(rank, neighbors):
        np.minimum(lowest[ahead], second, out=lowest[ahead])
        np.minimum(lowest[behind], first, out=lowest[behind])
    down = np.append(lowest.reshape(-1)[order], finite)
    while True:
        further = down[down]
        if (further == down).all():
            break
        down = further
    own = np.flatnonzero(down[:-1] == np.arange(finite))
    number = np.full(finite + 1, -1, dtype=np.int64)
    number[own] = np.arange(len(own))
    label = number[down]
    passes, left, right = crossings(rank, label, neighbors)
    return Basins(order[own], label[rank], order[passes], left, right)


def crossings(
    rank: Whole, label: Int[np.ndarray, " rank"], neighbors: str
) -> tuple[Int[np.ndarray, " link"], Int[np.ndarray, " link"], Int[np.ndarray, " link"]]:
    """The lowest pass between any two basins that touch: its rank, and both; rising."""
    found = []
    for first, second, _, _ in links(rank, neighbors):
        a, b = label[first].reshape(-1), label[second].reshape(-1)
        over = np.flatnonzero((a != b) & (a >= 0) & (b >= 0))
        height = np.maximum(first, second).reshape(-1)[over]
        found.append(np.stack([height, np.minimum(a, b)[over], np.maximum(a, b)[over]]))
    every = np.concatenate(found, axis=1) if found else np.empty((3, 0), dtype=np.int64)
    every = every[:, np.lexsort(every)]  # by the second basin, then the first, then the height
    fresh = np.ones(every.shape[1], dtype=bool)
    fresh[1:] = (np.diff(every[1:], axis=1) != 0).any(axis=0)
    kept = every[:, fresh]
    kept = kept[:, np.argsort(kept[0], kind="stable")]
    return kept[0], kept[1], kept[2]
