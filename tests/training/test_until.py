"""Training to a stop. Oracle: `train` by the same recipe, and the losses on the way by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from theodolite import datasets, models
from theodolite.errors import InvalidArgument
from theodolite.training import Recipe, train
from theodolite.training.until import BUDGET, DIVERGED, REACHED, Stop, train_until

DATA = datasets.digits(limit=60, flatten=True)
RECIPE = Recipe(partial(models.mlp, (64, 8, 10)), DATA, batch_size=16, epochs=2, learning_rate=0.05)


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


@pytest.mark.parametrize("rule", ["sgd", "gd", "adam", "sam"])
def test_after_whole_epochs_the_weights_are_those_of_train(rule):
    # kills: another order, start or schedule; a step too many or too few
    recipe = replace(RECIPE, optimizer=rule, weight_decay=0.01, warmup=1)
    whole = train(recipe)
    found = train_until(recipe, Stop(2 * recipe.steps_per_epoch))
    assert torch.equal(weights(found.model), weights(whole.model))
    assert found.loss == float(whole.history.loss[-1])
    assert (found.outcome, found.updates) == (BUDGET, 2 * recipe.steps_per_epoch)
    assert not found.model.training


def test_dropout_is_that_of_the_same_step():
    # kills: a mask of another step
    def build() -> nn.Module:
        return nn.Sequential(nn.Dropout(0.5), nn.Linear(64, 10))

    recipe = replace(RECIPE, model=build)
    found = train_until(recipe, Stop(2 * recipe.steps_per_epoch))
    assert torch.equal(weights(found.model), weights(train(recipe).model))


def test_it_stops_at_the_first_look_that_is_low_enough():
    # kills: a look at every step, the loss of a batch in its place, a loss above the one asked for
    recipe = replace(RECIPE, schedule="constant")
    losses = {k: train_until(recipe, Stop(k)).loss for k in range(0, 33, 3)}
    target = losses[15] * 1.001
    first = min(k for k, loss in losses.items() if loss <= target)
    found = train_until(recipe, Stop(200, loss=target, check=3))
    assert (found.updates, found.outcome, found.loss) == (first, REACHED, losses[first])
    later = train_until(recipe, Stop(200, loss=losses[first] * 0.999, check=3))
    assert later.updates > first


def test_a_loss_that_is_not_reached_uses_up_the_budget():
    found = train_until(RECIPE, Stop(7, loss=1e-9, check=100))
    assert (found.updates, found.outcome) == (7, BUDGET)
    last = train_until(RECIPE, Stop(7, loss=100.0, check=100))  # low enough at the very end
    assert (last.updates, last.outcome) == (7, REACHED)


def test_a_divergence_ends_it_before_the_weights_are_lost():
    # kills: a NaN that is stepped on, a divergence taken for a low loss
    wild = replace(RECIPE, learning_rate=1e18, momentum=0.0, schedule="constant")
    found = train_until(wild, Stop(50, loss=0.5, check=1000))
    assert found.outcome == DIVERGED
    assert found.updates < 50
    assert math.isnan(found.loss)
    assert bool(weights(found.model).isfinite().all())


def test_the_callers_generators_and_module_stay_as_they_are():
    # kills: training the module that was given, drawing from the global generators
    model = models.mlp((64, 8, 10)).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    train_until(replace(RECIPE, model=model), Stop(4))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert model.training
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: Stop(-1), "E-U01"),
        (lambda: Stop(1, check=0), "E-U01"),
        (lambda: Stop(1, loss=math.nan), "E-U01"),
        (lambda: train_until(replace(RECIPE, averaging="ema"), Stop(1)), "E-U02"),
    ],
)
def test_what_makes_no_sense_is_refused(make, code):
    with pytest.raises(InvalidArgument) as caught:
        make()
    assert caught.value.code == code
