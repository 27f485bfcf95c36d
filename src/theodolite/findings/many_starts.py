"""Perceptrons of one hidden layer trained side by side from many initializations."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from theodolite.seeds import torch_generator

MOMENTUM = 0.9

Weights = list[Tensor]


def ends_of_training(
    x: Float[Tensor, "example input"],
    y: Int[Tensor, " example"],
    *,
    width: int,
    starts: int,
    epochs: int,
    rate: float,
    batch_size: int,
    seed: int,
) -> tuple[Float[Tensor, " start"], Float[Tensor, " start"]]:
    """Training loss and length of its gradient where SGD ends, from every start.

    ReLU networks with He initialization, momentum 0.9, a cosine schedule, and one order of the
    data for all starts. Each start is trained as if it were alone.

    >>> x, y = torch.eye(4), torch.tensor([0, 1, 0, 1])
    >>> how = {"width": 8, "epochs": 100, "rate": 0.1, "batch_size": 2, "seed": 0}
    >>> loss, gradient = ends_of_training(x, y, starts=3, **how)
    >>> bool((loss < 0.1).all()), gradient.shape
    (True, torch.Size([3]))
    """
    classes = int(y.max()) + 1
    weights = starting_weights(x.shape[1], width, classes, starts, seed)
    speeds = [torch.zeros_like(w) for w in weights]
    batches = math.ceil(len(y) / batch_size)
    for epoch in range(epochs):
        order = torch.randperm(len(y), generator=torch_generator(seed, "order", epoch))
        for i, batch in enumerate(order.tensor_split(batches)):
            share = (epoch + i / batches) / epochs
            eta = rate * (1 + math.cos(math.pi * share)) / 2
            for w, v, g in zip(
                weights, speeds, each_gradient(weights, x[batch], y[batch]), strict=True
            ):
                v.mul_(MOMENTUM).add_(g)
                w.sub_(eta * v)
    slopes = each_gradient(weights, x, y)
    lengths = torch.stack([g.flatten(1).square().sum(1) for g in slopes]).sum(0).sqrt()
    return each_loss(weights, x, y), lengths


def starting_weights(inputs: int, width: int, classes: int, starts: int, seed: int) -> Weights:
    """Weights and biases of both layers, the starts along the first dimension."""
    generator = torch_generator(seed, "starts", width)
    first = torch.randn(starts, inputs, width, generator=generator) * math.sqrt(2 / inputs)
    second = torch.randn(starts, width, classes, generator=generator) / math.sqrt(width)
    return [first, torch.zeros(starts, 1, width), second, torch.zeros(starts, 1, classes)]


def each_loss(weights: Weights, x: Tensor, y: Tensor) -> Tensor:
    """Mean cross-entropy of each start; labels ``(example,)``, or ``(start, example)``."""
    first, bias, second, last = weights
    outputs = (x @ first + bias).relu() @ second + last
    wanted = y.expand(len(outputs), -1)
    return cross_entropy(outputs.transpose(1, 2), wanted, reduction="none").mean(1)


def each_gradient(weights: Weights, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """Each start's own gradient: no loss depends on another's weights."""
    leaves = [w.detach().requires_grad_() for w in weights]
    return torch.autograd.grad(each_loss(leaves, x, y).sum(), leaves)
