"""What a recipe refuses, and the learning rates it prescribes."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from theodolite.datasets import Split, digits
from theodolite.errors import InvalidArgument, InvalidData
from theodolite.models import mlp
from theodolite.training import Recipe
from theodolite.training.recipe import average_of, learning_rate_share

DATA = digits(limit=100)
BUILD = partial(mlp, (64, 10))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"optimizer": "lion"}, "optimizer must be one of sgd, gd, adam, sam, asam; got 'lion'"),
        ({"schedule": "linear"}, "schedule must be one of constant, cosine, step"),
        ({"device": "mps"}, "device must be one of cpu, cuda"),
        ({"learning_rate": -1.0}, "learning_rate must lie between 0 and inf; got -1.0"),
        ({"learning_rate": math.inf}, "learning_rate must lie between 0 and inf; got inf"),
        ({"momentum": 1.5}, "momentum must lie between 0 and 1; got 1.5"),
        ({"weight_decay": math.nan}, "weight_decay must lie between 0 and inf; got nan"),
        ({"label_smoothing": 2.0}, "label_smoothing must lie between 0 and 1; got 2.0"),
        ({"warmup": 11.0}, "warmup must lie between 0 and 10; got 11.0"),
        ({"batch_size": 0}, "batch_size must be at least 1 .* got 0 and 10"),
        ({"epochs": -1, "warmup": 0.0}, "epochs at least 0"),
        ({"nesterov": True, "momentum": 0.0}, "nesterov needs optimizer='sgd'"),
        ({"nesterov": True, "optimizer": "adam"}, "nesterov needs optimizer='sgd'"),
        ({"nesterov": True, "optimizer": "sam", "base_optimizer": "adam"}, "nesterov needs"),
        ({"rho": 0.1}, r"rho and micro_batches need optimizer='sam' .* rho=0.1"),
        ({"micro_batches": 2}, r"rho and micro_batches need .* micro_batches=2"),
        ({"optimizer": "sam", "rho": -1.0}, "rho must lie between 0 and inf; got -1.0"),
        (
            {"optimizer": "sam", "batch_size": 3, "micro_batches": 3},
            "between 1 and the 2 examples of the smallest batch; got 3",
        ),
        ({"averaging": "lawa"}, "averaging must be one of none, swa, ema; got 'lawa'"),
        ({"averaging_start": 1.5}, "averaging_start must lie between 0 and 1; got 1.5"),
        ({"averaging_decay": 2}, "averaging_decay must lie between 0 and 1; got 2"),
        ({"base_optimizer": "sam"}, "base_optimizer must be one of sgd, adam"),
        ({"loss": "hinge"}, "loss must be 'cross_entropy', 'mse' or a function; got 'hinge'"),
        ({"loss": "mse", "label_smoothing": 0.1}, "label_smoothing needs loss='cross_entropy'"),
    ],
)
def test_impossible_settings_are_refused_by_name(changes: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        Recipe(BUILD, DATA, **changes)


def test_an_empty_training_set_is_refused() -> None:
    none = torch.zeros(0, 64), torch.zeros(0, dtype=torch.int64)
    with pytest.raises(InvalidData, match="the training set is empty"):
        Recipe(BUILD, Split(none, none, none, name="none"))


def _shares(**changes: object) -> list[float]:
    recipe = Recipe(BUILD, DATA, batch_size=10, **changes)
    return [learning_rate_share(recipe, s) for s in range(10 * recipe.epochs)]


def test_schedules_follow_their_formulas() -> None:
    # kills: warmup that starts at zero or ends late, cosine over epochs, marks off by one
    assert _shares(epochs=2, schedule="constant") == [1.0] * 20
    steps = _shares(epochs=4, schedule="step")
    assert steps == pytest.approx([1.0] * 20 + [0.1] * 10 + [0.01] * 10)
    cosine = _shares(epochs=4, schedule="cosine", warmup=1)
    assert cosine[:10] == pytest.approx([(i + 1) / 10 for i in range(10)])
    for i, share in enumerate(cosine[10:]):
        assert share == pytest.approx(math.cos(math.pi * i / 60) ** 2)
    assert cosine[10] == 1.0
    assert _shares(epochs=2, schedule="cosine", warmup=2)[-1] == 1.0


@pytest.mark.parametrize(
    ("averaging", "start", "count"),
    [("ema", 0.14, 44), ("ema", 0, 50), ("ema", 1, 1), ("swa", 0.5, 2), ("swa", 0.52, 1)],
)
def test_averages_begin_at_their_share_of_the_training(
    averaging: str, start: float, count: int
) -> None:
    # kills: shares rounded up past a whole step, a first point an epoch late
    recipe = Recipe(BUILD, DATA, batch_size=4, epochs=2, averaging=averaging, averaging_start=start)
    average = average_of(recipe, BUILD())
    assert sum(average(step) for step in range(1, 51)) == count == average.count
