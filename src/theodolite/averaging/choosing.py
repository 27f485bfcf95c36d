"""Which members a greedy soup takes: every trial, its score, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from theodolite import results
from theodolite.averaging.averages import averaged
from theodolite.averaging.members import Member, shares_of
from theodolite.averaging.readings import one_pass
from theodolite.objective import Objective


@dataclass(frozen=True)
class Trial:
    """A member tried: the score before it, the score with it, and whether it was taken."""

    place: int
    before: float
    score: float
    taken: bool


def chosen(
    objective: Objective, validation: Objective, members: Sequence[Member], way: str
) -> list[Trial]:
    """Every member in the order tried, the best first."""

    def score(member: Member) -> float:
        found = one_pass(validation, member)
        return found.accuracy() if way == "accuracy" else found.loss()

    alone = [score(m) for m in members]
    sign = 1 if way == "accuracy" else -1
    worth = [sign * s if np.isfinite(s) else -np.inf for s in alone]
    first, *rest = sorted(range(len(members)), key=lambda k: -worth[k])
    trials, taken, best = [Trial(first, np.nan, alone[first], True)], [first], alone[first]
    for k in rest:
        tried = [members[j] for j in (*taken, k)]
        found = score(averaged(objective, tried, shares_of(None, len(tried)), "trial"))
        fits = bool(sign * found >= sign * best)
        trials.append(Trial(k, best, found, fits))
        if fits:
            taken, best = [*taken, k], found
    return trials


def told(trials: Sequence[Trial], matrix: xr.Dataset, way: str) -> dict[str, results.Variable]:
    """The choice by member."""
    count = len(trials)
    order, taken = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.uint8)
    score, before, highest = (np.full(count, np.nan) for _ in range(3))
    for number, trial in enumerate(trials):
        k = trial.place
        order[k], taken[k], score[k], before[k] = number, trial.taken, trial.score, trial.before
        highest[k] = barrier_to_taken(trials, number, matrix)[0]
    words = {
        "taken": (taken, "1 where the member is in the soup"),
        "order": (order, "place in the order of trials"),
        "score": (score, f"{way} on the selection data with this member in"),
        "score_before": (before, f"{way} on the selection data without it"),
        "barrier_to_taken": (highest, "highest barrier to a member in the soup before it"),
    }
    return {k: (("member",), v, {"long_name": w}) for k, (v, w) in words.items()}


def barrier_to_taken(trials: Sequence[Trial], number: int, matrix: xr.Dataset) -> tuple[float, int]:
    """The highest barrier between a member and those taken before it, and to which."""
    earlier = [t.place for t in trials[:number] if t.taken]
    row = matrix["barrier"].values[trials[number].place]
    if not earlier:
        return np.nan, trials[number].place
    most = max(earlier, key=lambda j: np.nan_to_num(row[j], nan=np.inf))
    return float(row[most]), most


def reasons(
    trials: Sequence[Trial], matrix: xr.Dataset, labels: Sequence[str], way: str
) -> list[str]:
    """Why each member is in the soup or not, in the order tried."""
    made = [f"{labels[trials[0].place]}: the best alone, {way} {trials[0].score:.4g}; taken."]
    for number, trial in enumerate(trials[1:], start=1):
        height, other = barrier_to_taken(trials, number, matrix)
        made.append(
            f"{labels[trial.place]}: with it the {way} goes from {trial.before:.4g} to "
            f"{trial.score:.4g}; {'taken' if trial.taken else 'not taken'}. Its highest barrier to "
            f"those taken is {height:.3g}, to {labels[other]}."
        )
    return made
