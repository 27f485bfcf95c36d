"""Control points of a curve, trained so that the loss on it is low."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from theodolite import seeds
from theodolite.connectivity.families import coefficients, rate_scale
from theodolite.connectivity.segments import Advance
from theodolite.engines.failures import named_failures
from theodolite.objective import Objective
from theodolite.objective.batches import Batch
from theodolite.objective.statistics import batch_norm_layers

STRATA = 8
"""Every so many steps visit as many equal parts of the curve, once each, in random order."""


@dataclass(frozen=True)
class Training:
    """How a curve is trained: SGD with momentum, at a rate that falls off as Garipov's does."""

    kind: str
    points: int
    steps: int
    learning_rate: float
    momentum: float
    weight_decay: float
    longest: float
    seed: int


@dataclass(frozen=True, eq=False)
class Bent:
    """All control points, the losses of the steps made, and why training ended early, if so."""

    controls: Shaped[Tensor, "control params"]
    losses: Float64[np.ndarray, " step"]
    stopped: str = ""


def mixed(weights: Float64[np.ndarray, " control"], controls: Tensor) -> Tensor:
    """The point of the curve with these coefficients; exactly an end where one of them is one."""
    if 1.0 in weights:
        return controls[int(np.argmax(weights))].clone()
    return torch.as_tensor(weights).to(controls) @ controls


def bent(
    objective: Objective, a: Tensor, b: Tensor, how: Training, progress: Advance | None = None
) -> Bent:
    """Train the inner control points from the straight line; one gradient of a batch a step.

    BatchNorm layers normalize by the batch while training.
    """

    def body() -> Bent:
        for layer in batch_norm_layers(objective.model):
            layer.train()
        return _descent(objective, a, b, how, progress)

    return objective.guarded(body, grad=True)


def _descent(
    objective: Objective, a: Tensor, b: Tensor, how: Training, progress: Advance | None
) -> Bent:
    count = how.points + 2
    start = torch.stack([torch.lerp(a, b, k / (count - 1)) for k in range(count)])
    inner = start[1:-1].clone().requires_grad_(True)
    scale = rate_scale(how.kind, count)
    optimizer = torch.optim.SGD([inner], how.learning_rate, how.momentum)
    chord = float((b - a).norm())
    kept, losses = inner.detach().clone(), list[float]()
    batches, places = endless_batches(objective, how.seed, "curve batches"), _places(how.seed)
    for step in range(how.steps):
        weights = coefficients(how.kind, count, np.array(next(places)))
        whole = torch.cat([a[None], inner.detach(), b[None]])
        loss, gradient = batch_slope(objective, mixed(weights, whole), next(batches))
        losses.append(loss)
        gradient = gradient + how.weight_decay * mixed(weights, whole)
        share = torch.as_tensor(weights[1:-1]).to(whole)
        inner.grad = (share * scale)[:, None] * gradient
        optimizer.param_groups[0]["lr"] = how.learning_rate * fraction(step / how.steps)
        optimizer.step()
        if (step + 1) % STRATA == 0 or step + 1 == how.steps:
            reason = _unfit(torch.cat([a[None], inner.detach(), b[None]]), chord, losses, how)
            if reason:
                return Bent(torch.cat([a[None], kept, b[None]]), np.array(losses), reason)
            kept = inner.detach().clone()
            if progress is not None:
                progress("step", step + 1, how.steps)
    return Bent(torch.cat([a[None], kept, b[None]]), np.array(losses))


def fraction(done: float) -> float:
    """The rate as a share of the first: constant for a half, then falling to a hundredth.

    >>> fraction(0.2), round(fraction(0.7), 3), fraction(1.0)
    (1.0, 0.505, 0.01)
    """
    return 1.0 if done <= 0.5 else max(0.01, 1.0 - 0.99 * (done - 0.5) / 0.4)


def _unfit(controls: Tensor, chord: float, losses: list[float], how: Training) -> str:
    """Why the control points are of no use: not finite, or too long a polygon."""
    if not np.isfinite(losses[-STRATA:]).all() or not bool(torch.isfinite(controls).all()):
        return "diverged"
    length = float(controls.diff(dim=0).norm(dim=1).sum())
    return "too long" if length > how.longest * chord else ""


def batch_slope(objective: Objective, theta: Tensor, batch: Batch) -> tuple[float, Tensor]:
    """The mean loss of a batch at a point, and its gradient; zero where no label counts."""
    leaf = theta.detach().clone().requires_grad_(True)

    def body() -> tuple[float, Tensor]:
        losses, weights = objective.terms.losses(objective.model, batch)
        if not bool(weights.any()):
            return 0.0, torch.zeros_like(leaf)
        loss = objective.scale * (losses * weights.to(losses)).sum() / weights.sum().to(losses)
        (found,) = torch.autograd.grad(loss, leaf)
        return float(loss.detach()), found

    with named_failures("gradient", batch.index):
        return objective.forward.run(leaf, body)


def endless_batches(objective: Objective, seed: int, stream: str) -> Iterator[Batch]:
    """The objective's batches without end, in a new order every time where they are in memory."""
    generator = seeds.numpy_generator(seed, stream)
    while True:
        if objective.data.kept is None:
            yield from objective.data
        else:
            for k in generator.permutation(len(objective.data.kept)):
                yield objective.data.kept[int(k)]


def _places(seed: int) -> Iterator[Float[np.ndarray, ""] | float]:
    """Places on the curve, stratified: of every `STRATA` one in each part."""
    generator = seeds.numpy_generator(seed, "curve places")
    while True:
        for part in generator.permutation(STRATA):
            yield float((part + generator.uniform()) / STRATA)
