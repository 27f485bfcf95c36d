"""Training to one loss, the rise around it, and scores over learning rates.

Oracles: torch's own SGD written out; a quadratic whose rise is known; planted scores.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from theodolite import datasets, models
from theodolite.findings.learning_rates import (
    CHANCE,
    best_test_accuracy,
    lowest_loss,
    scores_over_rates,
)
from theodolite.findings.matched_training import error_share, loss_rise, trained_to_loss
from theodolite.objective import Objective
from theodolite.seeds import torch_generator
from theodolite.training import Recipe, train

DATA = datasets.digits(limit=60, flatten=True)
RECIPE = Recipe(
    partial(models.mlp, (64, 12, 10)),
    DATA,
    learning_rate=0.03,
    weight_decay=1e-3,
    batch_size=20,
    epochs=40,
    schedule="constant",
    seed=3,
)


def test_stops_at_the_first_look_that_is_low_enough() -> None:
    # kills: the loss of a batch in place of the whole, looks at other steps, a stop one look late.
    found = trained_to_loss(RECIPE, 0.5, check=4)
    before = trained_to_loss(replace(RECIPE, epochs=200), 0.0, check=1)
    assert found.reached
    assert found.loss <= 0.5
    assert found.steps % 4 == 0
    assert not before.reached
    x, y = DATA.train
    assert found.loss == pytest.approx(float(nn.CrossEntropyLoss()(found.network(x), y).detach()))
    late = trained_to_loss(RECIPE, found.loss * 1.0001, check=4)
    assert late.steps == found.steps
    assert trained_to_loss(RECIPE, found.loss * 0.9999, check=4).steps > found.steps


def test_it_is_sgd_from_the_start_that_train_has() -> None:
    # Oracle: the same updates by hand: momentum 0.9, weight decay, the order of each epoch.
    # kills: momentum or decay dropped, another start, another order.
    found = trained_to_loss(replace(RECIPE, epochs=2), 0.0)
    model = train(replace(RECIPE, epochs=0)).model
    speed = [torch.zeros_like(p) for p in model.parameters()]
    x, y = DATA.train
    for epoch in range(2):
        order = torch.randperm(60, generator=torch_generator(3, "order", epoch))
        for batch in order.tensor_split(3):
            loss = nn.CrossEntropyLoss()(model(x[batch]), y[batch])
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            with torch.no_grad():
                for p, v, g in zip(model.parameters(), speed, gradients, strict=True):
                    v.mul_(0.9).add_(g + 1e-3 * p)
                    p.sub_(0.03 * v)
    assert found.steps == 6
    for a, b in zip(found.network.parameters(), model.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"optimizer": "gd"},
        {"optimizer": "sam", "rho": 0.3},
        {"optimizer": "asam", "rho": 1.0},
        {"optimizer": "adam"},
        {"nesterov": True},
    ],
)
def test_it_agrees_with_the_trainer_of_the_package(how: dict) -> None:
    # Oracle: `train` at a constant rate, which is the same to the last epoch.
    # kills: SGD in the place of another optimizer, which is then found under its name.
    recipe = replace(RECIPE, epochs=3, **how)
    found = trained_to_loss(recipe, 0.0)
    other = train(recipe).model
    assert found.steps == (3 if recipe.optimizer == "gd" else 9)
    for a, b in zip(found.network.parameters(), other.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_a_training_that_explodes_is_not_reached() -> None:
    found = trained_to_loss(replace(RECIPE, learning_rate=1e20), 0.5)
    assert not found.reached
    assert found.steps < 120


def test_the_global_generators_are_left_alone() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    trained_to_loss(replace(RECIPE, epochs=1), 0.1)
    assert torch.equal(torch.get_rng_state(), before)


def test_errors_are_counted() -> None:
    pair = torch.eye(4), torch.tensor([0, 1, 2, 0])
    assert error_share(nn.Identity(), pair) == 0.25


def test_the_rise_of_a_quadratic_is_half_its_curvature() -> None:
    # Oracle: mean (s theta)^2 rises by a^2 d'Hd / 2 on both sides, and odd parts cancel: with
    # one filter of norm |theta|, in one dimension the direction is +-theta.
    # kills: one side only, the base loss forgotten, a distance of 1.
    x = torch.ones(2, 1, dtype=torch.float64)
    model = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    with torch.no_grad():
        model.weight.fill_(3.0)
    objective = Objective(model, nn.MSELoss(), (x, 0 * x))
    for distance in (0.5, 0.1):
        rise = loss_rise(objective, directions=3, seed=0, distance=distance)
        assert rise == pytest.approx(9.0 * distance**2, rel=1e-9)


def test_rates_are_chosen_by_validation_alone() -> None:
    # kills: the best test accuracy, the best loss, the first rate.
    scores = np.array([[[0.1, 0.5, 0.99], [0.9, 0.8, 0.6]], [[np.inf, 0.1, 0.1], [2.0, 0.3, 0.2]]])
    assert best_test_accuracy(scores).tolist() == [0.6, 0.2]
    assert lowest_loss(scores).tolist() == [0.1, 2.0]


def test_scores_over_rates_start_alike_and_survive_divergence() -> None:
    # kills: a warning for each divergence (warnings are errors here), NaN in place of the worst.
    found = scores_over_rates(replace(RECIPE, epochs=2), (0.03, 1e20))
    run = train(replace(RECIPE, epochs=2)).history
    assert found[0].tolist() == [
        float(run.loss[-1]),
        float(run.validation_accuracy[-1]),
        float(run.test_accuracy[-1]),
    ]
    assert found[1].tolist() == [np.inf, CHANCE, CHANCE]
