"""Saddles whose curvature is known, in losses whose batches are noisy in a known direction."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from theodolite import datasets
from theodolite.findings.tanh_network import TanhNetwork
from theodolite.objective import Objective
from theodolite.seeds import torch_generator

GROWTH = 0.1
"""Rate times curvature: displacements grow by a tenth at every step, where the rate allows it."""


@dataclass(frozen=True, eq=False)
class Saddle:
    """A loss that starts at its saddle, the size of its lowest eigenvalue, and a learning rate."""

    objective: Objective
    curvature: float
    rate: float

    @property
    def growth(self) -> float:
        """The factor by which a displacement along the lowest eigenvector grows in a step."""
        return 1 + self.rate * self.curvature


class _Valley(nn.Module):
    """:math:`x^2/2 - y^2/2 + y^4/4` plus a term linear in the data."""

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def forward(self, data: Tensor) -> Tensor:
        x, y = self.theta
        losses: Tensor = x**2 / 2 - y**2 / 2 + y**4 / 4 + data @ self.theta
        return losses


def _itself(outputs: Tensor, targets: Tensor) -> Tensor:
    return outputs


def valley(*, noise: float, across: bool = False, seed: int) -> Saddle:
    """:math:`x^2/2 - y^2/2 + y^4/4` at 0, with four batches of gradient noise of mean zero.

    Batch gradients have entries of standard deviation ``noise / sqrt(2)``; with ``across``, the
    noise has no part along y, the direction that curves down. The sum of all rows is zero without
    rounding: without noise, descent from 0 stays there.
    """
    generator = torch_generator(seed, "valley")
    drawn = noise * torch.randn(2, 2, 2, generator=generator, dtype=torch.float64)
    if across:
        drawn[..., 1] = 0.0
    rows = torch.stack([drawn, -drawn], dim=1).reshape(-1, 2)
    objective = Objective(_Valley(), _itself, (rows, torch.zeros(len(rows))), batch_size=2)
    return Saddle(objective, curvature=1.0, rate=GROWTH)


def zero_network(*, examples: int, units: int, seed: int) -> Saddle:
    r"""A tanh network of two layers with all weights zero, on as many digits of every class.

    Every batch has a gradient in the output bias only. The Hessian couples the layers by
    :math:`M = \mathbb E[(p - y) x^\top]`, the softmax outputs less the targets: its lowest
    eigenvalue is minus the largest singular value of M, once for every unit.
    """
    x, y = datasets.digits(seed, limit=examples, flatten=True).train
    x = x.double()
    targets = nn.functional.one_hot(y, 10).double()
    coupling = (0.1 - targets).T @ x / len(y)
    curvature = float(torch.linalg.matrix_norm(coupling, 2))
    network = TanhNetwork(
        torch.zeros(units, x.shape[1], dtype=torch.float64),
        torch.zeros(10, units, dtype=torch.float64),
    )
    objective = Objective(network, nn.CrossEntropyLoss(), (x, y), batch_size=10)
    return Saddle(objective, curvature=curvature, rate=GROWTH / curvature)


def duplicated_units(*, curvature: float = 0.2, rate: float = 0.2) -> Saddle:
    r"""Two equal tanh units, at a critical point from which the loss falls as they part.

    .. math:: f(x) = a_1 \tanh(w_1 x) + a_2 \tanh(w_2 x) + b, \qquad w = (1, 1), \quad
        a = (2, 2), \quad b = 0

    with squared error on :math:`t = 4 \tanh x + r(x)`. The residual r is the part of
    :math:`q(x) = x^2 \tanh'' x` that is orthogonal to :math:`\tanh x` and :math:`x \tanh' x`, so
    that the gradient is zero, and scaled so that the Hessian along :math:`w_1 - w_2`, which is
    :math:`-4\,\mathbb E[r q]`, is minus `curvature`. That is its lowest eigenvalue: along
    :math:`w_1 + w_2` the same number adds to a square. Every batch has equal gradients in
    both units.
    """
    x = torch.linspace(-4, 4, 32, dtype=torch.float64).reshape(4, 8).T.flatten()
    slope = torch.cosh(x) ** -2
    bend = -2 * torch.tanh(x) * slope * x**2
    tangent = torch.stack([torch.tanh(x), x * slope], dim=1)
    free = bend - tangent @ torch.linalg.lstsq(tangent, bend[:, None]).solution[:, 0]
    targets = 4 * torch.tanh(x) + free * curvature / (4 * (free * bend).mean())
    network = TanhNetwork(
        torch.ones(2, 1, dtype=torch.float64), torch.full((1, 2), 2.0, dtype=torch.float64)
    )
    data = (x[:, None], targets[:, None])
    objective = Objective(network, nn.MSELoss(), data, batch_size=4)
    return Saddle(objective, curvature=curvature, rate=rate)
