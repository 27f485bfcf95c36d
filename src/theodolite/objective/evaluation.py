"""One pass over the data: losses and weights of all examples, and what they add up to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from theodolite.objective.rules import Sample
from theodolite.objective.stratification import Design
from theodolite.results import examples_for


@dataclass(frozen=True, eq=False)
class Pass:
    """Losses and weights by example (or by batch where a model gives only its batch's mean)."""

    losses: Float[Tensor, " sample"]
    weights: Float[Tensor, " sample"]
    hits: Float[Tensor, " sample"] | None
    hit_weights: Float[Tensor, " sample"] | None
    scale: float
    design: Design | None = None

    def loss(self) -> float:
        """``scale * sum(weights * losses) / sum(weights)``, in float64."""
        return self.scale * _mean(self.losses, self.weights)

    def loss_error(self) -> float:
        """Standard error of `loss` over the sampling of examples; NaN with fewer than two.

        With a `design` that of its sample, about the mean over all it was drawn from.
        """
        return self.scale * _error(self.losses, self.weights, self.design)

    def examples_needed(self, error: float) -> int:
        """How many examples a standard error of `error` in the loss needs (`results`)."""
        population = None if self.design is None else self.design.population
        return examples_for(error, self.loss_error(), len(self.losses), population)

    def accuracy(self) -> float:
        """The weighted share of right answers; NaN where there are no class labels."""
        if self.hits is None or self.hit_weights is None:
            return math.nan
        return _mean(self.hits, self.hit_weights)

    def accuracy_error(self) -> float:
        """Standard error of `accuracy`."""
        if self.hits is None or self.hit_weights is None:
            return math.nan
        return _error(self.hits, self.hit_weights, self.design)


def gathered(samples: Sequence[Sample], scale: float, design: Design | None = None) -> Pass:
    """The samples of all batches as one pass."""
    losses, weights, hits, counts = zip(*samples, strict=True)
    right = asked = None
    if hits[0] is not None:
        right, asked = torch.cat(hits), torch.cat(counts)
    return Pass(torch.cat(losses), torch.cat(weights), right, asked, scale, design)


def _mean(values: Tensor, weights: Tensor) -> float:
    return float((weights * _counted(values, weights)).sum() / weights.sum())


def _error(values: Tensor, weights: Tensor, design: Design | None) -> float:
    """Standard error of a weighted mean (the ratio estimator's, linearized).

    In NumPy, whose operations cost a fraction of torch's on so few numbers.
    """
    w, v = weights.detach().cpu().numpy(), values.detach().cpu().numpy()
    count = int(np.count_nonzero(w))
    if count < 2:
        return math.nan
    with np.errstate(all="ignore"):  # losses that are not finite give an error that is none
        if count < len(w):
            v = np.where(w == 0, 0.0, v)
        total = w.sum()
        gaps = w * (v - (w @ v) / total)
        size = float(np.abs(gaps).max()) or 1.0  # squares of large or tiny losses leave float64
        gaps = gaps / size
        if design is not None and len(design.stratum) == len(gaps):
            return design.error(gaps, float(total)) * size
        return math.sqrt(count / (count - 1) * float(gaps @ gaps)) * size / float(total)


def _counted(values: Tensor, weights: Tensor) -> Tensor:
    """The values, zero where the weight is zero: what does not count cannot poison a mean."""
    return torch.where(weights == 0, 0.0, values)
