"""The Hessian of a target, multiplied in the same way in every run."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from theodolite.errors import TheodoliteWarning, UnsupportedModel
from theodolite.linalg import Operator
from theodolite.objective import Objective
from theodolite.operators import hessian
from theodolite.surveys.groups import Tell

VARYING = (
    "batches_kept",
    "engine_times",
    "engines_dropped",
    "graph_bytes",
    "memory_budget",
    "products",
)
"""Facts of an operator that differ from run to run: clocks, free memory, counts so far."""


def steady_hessian(objective: Objective) -> Operator:
    """The Hessian at the start, with an engine chosen by rule and never by the clock.

    ``hessian(engine="auto")`` keeps whichever engine is fastest at the moment, and two engines
    round differently; a survey that is continued must give the bits of one made in one go. So
    products go by double backward, one vector at a time, and by differences of gradients where
    a second derivative is missing, with a warning.
    """
    made = hessian(objective, engine="kept")
    probe = torch.ones_like(objective.start)
    try:
        made.matvec(probe)
        reason = ""
    except UnsupportedModel as error:
        reason = error.what
        made = hessian(objective, engine="differences")
        made.matvec(probe)
        warnings.warn(
            TheodoliteWarning(f"{reason} Products use differences of gradients instead."),
            stacklevel=2,
        )
    facts = settled(made.facts, reason)
    return Operator(made.matvec, made.size, made.dtype, made.label, made.device, facts=facts)


def told_products(operator: Operator, tell: Tell | None, most: float | int) -> Operator:
    """`operator`, with a word after every product of how many there have been."""
    if tell is None:
        return operator
    made = 0

    def counted(vector: Tensor) -> Tensor:
        nonlocal made
        found = operator.matvec(vector)
        made += 1
        tell(f"{made:,} products of about {most:,.0f}" if made <= most else f"{made:,} products")
        return found

    return replace(operator, matvec=counted, matmat=None)


def steady_engine(objective: Objective) -> str:
    """The engine of `steady_hessian`, for functions that make operators of their own."""
    return engine_of(steady_hessian(objective))


def engine_of(made: Operator) -> str:
    """What to ask of an operator that shall be multiplied as this one."""
    engine = str(made.facts["engine"])
    return engine if engine == "differences" else "kept"


def settled(facts: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """The facts that are the same in every run."""
    kept = {k: v for k, v in facts.items() if k not in VARYING}
    return {**kept, "switched_because": reason} if reason else kept
