"""Vertices of simplexes, trained one after the other so that the loss inside is low."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from theodolite import seeds
from theodolite.connectivity.bending import STRATA, batch_slope, endless_batches, fraction
from theodolite.connectivity.simplex_volumes import complex_log_volume
from theodolite.objective import Objective
from theodolite.objective.statistics import batch_norm_layers

OFFSET = 0.1
"""A new vertex begins so far from the middle of the others: a share of their mean distance from
it or, for a single point, of its norm."""


@dataclass(frozen=True)
class Growing:
    """How a vertex is trained: SGD with momentum on the loss minus a share of the log-volume."""

    steps: int
    learning_rate: float
    momentum: float
    weight_decay: float
    volume_weight: float
    longest: float
    seed: int


@dataclass(frozen=True, eq=False)
class Grown:
    """All vertices, the losses of the last vertex's steps, and why it was left early, if so."""

    vertices: Shaped[Tensor, "vertex params"]
    losses: Float64[np.ndarray, " step"]
    stopped: str = ""


def simplexes(points: int, grown: int) -> list[list[int]]:
    """The simplexes of a complex: each point by itself with all vertices grown.

    >>> simplexes(2, 2)
    [[0, 2, 3], [1, 2, 3]]
    """
    return [[k, *range(points, points + grown)] for k in range(points)]


def grown(objective: Objective, vertices: Tensor, points: int, how: Growing) -> Grown:
    """Train one vertex more; BatchNorm layers normalize by the batch."""

    def body() -> Grown:
        for layer in batch_norm_layers(objective.model):
            layer.train()
        return _descent(objective, vertices, points, how)

    return objective.guarded(body, grad=True)


def _descent(objective: Objective, vertices: Tensor, points: int, how: Growing) -> Grown:
    added = len(vertices) - points + 1
    members = simplexes(points, added)
    vertex = beginning(vertices, seeds.torch_generator(how.seed, "vertex", added))
    far = how.longest * float(torch.linalg.vector_norm(vertex - vertices, dim=1).max())
    farthest = max(far, how.longest * _span(vertices))
    leaf = vertex.clone().requires_grad_(True)
    optimizer = torch.optim.SGD([leaf], how.learning_rate, how.momentum)
    kept, losses = vertex, list[float]()
    batches = endless_batches(objective, how.seed, f"simplex batches {added}")
    for step, shares in zip(range(how.steps), _shares(how.seed, members, added), strict=False):
        whole = torch.cat([vertices, leaf.detach()[None]])
        point = torch.from_numpy(shares).to(whole) @ whole
        loss, slope = batch_slope(objective, point, next(batches))
        losses.append(loss)
        slope = float(shares[-1]) * (slope + how.weight_decay * point)
        leaf.grad = slope - how.volume_weight * _growth(vertices, leaf, members)
        optimizer.param_groups[0]["lr"] = how.learning_rate * fraction(step / how.steps)
        optimizer.step()
        if (step + 1) % STRATA == 0 or step + 1 == how.steps:
            here = leaf.detach()
            reason = ""
            if not np.isfinite(losses[-STRATA:]).all() or not bool(torch.isfinite(here).all()):
                reason = "diverged"
            elif float(torch.linalg.vector_norm(here - vertices, dim=1).max()) > farthest:
                reason = "too long"
            if reason:
                return Grown(torch.cat([vertices, kept[None]]), np.array(losses), reason)
            kept = here.clone()
    return Grown(torch.cat([vertices, leaf.detach()[None]]), np.array(losses))


def _growth(vertices: Tensor, leaf: Tensor, members: Sequence[Sequence[int]]) -> Tensor:
    """The gradient of the log-volume in the new vertex."""
    point = leaf.detach().clone().requires_grad_(True)
    volume = complex_log_volume(torch.cat([vertices, point[None]]), members)
    if not bool(torch.isfinite(volume)):
        return torch.zeros_like(leaf)
    return torch.autograd.grad(volume, point)[0]


def beginning(vertices: Tensor, generator: torch.Generator) -> Tensor:
    """Where a new vertex starts: beside the middle of the others, in a random direction."""
    middle = vertices.mean(0)
    spread = float(torch.linalg.vector_norm(vertices - middle, dim=1).mean())
    size = spread if len(vertices) > 1 else float(torch.linalg.vector_norm(middle)) or 1.0
    noise = torch.randn(len(middle), generator=generator, dtype=torch.float64).to(middle)
    made: Tensor = middle + (OFFSET * size / torch.linalg.vector_norm(noise)) * noise
    return made


def _span(vertices: Tensor) -> float:
    middle = vertices.mean(0)
    return 2 * float(torch.linalg.vector_norm(vertices - middle, dim=1).max())


def _shares(
    seed: int, members: Sequence[Sequence[int]], added: int
) -> Iterator[Float64[np.ndarray, " vertex"]]:
    """Shares of all vertices at points drawn evenly from the simplexes, which take turns."""
    generator = seeds.numpy_generator(seed, "simplex places", added)
    count = max(one[-1] for one in members) + 1
    while True:
        for k in generator.permutation(len(members)):
            shares = np.zeros(count)
            shares[list(members[int(k)])] = generator.dirichlet(np.ones(len(members[int(k)])))
            yield shares
