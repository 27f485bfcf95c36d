"""What every measure of noise asks of its arguments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.stats import t as student
from torch import Tensor

from theodolite.errors import InvalidArgument, UnsupportedModel
from theodolite.objective import Objective


def point_of(objective: Objective, theta: Tensor | None) -> Tensor:
    """The point measured at; refuses objectives whose examples meet each other."""
    objective.refuse_recompute("gradient of a single example")
    if objective.ranks is not None:
        raise UnsupportedModel(
            "gradients of single examples cannot be gathered where processes share an objective.",
            fix="build the objective without process_group.",
            code="E-Y01",
        )
    if objective.mode == "train":
        raise UnsupportedModel(
            'an objective in mode="train" has no gradients of single examples.',
            why="batch statistics and dropout make an example's loss depend on its batch.",
            fix='build the objective with mode="eval".',
            code="E-Y02",
        )
    return objective.point(theta).clone()


def number(
    value: Any, name: str, *, above: float | int = -math.inf, below: float | int = math.inf
) -> float:
    """A finite number strictly between two bounds."""
    fine = isinstance(value, int | float | np.integer | np.floating) and math.isfinite(value)
    if not fine or isinstance(value, bool) or not above < value < below:
        limits = " and ".join(
            f"{word} {bound:g}"
            for word, bound in (("above", above), ("below", below))
            if math.isfinite(bound)
        )
        raise InvalidArgument(f"{name} must be a number {limits}; got {value!r}.", code="E-Y03")
    return float(value)


def count(value: Any, name: str, *, least: int = 1, most: float | int = math.inf) -> int:
    """A whole number between two bounds, which it may reach."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not least <= value <= most:
        upper = "or more" if math.isinf(most) else f"to {most:g}"
        raise InvalidArgument(
            f"{name} must be a whole number, {least} {upper}; got {value!r}.", code="E-Y04"
        )
    return int(value)


def unseen(population: Any, examples: int) -> float:
    """The share of the population that is not in the data: 1 - N / population."""
    if population == "data":
        return 0.0
    if population == "distribution":
        return 1.0
    if isinstance(population, int) and not isinstance(population, bool) and population >= examples:
        return 1 - examples / population
    raise InvalidArgument(
        'population must be "data", "distribution" or the number of examples the data were drawn '
        f"from, {examples} or more; got {population!r}.",
        code="E-Y05",
    )


def quantile(level: float, samples: int) -> float:
    """Student's t of a two-sided interval at `level` from so many samples."""
    return float(student.ppf((1 + level) / 2, max(samples - 1, 1)))
