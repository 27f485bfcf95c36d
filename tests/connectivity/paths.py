"""Losses of one weight whose whole curve is known, and networks whose BatchNorm is."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

import theodolite as td


class Weight(nn.Module):
    """One weight, shown to a loss for every example."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.w.expand(len(x))


def curve(loss: Callable[[Tensor, Tensor], Tensor], scale: Tensor | None = None) -> td.Objective:
    """The objective whose examples lose ``loss(w, scale)``."""
    values = torch.ones(4, dtype=torch.float64) if scale is None else scale
    return td.Objective(Weight(), loss, (values[:, None], values))


def double_well(scale: Tensor | None = None) -> td.Objective:
    """The mean of ``scale * (w^2 - 1)^2``."""
    return curve(lambda w, s: s * (w**2 - 1) ** 2, scale)


def at(w: float) -> Tensor:
    """The point of one weight."""
    return torch.tensor([w], dtype=torch.float64)


def normalized(seed: int = 0) -> nn.Module:
    """A linear layer, BatchNorm, and a linear layer, in float64 and evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
        return made.double().eval()


def classes(examples: int = 40, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Gaussian inputs and the classes that a plane makes of them."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(examples, 3, generator=generator, dtype=torch.float64)
    return x, (x.sum(1) > 0).long()
