"""The gradient of an objective: one backward pass a batch, summed over batches and ranks."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from theodolite.engines.failures import named_failures, refuse_detached
from theodolite.objective.batches import Batch
from theodolite.objective.checks import check_gradient

Objective = Any  # the class lives in a module that imports this one


def gradient(objective: Objective, point: Tensor) -> Tensor:
    """The gradient at `point`, in its dtype; inside the objective's guard."""

    def local() -> tuple[Tensor, bool]:
        total, leaf = torch.zeros_like(point), point.clone().requires_grad_(True)
        attached = False
        for batch in objective.data:
            with named_failures("gradient", batch.index):
                # the backward pass may run the model again (checkpointing): inside `run`
                piece = objective.forward.run(leaf, partial(_pulled, objective, batch, leaf))
                if piece is not None:
                    attached = True
                    total += piece
        return total, attached

    ranks = objective.ranks
    total, attached = local() if ranks is None else ranks.summed(local)
    if not attached:
        refuse_detached()
    check_gradient(objective, point, total)
    return total


def _pulled(objective: Objective, batch: Batch, leaf: Tensor) -> Tensor | None:
    """The gradient of a batch's share; None if no derivative leads through it."""
    share = objective.share(batch)
    if not share.requires_grad:
        return None
    return torch.autograd.grad(share, leaf, allow_unused=True)[0]


def loss_and_gradient(objective: Objective, point: Tensor) -> tuple[float, Tensor]:
    """The loss at `point` and its gradient from one backward pass; inside the objective's guard.

    Neither is checked for being finite: descent may diverge, and whoever descends must see it.
    """
    leaf, total, value = point.clone().requires_grad_(True), torch.zeros_like(point), 0.0
    attached = False
    for batch in objective.data:

        def body(batch: Batch = batch) -> tuple[float, Tensor | None]:
            share = objective.share(batch)
            piece = (
                torch.autograd.grad(share, leaf, allow_unused=True)
                if share.requires_grad
                else (None,)
            )
            return float(share.detach()), piece[0]

        with named_failures("gradient", batch.index):
            piece, slope = objective.forward.run(leaf, body)
        value += piece
        if slope is not None:
            attached = True
            total += slope
    if not attached:
        refuse_detached()
    return value, total
