"""Small networks and data whose averages are known."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import theodolite as td


class Shifted(nn.Module):
    """Linear, BatchNorm, linear, and a buffer that shifts the inputs: none of it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 2)
        self.register_buffer("shift", torch.zeros(3))
        self.register_buffer("seen", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.norm(self.first(x + self.shift))))


def shifted(seed: int = 0, shift: float = 0.0, seen: int = 0) -> nn.Module:
    """A `Shifted` in float64 whose buffers are told."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = Shifted().double().eval()
    made.shift.fill_(shift)
    made.seen.fill_(seen)
    made.norm.num_batches_tracked.fill_(seen)
    return made


def perceptron(seed: int = 0) -> nn.Module:
    """Two hidden layers, in float64."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 2)
        return nn.Sequential(*layers).double()


def fitted(seed: int, data: tuple[Tensor, Tensor], steps: int = 80) -> nn.Module:
    """A perceptron that has learned the data."""
    made = perceptron(seed)
    optimizer = torch.optim.SGD(made.parameters(), 0.3, 0.9)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(made(data[0]), data[1]).backward()
        optimizer.step()
    return made.requires_grad_(True)


def bowl(scale: float = 1.0, inputs: Tensor | None = None, to: float = 0.0) -> td.Objective:
    """The mean of ``(scale w x - to x)^2`` for one weight; by default ``w^2``."""
    x = torch.ones(4, 1, dtype=torch.float64) if inputs is None else inputs
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.zeros_(model.weight)
    return td.Objective(model, nn.MSELoss(), (scale * x, to * x))


def uneven(data: tuple[Tensor, Tensor], *cuts: int) -> list[tuple[Tensor, Tensor]]:
    """Data as batches of the given sizes."""
    return list(zip(*(t.split(list(cuts)) for t in data), strict=True))
