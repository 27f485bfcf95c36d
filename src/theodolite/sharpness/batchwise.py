"""An objective's examples in disjoint batches, each an objective of its own."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from theodolite import seeds
from theodolite.errors import InvalidArgument, UnsupportedModel
from theodolite.objective import Objective
from theodolite.objective.arrangement import subset
from theodolite.sharpness.arguments import at_least


def batches_of(
    objective: Objective, theta: Tensor, batch_size: int, seed: int
) -> Iterator[Objective]:
    """Batches of `batch_size` examples in a random order; what is left over is left out.

    Each has its own mean (or sum): the weights of its examples and no other. Reads the data once
    a batch, and costs one forward pass of it. Batches in which no example counts are left out.
    """
    at_least(1, batch_size, "batch_size")
    if batch_size > objective.examples:
        raise InvalidArgument(
            f"batch_size must be at most the number of examples, {objective.examples}; "
            f"got {batch_size}.",
            code="E-H17",
        )
    if objective.ranks is not None:
        raise UnsupportedModel(
            "batches of examples cannot be taken apart where processes share an objective.",
            fix="build the objective without process_group, or leave batch_size out.",
            code="E-H18",
        )
    order = torch.randperm(objective.examples, generator=seeds.torch_generator(seed, "batches"))
    for k in range(objective.examples // batch_size):
        chosen = order[k * batch_size : (k + 1) * batch_size].tolist()
        made = subset(objective, chosen)
        weight = float(made.sample(theta).weights.sum())
        object.__setattr__(made, "total_weight", weight)
        object.__setattr__(made, "scale", weight if objective.terms.summed else 1.0)
        object.__setattr__(made, "design", None)
        if weight > 0:
            yield made
