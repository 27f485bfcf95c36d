"""Losses of two weights whose valleys and saddles are known."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import theodolite as td

Rows = list[list[float]]

MINIMA = torch.tensor([[-0.558224, 1.441726], [0.623499, 0.028038]], dtype=torch.float64)
"""Two of the three minima of the Mueller-Brown surface; the third lies between."""

SADDLES = torch.tensor([[-0.822001, 0.624313], [0.212487, 0.292988]], dtype=torch.float64)
"""Its two saddles, from the far left, with the losses below."""

SADDLE_LOSSES = (-40.66484, -72.24894)


class MuellerBrown(nn.Module):
    """Mueller and Brown's (1979) sum of four exponentials in two weights, for every example."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(2, dtype=torch.float64))
        rows = [
            [-200.0, -1.0, 0.0, -10.0, 1.0, 0.0],
            [-100.0, -1.0, 0.0, -10.0, 0.0, 0.5],
            [-170.0, -6.5, 11.0, -6.5, -0.5, 1.5],
            [15.0, 0.7, 0.6, 0.7, -1.0, 1.0],
        ]
        self.register_buffer("terms", torch.tensor(rows, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        height, a, b, c, x0, y0 = self.terms.T
        dx, dy = self.w[0] - x0, self.w[1] - y0
        return x * (height * torch.exp(a * dx**2 + b * dx * dy + c * dy**2)).sum()


class Ring(nn.Module):
    """``|w|^2 - 1`` for every example: with the square as loss, zero on the unit circle."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, 0.0], dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return x * ((self.w**2).sum() - 1)


def mueller_brown() -> td.Objective:
    """The surface itself as the loss of three examples."""
    one = torch.ones(3, 1, dtype=torch.float64)
    return td.Objective(MuellerBrown(), lambda out, zero: (out - zero).squeeze(1), (one, 0 * one))


def ring() -> td.Objective:
    """The mean of ``(|w|^2 - 1)^2``, in two batches."""
    one = torch.ones(4, 1, dtype=torch.float64)
    return td.Objective(Ring(), nn.MSELoss(), [(one[:2], 0 * one[:2]), (one[2:], 0 * one[2:])])
