"""Minimum spanning trees of heights between points, and the saddle between any two of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

Matrix = Float64[np.ndarray, "first second"]
Edge = tuple[int, int]


def spanning_tree(heights: Matrix) -> list[Edge]:
    """The edges of a minimum spanning tree, lowest first; ties go by the points' numbers.

    Heights above the diagonal count; they may be zero, negative or infinite.

    >>> spanning_tree(np.array([[0.0, 1.0, 3.0], [1.0, 0.0, 2.0], [3.0, 2.0, 0.0]]))
    [(0, 1), (1, 2)]
    """
    upper = np.triu_indices(len(heights), 1)
    order = np.argsort(heights[upper], kind="stable")
    ranks = np.zeros(heights.shape)  # a tree depends on the order alone; zero is no edge
    ranks[upper[0][order], upper[1][order]] = np.arange(1, len(order) + 1)
    tree = minimum_spanning_tree(ranks).tocoo()
    first = np.argsort(tree.data)
    return [(int(i), int(j)) for i, j in zip(tree.row[first], tree.col[first], strict=True)]


def saddles(heights: Matrix, tree: Sequence[Edge]) -> Matrix:
    r"""The saddle between every two points: the highest edge on their way through the tree.

    .. math:: s_{ij} = \min_{\text{ways } i \to j} \; \max_{\text{edges of the way}} h

    The diagonal is that of `heights`. Expects the edges lowest first.
    """
    made = heights.copy()
    part = np.arange(len(heights))
    for i, j in tree:
        here, there = np.flatnonzero(part == part[i]), np.flatnonzero(part == part[j])
        made[np.ix_(here, there)] = heights[i, j]
        made[np.ix_(there, here)] = heights[i, j]
        part[there] = part[i]
    return made


def sides(tree: Sequence[Edge], cut: Edge, points: int) -> Bool[np.ndarray, " point"]:
    """Which points hang together with the first end of `cut` once it is taken from the tree."""
    joined = np.zeros((points, points))
    for i, j in tree:
        if (i, j) != cut:
            joined[i, j] = 1.0
    _, part = connected_components(joined, directed=False)
    made: Bool[np.ndarray, " point"] = part == part[cut[0]]
    return made


def next_pair(
    heights: Matrix, floors: Matrix, close: Matrix, tried: Bool[np.ndarray, "first second"]
) -> Edge | None:
    """The pair whose new path could lower the tree's highest edge that can still fall, or None.

    From the highest edge of the tree down: among the pairs on both sides of the edge that were
    not tried, and whose `floors` (no path between them is lower) lie below the edge by more than
    `close`, the edge itself, else the one with the lowest path so far.
    """
    tree = spanning_tree(heights)
    for cut in reversed(tree):
        here = sides(tree, cut, len(heights))
        across = here[:, None] != here[None, :]
        with np.errstate(invalid="ignore"):  # an infinite end leaves nothing to hope for
            hope = across & ~tried & (heights[cut] - floors > close)
        pairs = [(int(i), int(j)) for i, j in np.argwhere(np.triu(hope, 1))]
        if pairs:  # the edge itself, if it is one of them: no other across is as low and as early
            return min(pairs, key=lambda pair: (heights[pair], pair))
    return None
