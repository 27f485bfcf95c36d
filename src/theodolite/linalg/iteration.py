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
from theodolite.linalg.selection import preference, thresholds

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
    residuals: Float64[np.ndarray, " count"]


@dataclass(frozen=True, eq=False)
class Search:
    """A second run from a random row: where it begins, its remainders, what was known then."""

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
        settled = ritz.residuals <= _slack(krylov, ritz, goal)
        found = len(settled) == goal.count and bool(settled.all())
        if goal.progress is not None:
            goal.progress(int(settled.sum()), goal.count)
        search = _still_valid(search, krylov, ritz, goal)
        bound = _bound(krylov, search, ritz, goal)
        searched = bound <= goal.miss_probability or (search is not None and krylov.full)
        if (found and searched) or krylov.products >= goal.max_products or _stuck(krylov, goal):
            return Outcome(krylov, ritz, settled, found, bound)
        if found and search is not None:
            krylov = states.turned(krylov, np.eye(krylov.pending)[-1])
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
    """All Ritz pairs; the residual norms are those of the wanted ones."""
    values, vectors = np.linalg.eigh(states.section(krylov))
    order = preference(values, goal.which)
    vectors = vectors[:, order]
    tails = states.outside(krylov, vectors[:, : goal.count])
    return Ritz(values[order], vectors, np.linalg.norm(tails, axis=0))


def _slack(krylov: Krylov, ritz: Ritz, goal: Goal) -> float:
    """The residual allowed, at least one rounding of the largest Ritz value."""
    rounding = float(torch.finfo(krylov.rows.dtype).eps)
    return max(goal.tolerance, rounding) * float(np.abs(ritz.values).max())


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


def _begun(krylov: Krylov, ritz: Ritz, goal: Goal) -> tuple[Krylov, Search | None]:
    """Make room, and put a random row first among the pending."""
    capacity, size = len(krylov.rows), krylov.operator.size
    if krylov.known == size:
        return krylov, None  # all directions are known: multiplying the pending ones is enough
    if capacity < size and 2 * (capacity - krylov.known) < capacity - goal.count:
        krylov = _restarted(krylov, ritz, goal, share=4)
    krylov = states.with_random_row(krylov, _generator(krylov, goal))
    return krylov, Search(krylov.multiplied, 0.0, _sorted(ritz.values[: goal.count], goal))


def _lengthened(search: Search, krylov: Krylov) -> Search:
    left = krylov.last_norm
    grown = search.log_remainders + (float(np.log(left)) if left > 0 else -np.inf)
    return replace(search, log_remainders=grown)


def _aimed(krylov: Krylov, ritz: Ritz, settled: Bool[np.ndarray, " count"], goal: Goal) -> Krylov:
    """The next product goes where the residuals of the unsettled pairs are largest."""
    if krylov.pending == 0:
        if krylov.full:
            krylov = _restarted(krylov, ritz, goal, share=2)
        return states.with_random_row(krylov, _generator(krylov, goal))
    wanted = ritz.vectors[:, : goal.count]
    tails = states.outside(krylov, wanted[:, ~settled] if not settled.all() else wanted)
    krylov = states.turned(krylov, np.linalg.svd(tails)[0][:, 0])
    return _restarted(krylov, ritz, goal, share=2) if krylov.full else krylov


def _restarted(krylov: Krylov, ritz: Ritz, goal: Goal, *, share: int) -> Krylov:
    """Keep the wanted Ritz vectors and, in a `share`-th of the room left, the next best."""
    room = len(krylov.rows) - goal.count - krylov.pending
    keep = min(krylov.multiplied, goal.count + room // share)
    return states.restarted(krylov, ritz.vectors[:, :keep].copy())


def _stuck(krylov: Krylov, goal: Goal) -> bool:
    """No restart makes room: as many copies were found as the basis can hold."""
    return krylov.full and goal.count + krylov.pending + 2 > len(krylov.rows)
