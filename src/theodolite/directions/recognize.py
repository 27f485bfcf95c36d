"""Which normalization directions have, read off the directions themselves."""

from __future__ import annotations

from jaxtyping import Shaped
from torch import Tensor

from theodolite.directions.normalize import normalized
from theodolite.errors import TheodoliteError
from theodolite.parameters import ParameterSpace

CLOSE = 1e-3
"""Relative to its length, how far normalizing may move a direction that has the norms already."""


def recognized(
    directions: Shaped[Tensor, "count params"],
    theta: Shaped[Tensor, " params"],
    space: ParameterSpace,
) -> str | None:
    """The normalization that leaves all `directions` as they are; None where there is none.

    "filter" comes before "layer" and "model", whose norms it has too where nothing is left out.
    Costs a few passes over each vector.

    >>> import torch
    >>> space = ParameterSpace.from_model(torch.nn.Linear(2, 2, bias=False))
    >>> theta, noise = torch.tensor([3.0, 4.0, 0.0, 1.0]), torch.ones(1, 4)
    >>> recognized(normalized(noise[0], theta, space, "layer")[None], theta, space)
    'layer'
    >>> recognized(noise, theta, space) is None
    True
    """
    for name in ("filter", "layer", "model"):
        if all(_has(d, theta, space, name) for d in directions):
            return name
    return None


def _has(direction: Tensor, theta: Tensor, space: ParameterSpace, name: str) -> bool:
    try:
        again = normalized(direction, theta, space, name)
    except TheodoliteError:  # it would be zero, or is not finite: others say so
        return False
    gap = (again - direction).double().norm()
    return bool(gap <= CLOSE * direction.double().norm())
