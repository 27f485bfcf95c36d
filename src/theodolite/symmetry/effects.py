"""Parameters without any effect on the function, such as a bias of keys under a softmax."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from theodolite.symmetry.actions import boxes, positions
from theodolite.symmetry.symmetry import Symmetries

ROUNDING = 1e-13
"""A derivative times its parameter, over the outputs, that is below this is rounding."""


def without_effect(symmetries: Symmetries, seed: int = 0) -> dict[str, Bool[Tensor, " entry"]]:
    """The entries of parameters, flat and by name, that the outputs do not depend on.

    Found by one backward pass of a random sum of the outputs, in float64 at generic values: a box
    of a tensor (a whole one, or a part of a fused one) all of whose derivatives are rounding.
    Derivatives of exactly zero are another matter: rectified units that none of the example
    inputs reaches have them, and others may reach them.
    """
    return symmetries._proof.guarded(lambda: _found(symmetries, seed))  # type: ignore[no-any-return]


def _found(symmetries: Symmetries, seed: int) -> dict[str, Tensor]:
    names = list(symmetries.parameters)
    state, gradients, size = symmetries._proof.derivatives(names, seed)
    found: dict[str, Tensor] = {}
    for name, gradient in zip(names, gradients, strict=True):
        mask = torch.zeros(state[name].numel(), dtype=torch.bool)
        reach = (gradient * state[name]).abs().reshape(-1).cpu()
        for box in boxes(symmetries.layouts[name]):
            at = positions(box).reshape(-1)
            if at.numel() and 0 < float(reach[at].max()) <= ROUNDING * size:
                mask[at] = True
        if mask.any():
            found[name] = mask
    return found
