"""Perceptrons of one width trained side by side, each by a recipe of its own, to one loss."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from theodolite.findings.many_starts import (
    MOMENTUM,
    Weights,
    each_gradient,
    each_loss,
    starting_weights,
)
from theodolite.seeds import torch_generator

CHECK = 5


@dataclass(frozen=True, eq=False)
class Ends:
    """Where each training ended: weights of both layers, the loss, and whether it got there."""

    weights: Weights
    loss: Float[Tensor, " network"]
    reached: Bool[Tensor, " network"]
    steps: Int[Tensor, " network"]


def trained_together(
    x: Float[Tensor, "example input"],
    y: Int[Tensor, "network example"],
    *,
    width: int,
    rates: Sequence[float],
    decays: Sequence[float],
    batch_size: int,
    target: float,
    epochs: int,
    seed: int,
    radii: Sequence[float] | None = None,
) -> Ends:
    """ReLU perceptrons trained by SGD until the loss over all their examples is at most `target`.

    Each has labels, a constant rate and a weight decay of its own; all share the momentum, the
    batch size and the order of the data. With ``radii`` each is trained by SAM with a radius of
    its own, of which 0 is SGD. The loss is looked at every `CHECK` steps; a network
    that got there, or whose loss is not finite, is left as it is. Each is trained as if alone.
    A step costs one forward and backward pass of the networks still in training, two with radii.

    >>> x, y = torch.eye(4), torch.tensor([[0, 1, 0, 1], [1, 0, 0, 1]])
    >>> how = {"width": 8, "rates": [0.1, 0.2], "decays": [0.0, 0.0], "batch_size": 2, "seed": 0}
    >>> ends = trained_together(x, y, target=0.1, epochs=200, **how)
    >>> ends.reached.tolist(), bool((ends.loss <= 0.1).all())
    ([True, True], True)
    """
    count, classes = len(y), int(y.max()) + 1
    weights = starting_weights(x.shape[1], width, classes, count, seed)
    speeds = [torch.zeros_like(w) for w in weights]
    rate, decay, radius = (
        torch.tensor(v, dtype=x.dtype)[:, None, None] for v in (rates, decays, radii or [0] * count)
    )
    kept = [w.clone() for w in weights]
    loss = torch.full((count,), math.nan)
    reached = torch.zeros(count, dtype=torch.bool)
    taken = torch.zeros(count, dtype=torch.int64)
    still, step = torch.arange(count), 0

    def keep(ending: Tensor, now: Tensor) -> None:
        """What the networks `ending` (among those still training) have come to."""
        at = still[ending]
        loss[at], taken[at], reached[at] = now[ending], step, now[ending] <= target
        for end, w in zip(kept, weights, strict=True):
            end[at] = w[ending]

    batches = math.ceil(x.shape[0] / batch_size)
    for epoch in range(epochs):
        order = torch.randperm(x.shape[0], generator=torch_generator(seed, "order", epoch))
        for batch in order.tensor_split(batches):
            near = weights
            if radii is not None:
                near = uphill(weights, each_gradient(weights, x[batch], y[still][:, batch]), radius)
            found = each_gradient(near, x[batch], y[still][:, batch])
            for w, v, g in zip(weights, speeds, found, strict=True):
                v.mul_(MOMENTUM).add_(g + decay * w)
                w.sub_(rate * v)
            step += 1
            if step % CHECK:
                continue
            now = each_loss(weights, x, y[still])
            ending = (now <= target) | ~now.isfinite()
            if bool(ending.any()):
                keep(ending, now)
                going = ~ending
                still, rate, decay, radius = (v[going] for v in (still, rate, decay, radius))
                weights, speeds = ([w[going] for w in ws] for ws in (weights, speeds))
            if not len(still):
                return Ends(kept, loss, reached, taken)
    keep(torch.ones(len(still), dtype=torch.bool), each_loss(weights, x, y[still]))
    return Ends(kept, loss, reached, taken)


def uphill(weights: Weights, gradient: Sequence[Tensor], radius: Tensor) -> Weights:
    """Each network's weights moved by its `radius`, ``(network, 1, 1)``, along its gradient.

    A network without a gradient, at a stationary point, stays.

    >>> uphill([torch.zeros(1, 1, 2)], [torch.tensor([[[3.0, 4.0]]])], torch.full((1, 1, 1), 10.0))
    [tensor([[[6., 8.]]])]
    """
    length = torch.stack([g.square().sum((1, 2)) for g in gradient]).sum(0).sqrt()
    share = radius / length.clamp_min(torch.finfo(length.dtype).tiny)[:, None, None]
    return [w + share * g for w, g in zip(weights, gradient, strict=True)]
