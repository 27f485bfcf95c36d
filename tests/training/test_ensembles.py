"""Trainings at once. Oracle: each of them by itself, in float64."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from theodolite import datasets, models
from theodolite.errors import InvalidArgument
from theodolite.training import Recipe
from theodolite.training import ensemble_planning as planning
from theodolite.training.ensemble_planning import training_manner
from theodolite.training.ensembles import train_together, why_alone
from theodolite.training.until import BUDGET, DIVERGED, REACHED, Stop, train_until

DATA = datasets.digits(limit=70, flatten=True).changed(lambda x, y: (x.double(), y))
RECIPE = Recipe(partial(models.mlp, (64, 8, 10), activation="tanh"), DATA, batch_size=16, epochs=6)
OWN = [
    {"learning_rate": 0.05, "momentum": 0.9, "seed": 0},
    {"learning_rate": 0.1, "momentum": 0.5, "weight_decay": 0.01, "seed": 0},
    {"learning_rate": 0.2, "momentum": 0.3, "seed": 1},
    {"learning_rate": 0.02, "momentum": 0.9, "seed": 0, "order_seed": 7},
]


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().double().reshape(-1) for p in model.parameters()])


def compare(recipes: list[Recipe], stop: Stop, *, within: float = 1e-10) -> list[str]:
    """Each member against itself alone; returns the outcomes."""
    together = train_together(recipes, stop)
    for member, recipe in zip(together, recipes, strict=True):
        alone = train_until(recipe, stop)
        assert (member.updates, member.outcome) == (alone.updates, alone.outcome)
        ours, theirs = weights(member.model), weights(alone.model)
        gap = (ours - theirs).abs().max() / theirs.abs().max()
        assert float(gap) < within
        np.testing.assert_allclose(member.loss, alone.loss, rtol=10 * within)
        assert not member.model.training
    return [m.outcome for m in together]


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"nesterov": True, "schedule": "step", "warmup": 1},
        {"label_smoothing": 0.1, "schedule": "constant"},
        {"optimizer": "gd"},
    ],
    ids=["heavy ball", "nesterov", "smoothed", "full batch"],
)
def test_every_member_is_trained_as_if_alone(how):
    # kills: a momentum, decay, rate or order shared by members, dampening in the first step,
    # Nesterov's term left out, another schedule, smoothing in the loss that is reported
    recipes = [replace(RECIPE, **how, **own) for own in OWN]
    assert compare(recipes, Stop(23)) == [BUDGET] * 4


def test_plain_descent_and_a_function_as_loss():
    def loss(outputs, targets):
        return (outputs.logsumexp(1) - outputs.gather(1, targets[:, None])[:, 0]) ** 2

    recipes = [replace(RECIPE, loss=loss, momentum=0.0, learning_rate=r) for r in (0.01, 0.03)]
    compare(recipes, Stop(12))


def test_a_convolution_with_frozen_and_tied_weights():
    # kills: frozen weights that move, a stack by names that counts tied weights twice
    images = datasets.digits(limit=40).changed(lambda x, y: (x.double(), y))

    def build() -> nn.Module:
        model = nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1),
            nn.Tanh(),
            nn.Conv2d(3, 3, 3, padding=1),
            nn.Tanh(),
            nn.Conv2d(3, 3, 3, padding=1),
            nn.Flatten(),
            nn.Linear(192, 10),
        )
        model[4].weight = model[2].weight
        model[0].weight.requires_grad_(False)
        return model

    recipe = Recipe(build, images, batch_size=10, epochs=3)
    recipes = [replace(recipe, learning_rate=r) for r in (0.02, 0.05)]
    compare(recipes, Stop(9))
    frozen = train_together(recipes, Stop(9))[0].model[0].weight
    assert torch.equal(frozen, train_until(recipe, Stop(0)).model[0].weight)


def squared(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Squared error against one-hot labels: a rate of 1e200 overflows it."""
    return ((outputs - (torch.arange(10) == targets[:, None]).to(outputs)) ** 2).mean(1)


def test_members_that_arrive_or_diverge_leave_the_others_alone():
    # kills: orders of the members of the start, a mean over members, a NaN that spreads
    base = replace(RECIPE, loss=squared, schedule="constant", epochs=20)
    rates = [(0.3, 0.9), (1e200, 0.0), (0.001, 0.0), (0.2, 0.9)]
    recipes = [
        replace(base, learning_rate=r, momentum=m, order_seed=k) for k, (r, m) in enumerate(rates)
    ]
    outcomes = compare(recipes, Stop(60, loss=0.05, check=2))
    assert outcomes == [REACHED, DIVERGED, BUDGET, REACHED]


def test_float32_agrees_to_rounding():
    single = replace(RECIPE, data=datasets.digits(limit=70, flatten=True), learning_rate=0.05)
    compare([single, replace(single, seed=3)], Stop(20), within=1e-5)


def test_the_callers_generators_and_module_stay_as_they_are():
    model = models.mlp((64, 8, 10)).double().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    recipes = [replace(RECIPE, model=model, learning_rate=r) for r in (0.1, 0.2)]
    train_together(recipes, Stop(5))
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("recipes", "words"),
    [
        ([replace(RECIPE, optimizer="adam")] * 2, "adam"),
        ([replace(RECIPE, optimizer="sam")] * 2, "sam"),
        ([RECIPE, replace(RECIPE, batch_size=8)], "batch_size"),
        ([replace(RECIPE, model=partial(models.mlp, (64, 8, 10), norm="batch"))] * 2, "BatchNorm"),
        (
            [replace(RECIPE, model=lambda: nn.Sequential(nn.Dropout(0.5), nn.Linear(64, 10)))] * 2,
            "Dropout",
        ),
    ],
)
def test_what_cannot_be_batched_is_refused_with_its_reason(recipes, words):
    # kills: running statistics shared by members, one mask for all, a silent change of rule
    assert words in why_alone(recipes)
    with pytest.raises(InvalidArgument, match=words) as caught:
        train_together(recipes, Stop(1))
    assert caught.value.code == "E-U06"
    manner = training_manner(recipes)
    assert (manner.together, words in manner.reason) == (False, True)


def test_labels_out_of_range_are_refused_as_in_a_single_training():
    wrong = replace(RECIPE, model=partial(models.mlp, (64, 8, 4)))
    with pytest.raises(ValueError, match="labels must lie between 0 and 3"):
        train_together([wrong, wrong], Stop(1))


class Coin(nn.Module):
    """A layer that draws random numbers without any module that says so."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


def test_the_planner_keeps_to_single_trainings_where_batching_fails():
    # kills: a planner that believes the modules alone
    random = replace(RECIPE, model=lambda: nn.Sequential(Coin(), nn.Linear(64, 10).double()))
    manner = training_manner([random, replace(random, learning_rate=0.2)])
    assert not manner.together
    assert "no batched form" in manner.reason


@pytest.mark.parametrize(("batched", "together"), [(0.5, True), (2.0, False)])
def test_the_planner_takes_the_faster_way_and_says_so(monkeypatch, batched, together):
    # kills: the slower way, seconds of one member compared with those of all
    found = train_until(RECIPE, Stop(3))

    def seconds(train, updates):
        made = train(Stop(3))
        return (3 * batched if len(made) > 1 else 1.0), made

    monkeypatch.setattr(planning, "_seconds", seconds)
    manner = training_manner([RECIPE, replace(RECIPE, seed=1), replace(RECIPE, seed=2)])
    assert (manner.together, manner.seconds_alone) == (together, 3.0)
    assert found.updates == 3
    monkeypatch.setattr(planning, "AGREEMENT", -1.0)
    assert "differ" in training_manner([RECIPE, replace(RECIPE, seed=1)]).reason
