"""Whether derivatives of this objective can be trusted here, as one unit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from theodolite.surveys.groups import Group, Unit
from theodolite.surveys.measures.settings import GRADIENT
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target

GRADIENTS = 30
"""About so many gradients, in double precision where the model allows."""


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """One group of one unit."""
    cost = GRADIENT * GRADIENTS
    return (Group("certificate", "certificate", partial(opening, seed), passes=cost, vectors=12),)


def opening(seed: int, target: Target) -> Unit:
    """Nothing to prepare."""
    from theodolite.certificates import certify

    return lambda _: certify(target.objective, seed=seed)


CERTIFICATE = Measure(
    "certificate",
    "checks of determinism, symmetry and derivatives at the surveyed point",
    {"quick": {}, "standard": {}, "thorough": {}},
    groups,
)
