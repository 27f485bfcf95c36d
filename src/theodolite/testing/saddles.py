"""Losses whose critical points and their signs are known in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from theodolite.objective import Objective
from theodolite.testing.oracles import orthogonal_matrix


class Valley(nn.Module):
    r""":math:`x^2/2 - y^2/2 + y^4/4` plus a term linear in the data, for noise with mean zero.

    A saddle at 0 with eigenvalues 1 and -1, and minima at ``(0, 1)`` and ``(0, -1)``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def forward(self, data: Tensor) -> Tensor:
        return valley(self.theta) + data @ self.theta


class Plateau(nn.Module):
    r""":math:`x^2/2 + y^3/3 + s y`: no critical point for a slope s above 0.

    At 0 the gradient ``(0, s)`` is in the kernel of the Hessian ``diag(1, 0)``, and its norm is a
    minimum.
    """

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.zeros(2, dtype=torch.float64))
        self.slope = slope

    def forward(self, data: Tensor) -> Tensor:
        x, y = self.theta
        losses: Tensor = x**2 / 2 + y**3 / 3 + self.slope * y + data @ self.theta
        return losses


def valley(theta: Tensor) -> Tensor:
    """The loss of `Valley` without data."""
    x, y = theta
    loss: Tensor = x**2 / 2 - y**2 / 2 + y**4 / 4
    return loss


def itself(outputs: Tensor, targets: Tensor) -> Tensor:
    """A loss that is what the model returns."""
    return outputs


def objective_of(
    model: nn.Module, data: Float64[Tensor, "example features"] | None = None, **settings: Any
) -> Objective:
    """The mean of what `model` returns on `data`, by default two rows of zeros."""
    rows = torch.zeros(2, 2, dtype=torch.float64) if data is None else data
    return Objective(model, itself, (rows, torch.zeros(len(rows))), **settings)


@dataclass(frozen=True, eq=False)
class LinearAutoencoder:
    r"""A linear autoencoder ``W2 W1`` with squared error, on inputs of a chosen covariance.

    Its critical points are :math:`W_2 W_1 = U_S U_S^\top` with the principal directions `S` of
    any choice of at most ``hidden`` ones, and no others (Baldi, Hornik 1989). ``eigenvalues`` of
    the covariance are distinct and positive.

    >>> net = LinearAutoencoder((4.0, 3.0, 2.0, 1.0), hidden=2)
    >>> net.negative_directions((0, 1)), net.negative_directions((3,))
    (0, 6)
    """

    eigenvalues: tuple[float, ...]
    hidden: int

    @property
    def directions(self) -> Float64[Tensor, "size size"]:
        """Principal directions of the inputs, in columns."""
        return orthogonal_matrix(len(self.eigenvalues), seed=3)

    def objective(self) -> Objective:
        """Mean squared error; parameters are W1 by rows and then W2 by rows."""
        size = len(self.eigenvalues)
        lengths = torch.tensor(self.eigenvalues, dtype=torch.float64).sqrt() * size**0.5
        inputs = (self.directions * lengths).T.contiguous()
        layers = nn.Linear(size, self.hidden, bias=False), nn.Linear(self.hidden, size, bias=False)
        return Objective(nn.Sequential(*layers).double(), nn.MSELoss(), (inputs, inputs))

    def point(self, chosen: tuple[int, ...]) -> Float64[Tensor, " params"]:
        """The critical point of some principal directions; unused units are zero."""
        size = len(self.eigenvalues)
        encoder = torch.zeros(self.hidden, size, dtype=torch.float64)
        encoder[: len(chosen)] = self.directions[:, list(chosen)].T
        return torch.cat([encoder.flatten(), encoder.T.flatten()])

    def negative_directions(self, chosen: tuple[int, ...]) -> int:
        """The index there: one for every swap that gains, and one for every direction that an
        unused unit could take up."""
        left = [j for j in range(len(self.eigenvalues)) if j not in chosen]
        swaps = sum(self.eigenvalues[j] > self.eigenvalues[i] for i in chosen for j in left)
        return swaps + (self.hidden - len(chosen)) * len(left)

    def loss(self, chosen: tuple[int, ...]) -> float:
        """The loss there: the variance left over, a coordinate."""
        left = sum(v for j, v in enumerate(self.eigenvalues) if j not in chosen)
        return left / len(self.eigenvalues)
