"""The learning rates that a path between two points is trained at, one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np

from theodolite.errors import InvalidArgument


@runtime_checkable
class Trained(Protocol):
    """What training gave, and why it was left early: empty where it was not."""

    @property
    def stopped(self) -> str:
        """Why training ended early."""


Path = TypeVar("Path", bound=Trained)

FIRST = 0.1
"""The rate that "auto" begins with: one at which networks train by SGD with momentum."""

TRIES = 5
"""Rates that "auto" tries at most, each a third of the one before."""


def rates_of(learning_rate: Any) -> list[float]:
    """The rate given alone, or for "auto" the rates to try until one does not run away.

    >>> [round(rate, 4) for rate in rates_of("auto")]
    [0.1, 0.0333, 0.0111, 0.0037, 0.0012]
    """
    if isinstance(learning_rate, str) and learning_rate == "auto":
        return [FIRST / 3**k for k in range(TRIES)]
    number = isinstance(learning_rate, int | float | np.number)
    fits = number and not isinstance(learning_rate, bool) and math.isfinite(learning_rate)
    if not fits or learning_rate <= 0:
        raise InvalidArgument(
            f'learning_rate must be positive or "auto"; got {learning_rate!r}.', code="E-A20"
        )
    return [float(learning_rate)]


def first_that_stays(
    rates: Sequence[float], train: Callable[[float], Path]
) -> tuple[Path, list[float]]:
    """What training gives at the first rate that does not run away, or the last; rates tried."""
    tried = [rates[0]]
    made = train(rates[0])
    for rate in rates[1:]:
        if not made.stopped:
            break
        tried.append(rate)
        made = train(rate)
    return made, tried
