"""The evaluators of a plane: as named, or as the planner finds them."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from theodolite.errors import InvalidType
from theodolite.objective import Objective
from theodolite.surfaces.evaluations import PLAIN, Evaluation, parsed
from theodolite.surfaces.evaluators import Evaluator, prepared
from theodolite.surfaces.planning import WORTH_PLANNING, planned

FEW = 50
"""Passes below which nothing is timed."""


def evaluators_for(
    objective: Objective,
    directions: Shaped[Tensor, "two params"],
    base: Shaped[Tensor, " params"],
    *,
    alphas: Float[np.ndarray, " alpha"],
    betas: Float[np.ndarray, " beta"],
    test: Objective | None = None,
    evaluation: str = "plain",
    share: float = 1.0,
) -> tuple[dict[str, Evaluator | None], dict[str, Any]]:
    """An evaluator for the objective (under "") and for the test objective (under "test_").

    Also what the result records: ``evaluation``, the name that gives the same bits again. The
    planner is asked once, for the objective; `share` is the share of the grid that is evaluated.
    """
    if not isinstance(evaluation, str):
        raise InvalidType(
            f"evaluation must be a name; got {type(evaluation).__name__}.",
            fix='use "auto", "plain", or the name a result recorded.',
            code="E-G12",
        )
    start = start_of(objective, base)
    passes = share * len(alphas) * len(betas)
    chosen = parsed(evaluation) if evaluation != "auto" else None
    if chosen is None:
        chosen = fastest(objective, start, directions.to(start), alphas, betas, passes)
    found: dict[str, Evaluator | None] = {"": prepared(objective, start, directions, chosen)}
    if test is not None:
        found["test_"] = prepared(test, start_of(test, base), directions, chosen)
    return found, {"evaluation": chosen.name}


def start_of(objective: Objective, base: Shaped[Tensor, " params"]) -> Shaped[Tensor, " params"]:
    """The point of the slice in the precision in which its points are computed."""
    wide = torch.promote_types(base.dtype, objective.space.dtype)
    return base.to(device=objective.device, dtype=wide)


def fastest(
    objective: Objective,
    start: Tensor,
    directions: Tensor,
    alphas: Float[np.ndarray, " alpha"],
    betas: Float[np.ndarray, " beta"],
    passes: float,
) -> Evaluation:
    """The planner's choice; the plain one for work too short to be worth it."""
    if passes < FEW or objective.ranks is not None:  # clocks of several processes disagree
        return PLAIN
    began = time.perf_counter()
    objective.value(start)
    if passes * (time.perf_counter() - began) < WORTH_PLANNING:
        return PLAIN
    reach = (float(np.abs(alphas).max()), float(np.abs(betas).max()))
    return planned(objective, start, directions, reach, passes=passes)[0]
