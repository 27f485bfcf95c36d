"""Whether derivatives of this objective can be trusted here, as one unit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from theodolite.certificates import certify
from theodolite.surveys.groups import Group, Unit
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target

PASSES, EXAMPLES, DOUBLE = 150, 32, 2.0
"""About so many forward passes over so many examples, in double precision at this factor."""

WIDE = 27
"""Vectors of the network's size in float64, measured: products and what they are held against."""


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """One group of one unit."""
    cost = DOUBLE * PASSES * min(1.0, EXAMPLES / target.objective.examples)
    vectors = WIDE * 8 // target.objective.start.element_size()
    return (
        Group("certificate", "certificate", partial(opening, seed), passes=cost, vectors=vectors),
    )


def opening(seed: int, target: Target) -> Unit:
    """Nothing to prepare."""
    return lambda _: certify(target.objective, seed=seed)


CERTIFICATE = Measure(
    "certificate",
    "checks of determinism, symmetry and derivatives at the surveyed point",
    {"quick": {}, "standard": {}, "thorough": {}},
    groups,
)
