"""Small networks, objectives of them, and permutations planted in them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

import theodolite as td
from theodolite import models


def squared(outputs: Tensor, targets: Tensor) -> Tensor:
    """One loss an example."""
    return (outputs - targets).square().mean(1)


Case = Callable[[], tuple[nn.Module, tuple[int, ...]]]

CASES: dict[str, Case] = {
    "perceptron": lambda: (models.mlp((6, 9, 8, 3), activation="tanh"), (6,)),
    "BatchNorm": lambda: (models.cnn((4, 6)), (1, 8, 8)),
    "residual": lambda: (models.resnet(8, width=4), (1, 8, 8)),
    "transformer": lambda: (models.transformer(16, width=12, heads=3, depth=1), (1, 4, 4)),
    "tied": lambda: (Tied(), (4,)),
}


class Tied(nn.Module):
    """One square matrix used twice: its units are on both of its sides."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again = nn.Linear(4, 6), nn.Linear(6, 6)
        self.last = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.first(x))
        return self.last(torch.tanh(self.again(torch.tanh(self.again(h)))))


def objective(name: str, seed: int = 0, examples: int = 24) -> td.Objective:
    """The objective of a case, whose targets are what the model says: it is a minimum."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, shape = CASES[name]()
        for buffer_name, buffer in model.named_buffers():
            if "running" in buffer_name:
                buffer.add_(torch.rand(buffer.shape))
        x = torch.randn(examples, *shape)
        with torch.no_grad():
            return td.Objective(model, squared, (x, model.eval()(x)))


def two_layers(seed: int, hidden: int = 4) -> nn.Sequential:
    """A network of one hidden layer, in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(3, hidden), nn.Tanh(), nn.Linear(hidden, 2)).double()
