"""The loop of `thick_restart`: expand, look, restart, and search for what was overlooked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float64

from theodolite import seeds
from theodolite.linalg import krylov as states
from theodolite.linalg.completeness import miss_bound
from theodolite.linalg.krylov import Krylov
from theodolite.linalg.lanczos import BREAKDOWN
from theodolite.linalg.selection import preference, thresholds

ROUNDINGS = 100.0
"""No tolerance is taken as smaller than this many roundings."""

OVERLAP = 0.1
"""A search starts orthogonal to Ritz vectors whose residual is at most this share of their
distance from what is sought: so little of it can hide in any of them."""

SEARCH = 30
"""Products after which a search that has not become certain is given up."""

Progress = Callable[[int, int], None] | None


@dataclass(frozen=True)
class Goal:
    """What `ritz_pairs` was asked for."""

    count: int
    which: str
    tolerance: float
    seed: int
    max_products: int
    miss_probability: float
    progress: Progress


@dataclass(frozen=True, eq=False)
class Ritz:
    """Ritz values from the most to the least wanted, coefficients in columns, residual norms."""

    values: Float64[np.ndarray, " k"]
    vectors: Float64[np.ndarray, "rows k"]
    residuals: Float64[np.ndarray, " k"]


@dataclass(frozen=True, eq=False)
class Search:
    """A second Lanczos run, from a random row orthogonal to the wanted vectors.

    Where it begins, the sum of the logarithms of its remainders, and the values wanted then.
    """

    first: int
    log_remainders: float
    wanted: Float64[np.ndarray, " count"]


@dataclass(frozen=True, eq=False)
class Outcome:
    """Where the iteration stopped: the wanted pairs and which of them are settled."""

    krylov: Krylov
    ritz: Ritz
    settled: Bool[np.ndarray, " count"]
    converged: bool
    miss_probability: float


def outcome(krylov: Krylov, goal: Goal) -> Outcome:
    """Iterate from `krylov`, whose pending rows are the start, until `goal` is met or given up."""
    if krylov.known == 0:
        krylov = states.with_random_row(krylov, _generator(krylov, goal))
    for _ in range(krylov.pending):
        krylov = states.expanded(krylov)
    search: Search | None = None
    while True:
        ritz = _ritz(krylov, goal)
        settled = ritz.residuals[: goal.count] <= _slack(krylov, ritz, goal)
        found = len(settled) == goal.count and bool(settled.all())
        if goal.progress is not None:
            goal.progress(int(settled.sum()), goal.count)
        search = _still_valid(search, krylov, ritz, goal)
        bound = _bound(krylov, search, ritz, goal)
        searched = bound <= goal.miss_probability or _given_up(search, krylov)
        if (found and searched) or krylov.products >= goal.max_products or _stuck(krylov, goal):
            return Outcome(krylov, ritz, settled, found, bound)
        if search is not None and not searched:
            krylov = states.turned(krylov, _remainder(krylov))
        elif found:
            krylov, search = _begun(krylov, ritz, goal)
        else:
            krylov, search = _aimed(krylov, ritz, settled, goal), None
        krylov = states.expanded(krylov)
        if search is not None:
            search = _lengthened(search, krylov)


def _generator(krylov: Krylov, goal: Goal) -> torch.Generator:
    """A stream of its own for every draw: each draw is followed by a product."""
    return seeds.torch_generator(goal.seed, "ritz_pairs", krylov.products)


def _ritz(krylov: Krylov, goal: Goal) -> Ritz:
    values, vectors = np.linalg.eigh(states.section(krylov))
    order = preference(values, goal.which)
    vectors = vectors[:, order]
    return Ritz(values[order], vectors, np.linalg.norm(states.outside(krylov, vectors), axis=0))


def _slack(krylov: Krylov, ritz: Ritz, goal: Goal) -> float:
    """The residual allowed: `tolerance`, or what rounding can reach, of the largest value."""
    least = ROUNDINGS * float(torch.finfo(krylov.rows.dtype).eps)
    return max(goal.tolerance, least) * float(np.abs(ritz.values).max())


def _still_valid(search: Search | None, krylov: Krylov, ritz: Ritz, goal: Goal) -> Search | None:
    """`search`, unless it found something or ran out without an answer."""
    if search is None:
        return None
    moved = _sorted(ritz.values[: goal.count], goal) - search.wanted
    if np.abs(moved).max() > _slack(krylov, ritz, goal):
        return None
    exhausted = np.isneginf(search.log_remainders)
    return None if exhausted and _bound(krylov, search, ritz, goal) > 0 else search


def _sorted(wanted: Float64[np.ndarray, " count"], goal: Goal) -> Float64[np.ndarray, " count"]:
    return np.sort(np.abs(wanted) if goal.which == "magnitude" else wanted)


def _bound(krylov: Krylov, search: Search | None, ritz: Ritz, goal: Goal) -> float:
    """A bound on the probability that a wanted eigenvalue was overlooked."""
    if krylov.complete:
        return 0.0
    if search is None:
        return 1.0
    low, high = thresholds(ritz.values[: goal.count], goal.which)
    slack = _slack(krylov, ritz, goal)
    dimension = krylov.operator.size - search.first
    run = states.section(krylov, search.first)
    return miss_bound(run, search.log_remainders, dimension, (low - slack, high + slack))


def _begun(krylov: Krylov, ritz: Ritz, goal: Goal) -> tuple[Krylov, Search]:
    """Keep what is settled or far from what is sought, and put a random row first.

    Other Ritz vectors would hide part of what is sought: it need not be orthogonal to them.
    """
    low, high = thresholds(ritz.values[: goal.count], goal.which)
    distance = np.minimum(ritz.values - low, high - ritz.values)
    kept = ritz.residuals <= OVERLAP * distance
    kept |= ritz.residuals <= _slack(krylov, ritz, goal)
    capacity = len(krylov.rows)
    most = capacity - krylov.pending - 2 if capacity < krylov.operator.size else capacity
    krylov = states.restarted(krylov, ritz.vectors[:, kept][:, :most].copy())
    krylov = states.with_random_row(krylov, _generator(krylov, goal))
    return krylov, Search(krylov.multiplied, 0.0, _sorted(ritz.values[: goal.count], goal))


def _remainder(krylov: Krylov) -> Float64[np.ndarray, " pending"]:
    """What the last product has along the pending rows: where a Lanczos run goes next."""
    k = krylov.multiplied
    return np.asarray(krylov.coefficients[k : krylov.known, k - 1])


def _lengthened(search: Search, krylov: Krylov) -> Search:
    left = float(np.linalg.norm(_remainder(krylov)))
    rounding = BREAKDOWN * float(torch.finfo(krylov.rows.dtype).eps) * krylov.scale
    grown = search.log_remainders + float(np.log(left)) if left > rounding else -np.inf
    return replace(search, log_remainders=grown)


def _given_up(search: Search | None, krylov: Krylov) -> bool:
    return search is not None and (krylov.full or krylov.multiplied - search.first >= SEARCH)


def _aimed(krylov: Krylov, ritz: Ritz, settled: Bool[np.ndarray, " count"], goal: Goal) -> Krylov:
    """The next product goes where the residuals of the unsettled pairs are largest.

    A full basis is cut first to the wanted Ritz vectors and the next best in half the room left.
    """
    wanted = ritz.vectors[:, : goal.count]
    tails = states.outside(krylov, wanted[:, ~settled] if not settled.all() else wanted)
    if krylov.full:
        room = len(krylov.rows) - goal.count - krylov.pending
        keep = min(krylov.multiplied, goal.count + room // 2)
        krylov = states.restarted(krylov, ritz.vectors[:, :keep].copy())
    if not tails.any():  # an invariant subspace with too few pairs in it
        return states.with_random_row(krylov, _generator(krylov, goal))
    return states.turned(krylov, np.linalg.svd(tails)[0][:, 0])


def _stuck(krylov: Krylov, goal: Goal) -> bool:
    """No restart makes room: as many copies were found as the basis can hold."""
    capacity = len(krylov.rows)
    return goal.count + krylov.pending + 2 > capacity and capacity < krylov.operator.size
