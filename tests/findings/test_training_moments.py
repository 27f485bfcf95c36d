"""One training looked at several times.

Oracles: the history and the checkpoints of one training in one go.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from theodolite.findings.training_moments import digits_recipe, objectives_at
from theodolite.training import train
from theodolite.training.weights import load_weights


def test_moments_belong_to_one_training(tmp_path: Path) -> None:
    # Kills: a schedule that depends on the length, moments out of order, one seed for all.
    recipe = replace(digits_recipe(width=5, examples=70, seed=3), epochs=3)
    run = train(recipe, checkpoints=tmp_path)
    epochs = (0, 2, 3)
    moments = list(objectives_at(recipe, epochs))
    assert [float(m.value()) for m in moments] == pytest.approx(
        run.history.loss.values[list(epochs)], rel=1e-6
    )
    network = recipe.model()
    (after_two,) = (p for p in run.checkpoints if "0002" in p.name)
    load_weights(network, after_two)
    kept = nn.utils.parameters_to_vector(network.parameters())
    assert torch.equal(moments[1].start.float(), kept)
    assert {m.dtype for m in moments} == {torch.float64}


def test_the_recipe_is_the_one_described() -> None:
    # Kills: the default momentum, batch size and schedule of a recipe.
    recipe = digits_recipe(width=5, examples=70, seed=3)
    assert (recipe.learning_rate, recipe.momentum, recipe.batch_size) == (0.1, 0.0, 32)
    assert (recipe.schedule, recipe.seed, recipe.data.sizes["train"]) == ("constant", 3, 70)
    assert any(isinstance(m, nn.Tanh) for m in recipe.model())
