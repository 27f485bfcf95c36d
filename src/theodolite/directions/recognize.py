"""Which normalization directions have, read off the directions themselves."""

from __future__ import annotations

import torch
from jaxtyping import Shaped
from torch import Tensor

from theodolite.directions.normalize import scaled_blocks
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
    Costs a few passes over each vector, and no memory.

    >>> from theodolite.directions import normalized
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
    gap = own = left = 0.0
    for start, stop, block in scaled_blocks(direction, theta, space, name):
        again = torch.from_numpy(block.reshape(-1))
        held = direction[start:stop].detach().to(again)
        gap += float((again - held).square().sum())
        own += float(held.square().sum())
        left += float(again.square().sum())
    if not left > 0:  # normalizing leaves nothing
        return False
    return gap <= CLOSE**2 * own
