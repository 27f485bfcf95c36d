"""Whether the loss of an example depends on the examples beside it, as a broadcast makes it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from theodolite.engines.problem import MISTAKES
from theodolite.errors import InvalidData, TheodoliteError, TheodoliteWarning

Rule = Callable[[Any, Any], tuple[Tensor, Tensor]]

COUPLED = 1e-4
"""Change of an example's loss, relative to their mean, that is no rounding."""


def check_apart(rule: Rule, outputs: Any, targets: Any, label: str) -> None:
    """Raise on a loss that broadcasts outputs and targets; warn where it couples examples.

    The first half of the examples must have the losses by themselves that they have in the
    batch. Costs one evaluation of the loss alone. Not checked: losses that take no half batch.
    """
    whole = rule(outputs, targets)[0].detach()
    count = len(whole)
    if count < 2:
        return
    half = count // 2
    try:
        alone = rule(*(_first(tree, half, count) for tree in (outputs, targets)))[0].detach()
    except (TheodoliteError, *MISTAKES):
        return
    if alone.shape != (half,):
        return
    scale = float(whole.abs().mean())
    if not bool(((alone - whole[:half]).abs() > COUPLED * scale).any()):
        return
    if _broadcast(outputs, targets):
        raise InvalidData(
            f"outputs have shape {tuple(outputs.shape)} and targets {tuple(targets.shape)}; "
            f"{label} broadcasts them, so that every output meets the targets of other examples.",
            why="an example's loss changes when the others are left out.",
            fix="give targets the shape of the outputs, for example targets.unsqueeze(1).",
            code="E-O09",
        )
    warnings.warn(
        f"{label} gives an example another loss when the others in its batch are left out. The "
        "objective is the mean over these batches, in these sizes; other batches would give "
        "another number. [E-O43]",
        TheodoliteWarning,
        stacklevel=2,
    )


def _first(tree: Any, half: int, count: int) -> Any:
    def cut(leaf: Any) -> Any:
        by_example = isinstance(leaf, Tensor) and leaf.dim() > 0 and len(leaf) == count
        return leaf[:half] if by_example else leaf

    return pytree.tree_map(cut, tree)


def _broadcast(outputs: Any, targets: Any) -> bool:
    """Whether two tensors of different shapes can meet by being repeated."""
    if not isinstance(outputs, Tensor) or not isinstance(targets, Tensor):
        return False
    if outputs.shape == targets.shape:
        return False
    try:
        torch.broadcast_shapes(outputs.shape, targets.shape)
    except RuntimeError:
        return False
    return True
