"""SAM against SGD where both have the same training loss: the largest Hessian eigenvalue.

Oracle: Lanczos on the exact Hessian in float64, and the published direction of the effect.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import nn

from theodolite import Objective, eigenpairs, hessian
from theodolite.datasets import digits
from theodolite.models import mlp
from theodolite.training import Recipe, train


class Found(BaseException):
    """Leaves a training at the loss that was asked for."""


def _curvature_at(loss: float, recipe: Recipe) -> float:
    """The largest Hessian eigenvalue where the training loss first falls to `loss`."""
    x, y = recipe.data.train
    found: list[nn.Module] = []

    def build(model: nn.Module) -> Callable[[int], None]:
        def look(step: int) -> None:
            if step % 5:
                return
            with torch.no_grad():
                value = nn.functional.cross_entropy(model.eval()(x), y)
            if float(value) <= loss:
                found.append(copy.deepcopy(model).double())
                raise Found

        return look

    with pytest.raises(Found):
        train(recipe, callbacks=[build])
    objective = Objective(found[0], nn.CrossEntropyLoss(), (x.double(), y))
    return float(eigenpairs(hessian(objective), count=1).eigenvalue.max())


def test_sam_ends_flatter_than_sgd_at_the_same_training_loss() -> None:
    # A smoke test: at a training loss of 0.02 the ratios were 0.62 to 0.70 for SAM and 0.20 to
    # 0.23 for ASAM over three seeds. Kills: an ascent that goes downhill or nowhere.
    recipe = Recipe(
        partial(mlp, (64, 32, 10)), digits(limit=400, flatten=True), batch_size=50, epochs=60,
        schedule="constant",
    )  # fmt: skip
    sgd = _curvature_at(0.02, recipe)
    assert _curvature_at(0.02, replace(recipe, optimizer="sam", rho=0.1)) < 0.85 * sgd
    assert _curvature_at(0.02, replace(recipe, optimizer="asam", rho=1.0)) < 0.5 * sgd
