"""A smooth function through scattered values on a plane, and where it cannot be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

FOLDS = 5
NEAR = 0.15
"""Share of the shorter side of the grid within which points chosen together repel each other."""


@dataclass(frozen=True, eq=False)
class Fit:
    """Values on the whole grid, and the spread of `FOLDS` fits that each miss some of the nodes.

    ``misses`` are the errors at nodes a fit did not see, by node.
    """

    values: Float[np.ndarray, " point"]
    spread: Float[np.ndarray, " point"]
    misses: Float[np.ndarray, " node"]
    model: str

    @property
    def quality(self) -> float:
        """Root mean square of the errors at nodes a fit did not see."""
        return math.sqrt(float((self.misses**2).mean()))


def heights(values: Float[np.ndarray, ...], log: bool) -> Float[np.ndarray, ...]:
    """What is fitted: the log of the loss, or the loss where some of it is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(values) if log else values, dtype=np.float64)


def unit_square(
    alphas: Float[np.ndarray, " alpha"], betas: Float[np.ndarray, " beta"]
) -> Float[np.ndarray, "point 2"]:
    """The grid's points, alpha first, scaled so that both sides have length one."""
    sides = [(v - v[0]) / ((v[-1] - v[0]) or 1.0) for v in (alphas, betas)]
    return np.stack([x.reshape(-1) for x in np.meshgrid(*sides, indexing="ij")], axis=1)


def spread_nodes(rows: int, columns: int, each: int = 7) -> list[int]:
    """About ``each * each`` evenly spread points of a grid, its corners and middle among them."""
    first, second = (
        np.unique(np.round(np.linspace(0, n - 1, min(n, each))).astype(int))
        for n in (rows, columns)
    )
    return [int(i) * columns + int(j) for i in first for j in second]


def through(
    points: Float[np.ndarray, "point 2"],
    nodes: list[int],
    values: Float[np.ndarray, " node"],
    drifts: dict[str, Float[np.ndarray, " point"]],
) -> Fit:
    """The better of several fits through the values at `nodes`, by errors at nodes left out.

    Each is a known function over the grid (a drift, zero among them) plus the cubic radial basis
    function through what is left, with a polynomial of degree two.
    """
    known = np.stack(list(drifts.values()), axis=1)
    left = values[:, None] - known[nodes]
    part, misses = _parts(len(nodes)), np.zeros_like(left)
    terms = _terms(points, points[nodes])
    seen = []
    for k in range(FOLDS):
        kept = np.flatnonzero(part != k)
        seen.append(_solved(terms, kept, left[kept], nodes))
        out = part == k
        misses[out] = seen[-1][np.asarray(nodes)[out]] - left[out]
    whole = _solved(terms, np.arange(len(nodes)), left, nodes)
    best = int(np.argmin((misses**2).mean(axis=0)))
    spread = np.std(np.stack([s[:, best] for s in seen]), axis=0)
    return Fit(whole[:, best] + known[:, best], spread, misses[:, best], list(drifts)[best])


def interpolated(
    points: Float[np.ndarray, "point 2"],
    nodes: list[int],
    values: Float[np.ndarray, " node"],
) -> Float[np.ndarray, " point"]:
    """The cubic radial basis function through the values, at every point of the grid.

    .. math:: s(x) = \\sum_k c_k\\,\\lVert x - x_k\\rVert^3 + p(x),
        \\qquad \\sum_k c_k\\,q(x_k) = 0

    for every polynomial q of degree two, of which p is one.
    """
    terms = _terms(points, points[nodes])
    return _solved(terms, np.arange(len(nodes)), values[:, None], nodes)[:, 0]


def chosen(
    points: Float[np.ndarray, "point 2"],
    doubt: Float[np.ndarray, " point"],
    taken: Bool[np.ndarray, " point"],
    count: int,
) -> list[int]:
    """The most doubtful points, one after another, away from those that are taken."""
    gaps = _distances(points, np.flatnonzero(taken))
    found: list[int] = []
    for _ in range(count):
        score = doubt * np.minimum(gaps / NEAR, 1.0)
        score[taken] = -1.0
        score[found] = -1.0
        best = int(np.argmax(score))
        if score[best] < 0:
            break
        found.append(best)
        gaps = np.minimum(gaps, np.linalg.norm(points - points[best], axis=1))
    return found


def _terms(
    points: Float[np.ndarray, "point 2"], nodes: Float[np.ndarray, "node 2"]
) -> Float[np.ndarray, "point term"]:
    """Cubes of the distances to the nodes, then the monomials of degree two."""
    x, y = 2 * points.T - 1
    cubes = cdist(points, nodes) ** 3
    return np.concatenate([cubes, np.stack([x * 0 + 1, x, y, x * x, x * y, y * y], axis=1)], axis=1)


def _solved(
    terms: Float[np.ndarray, "point term"],
    kept: np.ndarray[Any, np.dtype[np.int64]],
    values: Float[np.ndarray, "kept column"],
    nodes: list[int],
) -> Float[np.ndarray, "point column"]:
    """The interpolants of the columns through the nodes `kept`, at every point."""
    count = len(nodes)
    columns = np.concatenate([kept, np.arange(count, terms.shape[1])])
    rows = terms[np.asarray(nodes)[kept]][:, columns]
    polynomials = rows[:, len(kept) :]
    corner = np.zeros((polynomials.shape[1],) * 2)
    system = np.block([[rows[:, : len(kept)], polynomials], [polynomials.T, corner]])
    right = np.concatenate([values, np.zeros((len(corner), values.shape[1]))])
    return np.asarray(terms[:, columns] @ np.linalg.solve(system, right))


def _parts(count: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Which fold leaves a node out: the same for the same number of nodes, mixed over the grid."""
    return np.random.default_rng(count).permutation(count) % FOLDS


def _distances(
    points: Float[np.ndarray, "point 2"], nodes: np.ndarray[Any, np.dtype[Any]]
) -> Float[np.ndarray, " point"]:
    return np.asarray(cKDTree(points[nodes]).query(points)[0], dtype=np.float64)
