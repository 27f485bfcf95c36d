"""Perceptrons of one hidden layer trained side by side, each in an order of its own, and looked at
along the way: runs from independent starts, copies of one run that part, snapshots of a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from theodolite.findings.many_starts import MOMENTUM, Weights, each_gradient
from theodolite.findings.network_grid import perceptron
from theodolite.seeds import torch_generator

Rate = Callable[[float], float | Tensor]
"""The learning rate, by the epochs done: one for all networks, or ``(network, 1, 1)``."""

Orders = Callable[[int], Sequence[int]]
"""The number of every network's order of the data, by epoch: equal numbers are equal orders."""


def cosine(rate: float | Tensor, epochs: int) -> Rate:
    """From `rate` down to zero in `epochs`, and again from the start.

    Source: Loshchilov, Hutter (2017), arXiv:1608.03983.

    >>> falling = cosine(0.2, 10)
    >>> falling(0.0), round(falling(5.0), 3), falling(10.0)
    (0.2, 0.1, 0.2)
    """
    return lambda done: rate * (1 + math.cos(math.pi * (done % epochs) / epochs)) / 2


def constant(rate: float) -> Rate:
    """The same `rate` throughout."""
    return lambda done: rate


def own_orders(networks: int) -> Orders:
    """Every network in an order of its own."""
    return lambda epoch: range(networks)


def run_side_by_side(
    start: Weights,
    x: Float[Tensor, "example input"],
    y: Int[Tensor, "*network example"],
    *,
    rate: Rate,
    orders: Orders,
    epochs: int,
    batch_size: int,
    seed: int,
    looks: Collection[int] = (),
) -> dict[int, Weights]:
    """The weights of all networks after the epochs in `looks`, and after the last.

    SGD with momentum 0.9 from `start`, with the cross-entropy; labels ``(example,)``, or
    ``(network, example)``. Each network is trained as if it were alone. Copies of a start whose
    orders are equal for some epochs are equal until then up to rounding, momentum included. Costs
    a forward and backward pass of a batch for every network and step.

    >>> from theodolite.findings.many_starts import starting_weights
    >>> x, y = torch.eye(4), torch.tensor([0, 1, 0, 1])
    >>> start = [w.repeat(2, 1, 1) for w in starting_weights(4, 3, 2, 1, 0)]
    >>> apart = lambda epoch: (0, 0) if epoch < 2 else (0, 1)
    >>> how = {"rate": constant(0.1), "orders": apart, "batch_size": 2, "seed": 0}
    >>> found = run_side_by_side(start, x, y, epochs=6, looks=(2,), **how)
    >>> [torch.allclose(w[0], w[1], atol=1e-6) for w in (found[2][0], found[6][0])]
    [True, False]
    """
    weights = [w.clone() for w in start]
    speeds = [torch.zeros_like(w) for w in weights]
    labels = y.expand(len(weights[0]), -1)
    batches = math.ceil(len(x) / batch_size)
    kept = {0: [w.clone() for w in weights]} if 0 in looks else {}
    for epoch in range(epochs):
        drawn = {
            number: torch.randperm(len(x), generator=torch_generator(seed, "order", number, epoch))
            for number in sorted(set(orders(epoch)))
        }
        order = torch.stack([drawn[number] for number in orders(epoch)])
        for i, batch in enumerate(order.tensor_split(batches, dim=1)):
            eta = rate(epoch + i / batches)
            found = each_gradient(weights, x[batch], labels.gather(1, batch))
            for w, v, g in zip(weights, speeds, found, strict=True):
                v.mul_(MOMENTUM).add_(g)
                w.sub_(eta * v)
        if epoch + 1 in looks or epoch + 1 == epochs:
            kept[epoch + 1] = [w.clone() for w in weights]
    return kept


def network(weights: Weights, k: int) -> nn.Module:
    """The network of number `k`, in float64."""
    return perceptron([w[k] for w in weights])
