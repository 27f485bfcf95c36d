"""How much of the gradient noise points where the loss curves down."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from theodolite.curvature.descents import Line
from theodolite.curvature.escape_fields import Field
from theodolite.errors import UnsupportedModel
from theodolite.linalg.hutchinson import trace_estimate
from theodolite.linalg.operator import Operator
from theodolite.linalg.products import inner, product
from theodolite.objective import Objective
from theodolite.operators import gradient_covariance

DENSE = 512
"""Up to this size the trace of the covariance is exact."""


@dataclass(frozen=True)
class Noise:
    r"""Variance of gradients along the direction, and its mean over all directions.

    Of single examples (``along``, ``mean``) by `gradient_covariance`, and of the objective's own
    batches about their mean (``batch_along``, ``batch_mean``). NaN where there are none.
    """

    along: float = math.nan
    mean: float = math.nan
    batch_along: float = math.nan
    batch_mean: float = math.nan


def noise_at(field: Field, objective: Objective | None, line: Line, seed: int) -> Noise:
    """The noise at the line's origin; a gradient of every batch and some covariance products."""
    if objective is None:
        return Noise()
    along, mean = _of_examples(objective, line, seed)
    if len(field.shares) < 2:
        return Noise(along, mean)

    def of_batches() -> Tensor:
        return torch.stack([field.batch_gradient(line.origin, b) for b in range(len(field.shares))])

    rows: Any = field.guarded(of_batches)
    shares = field.shares.to(rows)
    rows = rows - shares @ rows
    batch_along = float(shares @ (rows @ line.direction) ** 2)
    batch_mean = float(shares @ rows.square().sum(1)) / len(line.origin)
    return Noise(along, mean, batch_along, batch_mean)


def _of_examples(objective: Objective, line: Line, seed: int) -> tuple[float, float]:
    """Along the direction, and the mean; NaN where the loss is not known by example."""
    if objective.examples < 2:
        return math.nan, math.nan
    try:
        covariance = gradient_covariance(objective, line.origin, engine="kept")
        along = inner(line.direction, product(covariance, line.direction, step=1))
    except UnsupportedModel:
        return math.nan, math.nan
    return along, _trace(covariance, seed) / covariance.size


def _trace(covariance: Operator, seed: int) -> float:
    if covariance.size > DENSE:
        return trace_estimate(covariance, tolerance=0.05, max_products=200, seed=seed).trace
    total = 0.0
    for index in range(covariance.size):
        unit = torch.zeros(covariance.size, dtype=covariance.dtype, device=covariance.device)
        unit[index] = 1.0
        total += float(product(covariance, unit, step=index + 1)[index])
    return total
