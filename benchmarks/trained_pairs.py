"""Pairs of networks trained on the shipped digits from different seeds, for matching.

1,297 examples train, 500 are left for tests (one fixed order). SGD with momentum 0.9 and a rate
of 0.1: perceptrons for 600 steps of 128 examples, residual networks for 8 epochs of 64.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

import theodolite as td
from theodolite.datasets import digits

State = dict[str, Tensor]
Trained = tuple[td.Objective, State, State]


class Block(nn.Module):
    """Two 3x3 convolutions with BatchNorm beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            *convolution(width, width), nn.ReLU(), *convolution(width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.inner(x))


class Residual(nn.Module):
    """A stem, two blocks and a linear layer over the mean of the image."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(*convolution(1, width), nn.ReLU())
        self.blocks = nn.Sequential(Block(width), Block(width))
        self.head = nn.Linear(width, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


def convolution(inputs: int, outputs: int) -> list[nn.Module]:
    """A convolution without bias, and BatchNorm."""
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)]


def data(*, train: bool = True) -> tuple[Tensor, Tensor]:
    """The first 1,297 of all digits in a fixed random order, or the other 500."""
    parts = digits().parts().values()
    x, y = (torch.cat(both) for both in zip(*parts, strict=True))
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    chosen = order[:1297] if train else order[1297:]
    return x[chosen], y[chosen]


def perceptrons(width: int, depth: int, *, seed: int) -> Trained:
    """Two perceptrons of `depth` hidden layers, of seeds ``2 seed`` and ``2 seed + 1``."""

    def net() -> nn.Module:
        sizes = [64, *depth * [width], 10]
        layers = [nn.Flatten()]
        for inputs, outputs in pairwise(sizes):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    return trained_pair(net, steps=600, batch=128, seed=seed)


def residuals(width: int, *, seed: int, limit: int | None = None) -> Trained:
    """Two residual networks with BatchNorm, of seeds ``2 seed`` and ``2 seed + 1``."""
    return trained_pair(lambda: Residual(width), steps=8 * 21, batch=64, seed=seed, limit=limit)


def convolutional(width: int, *, seed: int) -> Trained:
    """Two convolutional networks without norms, of seeds ``2 seed`` and ``2 seed + 1``."""

    def net() -> nn.Module:
        return nn.Sequential(
            *(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(width, width, 3, padding=1), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)),
        )

    return trained_pair(net, steps=600, batch=128, seed=seed)


def trained_pair(
    make: Callable[[], nn.Module], *, steps: int, batch: int, seed: int, limit: int | None = None
) -> Trained:
    """The objective of the training data (or `limit` of them), and two state dicts."""
    x, y = data()
    states, model = [], None
    for own in (2 * seed, 2 * seed + 1):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(own)
            model = make().train()
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
            for _ in range(steps):
                picked = torch.randint(len(x), (batch,))
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x[picked]), y[picked]).backward()
                optimizer.step()
            states.append({n: t.clone() for n, t in model.state_dict().items()})
    model.load_state_dict(states[0])
    return td.Objective(model.eval(), nn.CrossEntropyLoss(), (x, y), limit=limit), *states
