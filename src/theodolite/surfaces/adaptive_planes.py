"""A plane from few evaluations, for an objective and its test objective."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float, Shaped
from torch import Tensor

from theodolite.errors import InvalidArgument
from theodolite.objective import Objective
from theodolite.objective.same_space import check_same_space
from theodolite.surfaces import agreement
from theodolite.surfaces.adaptive import Adapted, adapted
from theodolite.surfaces.evaluating import evaluators_for, start_of
from theodolite.surfaces.rows import Progress, Values, plane_rows

COUNTED = ("status", "sampled")

TYPICAL = 150
"""Passes a plane is expected to take, for a progress bar."""

SHARE = 0.05
"""Of the grid's points, about so many are passes over all data."""


def adaptive_values(
    objective: Objective,
    directions: Shaped[Tensor, ...],
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    alphas: Float[np.ndarray, " alpha"],
    betas: Float[np.ndarray, " beta"],
    test: Objective | None = None,
    tolerance: float | int = 0.02,
    evaluation: str = "plain",
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Values, dict[str, Any]]:
    """What a plane from few evaluations holds, and what it records; see `plane`.

    The test objective has its own points, fit and held-out error, under names with ``test_``.
    """
    base = agreement.checked_theta(objective, theta)
    axes = agreement.checked_directions(objective, directions)
    check_tolerance(tolerance)
    if test is not None:
        check_same_space(objective, test, moved=theta is not None)
    values: Values = {}
    facts: dict[str, Any] = {"tolerance": tolerance}
    points = len(alphas) * len(betas)
    told = _Told(progress, 2 if test is not None else 1, min(points, TYPICAL))
    evaluators, named = evaluators_for(
        objective,
        axes,
        base,
        alphas=alphas,
        betas=betas,
        test=test,
        evaluation=evaluation,
        share=SHARE,
    )
    for each, prefix in ((objective, ""), (test, "test_")):
        if each is None:
            continue
        start = start_of(each, base)
        along = axes.to(start)
        made = adapted(
            each,
            start,
            along,
            alphas,
            betas,
            tolerance=tolerance,
            seed=seed,
            ticked=told,
            evaluator=evaluators[prefix],
        )
        told.next()
        values |= _named(made, prefix)
        facts |= {f"{prefix}{k}": v for k, v in made.facts.items()}
    return values, facts | named


def dense_values(
    objective: Objective,
    directions: Shaped[Tensor, ...],
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    alphas: Float[np.ndarray, " alpha"],
    betas: Float[np.ndarray, " beta"],
    test: Objective | None = None,
    evaluation: str = "plain",
    progress: Progress | None = None,
) -> tuple[Values, dict[str, Any]]:
    """What a plane measured at every point holds, and how its points were evaluated."""
    base = agreement.checked_theta(objective, theta)
    axes = agreement.checked_directions(objective, directions)
    evaluators, named = evaluators_for(
        objective, axes, base, alphas=alphas, betas=betas, test=test, evaluation=evaluation
    )
    values = plane_rows(
        objective,
        axes,
        theta=theta,
        alphas=alphas,
        betas=betas,
        rows=range(len(alphas)),
        test=test,
        evaluators=evaluators,
        progress=progress,
    )
    return values, named


def check_tolerance(tolerance: Any) -> None:
    """Raise unless a tolerance is a share of a range."""
    number = isinstance(tolerance, int | float) and not isinstance(tolerance, bool)
    if not number or not math.isfinite(tolerance) or not 0 < tolerance < 1:
        raise InvalidArgument(
            f"tolerance must lie between 0 and 1, a share of the surface's range; got "
            f"{tolerance!r}.",
            fix='for example tolerance=0.02, or method="dense" to measure every point.',
            code="E-G13",
        )


def _named(made: Adapted, prefix: str) -> Values:
    found: Values = {}
    for name, values in made.values.items():
        dtype = np.uint8 if name in COUNTED else np.float64
        found[prefix + name] = np.array(values, dtype=dtype)
    for name, held in made.held_out.items():
        found[f"{prefix}held_out_{name}"] = np.array(held, dtype=np.float64)
    return found


class _Told:
    """Adds up passes for a progress function that wants whole ones and a total."""

    def __init__(self, progress: Progress | None, parts: int, expected: float | int) -> None:
        self.progress, self.parts, self.done, self.expected = progress, parts, 0.0, expected
        self.ended = 0.0

    def __call__(self, passes: float) -> None:
        self.done += passes
        if self.progress is not None:
            total = max(self.ended + self.expected * self.parts, self.done)
            self.progress(math.floor(self.done + 1e-9), math.ceil(total - 1e-9))

    def next(self) -> None:
        self.parts -= 1
        self.ended = self.done
