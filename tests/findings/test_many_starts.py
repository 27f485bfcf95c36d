"""Training side by side: each start as if alone.

Oracle: one network trained by torch.optim from the same weights, in the same order.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from theodolite import datasets
from theodolite.findings import many_starts
from theodolite.seeds import torch_generator

HOW = {"width": 5, "starts": 3, "epochs": 4, "rate": 0.1, "batch_size": 13, "seed": 2}


def alone(x: torch.Tensor, y: torch.Tensor, start: int) -> tuple[float, float]:
    """The same training of one network by torch.optim.SGD."""
    weights = many_starts.starting_weights(64, 5, 10, 3, 2)
    parameters = [nn.Parameter(w[start].clone()) for w in weights]

    def loss(rows: torch.Tensor) -> torch.Tensor:
        hidden = (x[rows] @ parameters[0] + parameters[1]).relu()
        return nn.functional.cross_entropy(hidden @ parameters[2] + parameters[3], y[rows])

    optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9)
    for epoch in range(4):
        order = torch.randperm(len(y), generator=torch_generator(2, "order", epoch))
        for i, batch in enumerate(order.tensor_split(4)):
            optimizer.param_groups[0]["lr"] = (
                0.1 * (1 + math.cos(math.pi * (epoch + i / 4) / 4)) / 2
            )
            optimizer.zero_grad()
            loss(batch).backward()
            optimizer.step()
    optimizer.zero_grad()
    end = loss(torch.arange(len(y)))
    end.backward()
    length = math.sqrt(sum(float(p.grad.square().sum()) for p in parameters))
    return float(end.detach()), length


def test_each_start_is_trained_as_if_alone() -> None:
    # kills: a loss averaged over starts, a momentum or schedule left out, another order.
    x, y = datasets.digits(0, limit=50, flatten=True).train
    losses, gradients = many_starts.ends_of_training(x, y, **HOW)
    for start in range(3):
        loss, length = alone(x, y, start)
        assert float(losses[start]) == pytest.approx(loss, rel=1e-4)
        assert float(gradients[start]) == pytest.approx(length, rel=1e-3)


def test_starts_differ_and_repeat() -> None:
    x, y = datasets.digits(0, limit=50, flatten=True).train
    first, again = (many_starts.ends_of_training(x, y, **HOW)[0] for _ in range(2))
    assert torch.equal(first, again)
    assert len(set(first.tolist())) == 3
    other = many_starts.ends_of_training(x, y, **{**HOW, "seed": 3})[0]
    assert not torch.equal(first, other)
