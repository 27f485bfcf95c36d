"""Objectives over a plane whose loss is a chosen function of two coordinates, with many examples.

Examples differ: each has the loss times a smooth factor of its own, and the factors have mean one
everywhere, so that a subset sees what is sharp and not the value, as in a network.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

import theodolite as td

from .formulas import Parameters, double

Function = Callable[[Tensor, Tensor], Tensor]
AXES = torch.eye(2, dtype=torch.float64)
START = double(0.0, 0.0)


def planted(function: Function, examples: int = 800) -> td.Objective:
    """``function(x, y)`` as the loss of ``theta = (x, y)``."""
    order = torch.randperm(examples, generator=torch.Generator().manual_seed(0))
    tilts = torch.linspace(-0.8, 0.8, examples, dtype=torch.float64)[order]

    def losses(outputs: Tensor, targets: Tensor) -> Tensor:
        x, y = outputs[:, 0], outputs[:, 1]
        return function(x, y) * (1 + targets * (0.3 + 0.4 * torch.sin(2 * x) + 0.2 * y))

    return td.Objective(Parameters(START), losses, (torch.zeros(examples, 1), tilts))


def bowl(x: Tensor, y: Tensor) -> Tensor:
    """Smooth, with a tip in the log: nearly zero at its minimum, off the center."""
    return 0.01 + (x - 0.1) ** 2 + 3 * (y + 0.2) ** 2 + (x - 0.1) * (y + 0.2)


def tip(x: Tensor, y: Tensor) -> Tensor:
    """A sharp tip in the log, in the middle."""
    return 2e-3 + x**2 + 2 * y**2


def ravine(x: Tensor, y: Tensor) -> Tensor:
    """A narrow diagonal ravine in a nearly flat plain: seven points a side step over most of it."""
    return 1 + 0.1 * x**2 - 0.95 * torch.exp(-(((x - 0.6 * y - 0.13) / 0.05) ** 2))


def edge(x: Tensor, y: Tensor) -> Tensor:
    """A step of one grid cell, on a slant."""
    return 1 + 20 * torch.sigmoid((x + 0.3 * y - 0.37) / 0.01) + 0.1 * y


def pit(x: Tensor, y: Tensor) -> Tensor:
    """A round pit midway between the nodes a fit starts from; the plain around it knows nothing."""
    return 1 + 0.1 * x**2 - 0.9 * torch.exp(-((x - 0.5) ** 2 + (y + 0.5) ** 2) / 0.06**2)


def ripples(x: Tensor, y: Tensor) -> Tensor:
    """Rings that grow closer together outward."""
    return 1.5 + torch.sin(3 * (x**2 + y**2))


def saddle(x: Tensor, y: Tensor) -> Tensor:
    return x**2 - y**2


def monkey_saddle(x: Tensor, y: Tensor) -> Tensor:
    return x**3 - 3 * x * y**2


def cliff(x: Tensor, y: Tensor) -> Tensor:
    """Infinite beyond a circle in one corner."""
    inside = (x - 1) ** 2 + (y - 1) ** 2 < 0.25
    return torch.where(inside, torch.inf, 1 + x**2 + y**2)
