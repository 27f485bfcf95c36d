"""Permutations learned through the loss half-way between two networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from theodolite.connectivity.bending import batch_slope, endless_batches
from theodolite.connectivity.ends import End
from theodolite.connectivity.units import moved_end
from theodolite.objective import Objective
from theodolite.objective.statistics import batch_norm_layers
from theodolite.symmetry import Symmetries
from theodolite.symmetry.assignment import ascent
from theodolite.symmetry.matching import weight_problem


@dataclass(frozen=True)
class Learning:
    """How the free copy is trained: SGD with momentum."""

    steps: int = 100
    learning_rate: float = 0.5
    momentum: float = 0.9
    sweeps: int = 50
    seed: int = 0


def straight_through(
    objective: Objective,
    found: Symmetries,
    ends: tuple[End, End],
    first: Mapping[str, Tensor],
    dead: Mapping[str, Tensor],
    how: Learning,
) -> list[dict[str, Tensor]]:
    r"""The different permutations that the steps come through, `first` in front.

    .. math:: \pi_t = \arg\max_\pi \langle \hat\theta_t, \pi\theta_b \rangle, \qquad
        \hat\theta_{t+1} = \hat\theta_t
        - \eta\,\nabla L\bigl(\tfrac12(\theta_a + \pi_t\theta_b)\bigr)

    with a free copy :math:`\hat\theta_0 = \theta_a`; each maximization is a weight matching that
    begins at the permutation before. BatchNorm layers normalize by the batch.
    """
    a, b = ends

    def body() -> list[dict[str, Tensor]]:
        for layer in batch_norm_layers(objective.model):
            layer.train()
        free, velocity = a.theta.clone(), torch.zeros_like(a.theta)
        seen, now = [dict(first)], dict(first)
        batches = endless_batches(objective, how.seed, "straight-through batches")
        for _ in range(how.steps):
            middle = torch.lerp(a.theta, moved_end(found, b, now).theta, 0.5)
            _, gradient = batch_slope(objective, middle, next(batches))
            velocity = how.momentum * velocity + gradient
            free = free - how.learning_rate * velocity
            if not bool(torch.isfinite(free).all()):
                break
            problem = weight_problem(found, free, b.theta, dead)
            now, _ = ascent(problem, now, how.sweeps)
            if not any(_same(now, other) for other in seen):
                seen.append(now)
        return seen

    return objective.guarded(body, grad=True)


def _same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(p, other[name]) for name, p in one.items())
