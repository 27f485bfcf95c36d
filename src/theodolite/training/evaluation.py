"""Exact scores of a network on a whole set of examples."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from theodolite.datasets.splits import Pair, Split
from theodolite.errors import InvalidData
from theodolite.training.losses import ExampleLoss

BATCH = 512
PREFIX = {"train": "", "validation": "validation_", "test": "test_"}
SCORES = ("loss", "loss_error", "accuracy", "accuracy_error")


def scores(model: nn.Module, loss: ExampleLoss, pair: Pair) -> dict[str, float]:
    """Mean loss and accuracy with the standard errors of the means, in eval mode.

    Sums are taken in float64 over every example. Accuracy is there for outputs
    ``(example, class)`` with integer labels. A single example has no error: NaN.
    """
    model.eval()
    losses, hits = [], []
    with torch.no_grad():
        for x, y in zip(*(torch.split(t, BATCH) for t in pair), strict=True):
            outputs = model(x)
            losses.append(_checked(loss(outputs, y), y).double())
            if outputs.ndim == 2 and y.ndim == 1 and not y.is_floating_point():
                hits.append((outputs.argmax(1) == y).double())
    found = dict(zip(SCORES, _mean_and_error(torch.cat(losses)), strict=False))
    if hits:
        found |= dict(zip(SCORES[2:], _mean_and_error(torch.cat(hits)), strict=True))
    return found


def all_scores(model: nn.Module, loss: ExampleLoss, data: Split) -> dict[str, float]:
    """The scores of every part that has examples; train without prefix, the others named."""
    found: dict[str, float] = {}
    for part, pair in data.parts().items():
        if len(pair[1]):
            found |= {PREFIX[part] + k: v for k, v in scores(model, loss, pair).items()}
    return found


def _checked(losses: Tensor, y: Tensor) -> Tensor:
    if losses.shape != (len(y),):
        raise InvalidData(
            f"loss must return one value an example, shape ({len(y)},); got {tuple(losses.shape)}.",
            fix="use reduction='none' and average over everything but examples",
            code="E-T49",
        )
    return losses


def _mean_and_error(values: Tensor) -> tuple[float, float]:
    count = len(values)
    error = float(values.std()) / math.sqrt(count) if count > 1 else math.nan
    return float(values.mean()), error
