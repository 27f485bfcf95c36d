"""The loss of a network so small that its whole Hessian is at hand, and places in it."""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from theodolite import datasets
from theodolite.findings.tanh_network import TanhNetwork
from theodolite.objective import Objective

INPUTS, UNITS, CLASSES = 8, 5, 4


class _Penalized(nn.Module):
    """Losses of single examples: squared error, and a penalty on the size of the weights."""

    def __init__(self, network: TanhNetwork, decay: float) -> None:
        super().__init__()
        self.network, self.decay = network, decay

    def forward(self, rows: Tensor) -> Tensor:
        inputs, targets = rows[:, :-CLASSES], rows[:, -CLASSES:]
        weights = torch.cat([p.flatten() for p in self.network.parameters()])
        errors = (self.network(inputs) - targets).square().mean(1)
        losses: Tensor = errors + weights.square().sum() * (self.decay / 2)
        return losses


def _itself(outputs: Tensor, targets: Tensor) -> Tensor:
    return outputs


def landscape(examples: int, *, decay: float) -> Objective:
    r"""Squared error of a tanh network, 8-5-4 with 69 parameters, on four classes of the digits.

    .. math:: L(\theta) = \operatorname{mean} (f_\theta(x) - y)^2 + \tfrac d2 \|\theta\|^2

    with d the `decay`, which keeps critical points from infinity. Inputs are the first eight
    principal components of the images, each of variance 1, and a constant; targets are 1 for the
    class and 0 else. Starts at weights zero.
    """
    x, y = datasets.digits(0, flatten=True).train
    kept = torch.nonzero(y < CLASSES)[:examples, 0]
    images = x[kept].double()
    left, _, _ = torch.linalg.svd(images - images.mean(0), full_matrices=False)
    ones = torch.ones(len(kept), 1, dtype=torch.float64)
    inputs = torch.cat([left[:, :INPUTS] * len(kept) ** 0.5, ones], dim=1)
    targets = nn.functional.one_hot(y[kept], CLASSES).double()
    network = TanhNetwork(
        torch.zeros(UNITS, INPUTS + 1, dtype=torch.float64),
        torch.zeros(CLASSES, UNITS, dtype=torch.float64),
    )
    rows = torch.cat([inputs, targets], dim=1)
    model = _Penalized(network, decay)
    return Objective(model, _itself, (rows, torch.zeros(len(rows))), batch_size=len(rows))


def near_descent(
    objective: Objective, *, steps: int, noise: float, generator: torch.Generator
) -> Float64[Tensor, " params"]:
    """A random start, some steps of gradient descent down from it, and then off the way.

    Weights begin with standard deviation 0.5 and move at a rate of 0.5; `noise` is the standard
    deviation of what is added at the end.
    """

    def drawn() -> Tensor:
        return torch.randn(objective.start.numel(), generator=generator, dtype=torch.float64)

    theta = 0.5 * drawn()
    for _ in range(steps):
        theta = theta - 0.5 * objective.gradient(theta)
    moved: Tensor = theta + noise * drawn()
    return moved
