"""Answers of several networks as one: mean probabilities, or mean outputs."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float64
from torch import Tensor, nn

from theodolite.objective import Objective

LINKS = {
    "softmax": "the mean of their probabilities",
    "sigmoid": "the mean of their probabilities",
    "identity": "the mean of their outputs",
}
"""What is averaged, by how outputs become probabilities."""


def link_of(objective: Objective) -> str:
    """How the outputs become what is averaged; empty where the model keeps them to itself."""
    loss: Any = getattr(objective.terms, "loss", None)
    if loss is None:
        return ""
    if objective.start_pass.hits is not None or isinstance(
        loss.module, nn.CrossEntropyLoss | nn.NLLLoss
    ):
        return "softmax"
    return "sigmoid" if isinstance(loss.module, nn.BCEWithLogitsLoss) else "identity"


def parts(link: str, outputs: Tensor) -> Float64[Tensor, ...]:
    """What is averaged, logarithms of probabilities where there are any."""
    wide = outputs.detach().double()
    if link == "softmax":
        return torch.log_softmax(wide, 1)
    if link == "sigmoid":
        return torch.stack([F.logsigmoid(wide), F.logsigmoid(-wide)], -1)
    return wide


def mixed(
    link: str, total: Float64[Tensor, ...] | None, one: Float64[Tensor, ...], share: float
) -> Float64[Tensor, ...]:
    """`total` with `share` of another network in it.

    >>> halves = [torch.log(torch.tensor([[p, 1 - p]])).double() for p in (0.2, 0.6)]
    >>> both = mixed("softmax", mixed("softmax", None, halves[0], 0.5), halves[1], 0.5)
    >>> [round(p, 6) for p in both.exp()[0].tolist()]
    [0.4, 0.6]
    """
    if link == "identity":
        return share * one if total is None else total + share * one
    weighted = one + (math.log(share) if share > 0 else -math.inf)
    return weighted if total is None else torch.logaddexp(total, weighted)


def outputs_of(link: str, total: Float64[Tensor, ...]) -> Float64[Tensor, ...]:
    """Outputs that a loss takes, whose probabilities are those averaged."""
    return total[..., 0] - total[..., 1] if link == "sigmoid" else total
