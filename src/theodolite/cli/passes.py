"""How long a forward pass takes here and now, which plans turn into times."""

from __future__ import annotations

import statistics
import time

from theodolite.surveys.target import Target

PASSES, SHORT = 5, 0.2
"""Passes that are timed at most, and the seconds after which none is begun."""


def seconds_a_pass(target: Target) -> float:
    """How long one forward pass over the training examples takes, after a first one.

    The median of up to five, of which none is begun after a fifth of a second.
    """
    target.objective.value()
    began = time.perf_counter()
    spent: list[float] = []
    while not spent or (len(spent) < PASSES and time.perf_counter() - began < SHORT):
        start = time.perf_counter()
        target.objective.value()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent)
