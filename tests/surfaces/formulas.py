"""Models whose loss is a known function of their parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import theodolite as td


class Parameters(nn.Module):
    """Returns its parameters, joined, once an example; the input only counts the examples."""

    def __init__(self, *tensors: Tensor) -> None:
        super().__init__()
        self.parts = nn.ParameterList([nn.Parameter(t.clone()) for t in tensors])

    def forward(self, x: Tensor) -> Tensor:
        joined = torch.cat([p.reshape(-1) for p in self.parts])
        return joined.expand(len(x), -1)


def half_squares(outputs: Tensor, targets: Tensor) -> Tensor:
    """``|theta - y|^2 / 2`` for each example."""
    return ((outputs - targets) ** 2).sum(1) / 2


def products(outputs: Tensor, targets: Tensor) -> Tensor:
    """``y' theta`` for each example."""
    return (outputs * targets).sum(1)


def cubes(outputs: Tensor, targets: Tensor) -> Tensor:
    """``y' theta^3``: not symmetric in anything, so that mixed up points show."""
    return (outputs**3 * targets).sum(1)


def quadratic(center: Tensor, start: Tensor | None = None, examples: int = 1) -> td.Objective:
    """``|theta - center|^2 / 2``; with more examples, each has the same center."""
    model = Parameters(center.clone() if start is None else start)
    y = center.expand(examples, -1).clone()
    return td.Objective(model, half_squares, (torch.zeros(examples, 1), y))


def linear(slopes: Tensor, start: Tensor) -> td.Objective:
    """``slopes' theta``."""
    return td.Objective(Parameters(start), products, (torch.zeros(1, 1), slopes[None]))


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Gaussian numbers in double precision."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def orthonormal(size: int, seed: int = 0) -> Tensor:
    """Two orthogonal directions of length one."""
    return torch.linalg.qr(normal(size, 2, seed=seed)).Q.T.contiguous()
