"""Whether trainings are made at once or one after another: measured, with the reason kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from theodolite.errors import TheodoliteError
from theodolite.training.ensembles import train_together, why_alone
from theodolite.training.recipe import Recipe
from theodolite.training.until import Stop, train_until

PILOT, REPEATS = 10, 3
"""Updates that are timed, after one that is not, and how often; the fastest counts."""

AGREEMENT = 1e-3
"""Relative distance of weights after the pilot above which batching is not believed."""

FAILURES = (
    TheodoliteError,
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a network without a batched form may raise."""


@dataclass(frozen=True)
class Manner:
    """How an ensemble is trained: ``together`` or not, why, and seconds an update either way.

    Seconds are of all members, and NaN where nothing was timed.
    """

    together: bool
    reason: str
    seconds_together: float = float("nan")
    seconds_alone: float = float("nan")


def training_manner(recipes: Sequence[Recipe], *, updates: int = PILOT) -> Manner:
    """Time a few updates either way and take the faster one; alone where batching is not right.

    Batching is right where its weights after the pilot are those of the first member trained
    alone, to a relative distance of a thousandth. Costs about ``4 * updates`` updates of all
    members together, and as many of one. The answer depends on the clock: whoever needs the
    same bits again keeps it.

    >>> from theodolite import datasets, models
    >>> recipe = Recipe(lambda: models.mlp((64, 10)), datasets.digits(limit=50, flatten=True))
    >>> training_manner([recipe]).reason
    'there is one training'
    """
    if len(recipes) < 2:
        return Manner(False, "there is one training")
    reason = why_alone(recipes)
    if reason:
        return Manner(False, reason)
    recipes = [replace(r, epochs=max(r.epochs, updates)) for r in recipes]
    try:
        one, batched = _seconds(lambda stop: train_together(recipes, stop), updates)
    except FAILURES as error:
        first = (str(error).strip() or "no message").splitlines()[0]
        return Manner(False, f"it has no batched form: {type(error).__name__}: {first}"[:200])
    alone, single = _seconds(lambda stop: [train_until(recipes[0], stop)], updates)
    alone *= len(recipes)
    gap = _distance(batched[0].model, single[0].model)
    if not gap <= AGREEMENT:
        return Manner(False, f"batched and single weights differ by {gap:.1e}", one, alone)
    words = (
        f"{len(recipes)} at once take {1e3 * one:.3g} ms an update, one by one {1e3 * alone:.3g}"
    )
    return Manner(one < alone, words, one, alone)


def _seconds(train: Callable[[Stop], Any], updates: int) -> tuple[float, Any]:
    """Seconds an update without what a training costs besides, and what was trained."""
    train(Stop(1))
    short: list[float] = []
    long: list[float] = []
    for _ in range(REPEATS):
        for stop, times in ((Stop(1), short), (Stop(1 + updates), long)):
            began = time.perf_counter()
            found = train(stop)
            times.append(time.perf_counter() - began)
    return max(min(long) - min(short), 1e-9) / updates, found


def _distance(a: torch.nn.Module, b: torch.nn.Module) -> float:
    """Relative distance of two networks' parameters."""
    first, second = (
        torch.cat([p.detach().double().reshape(-1) for p in m.parameters()]) for m in (a, b)
    )
    return float((first - second).norm() / second.norm().clamp_min(1e-300))
