"""Optimizers side by side. Oracle: each training by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import theodolite as td
from theodolite import seeds
from theodolite.errors import InvalidArgument, TheodoliteError, TheodoliteWarning
from theodolite.studies.optimizer_runs import RULES, preference
from theodolite.surveys import load_run
from theodolite.training.gradient_noise import GradientNoise
from theodolite.training.until import Stop, Trained, train_until

from .small import build, normalized

HOW = {"seeds": 1, "length": 60, "stop_loss": 1.2, "check": 4, "products": 32, "batch_size": 10}
RATES = {name: [0.05, 0.1] for name in RULES} | {"adam": [0.01]}


@pytest.fixture(scope="module")
def target() -> td.Target:
    return build()


@pytest.fixture(scope="module")
def found(target, tmp_path_factory):
    place = tmp_path_factory.mktemp("study") / "run"
    made = td.studies.optimizers(target, rates=RATES, out=place, **HOW)
    assert "optimizer_study" in load_run(place)
    return made


@pytest.mark.parametrize("name", list(RULES))
def test_a_run_is_the_best_of_the_rates_by_its_rule(target, found, name):
    # kills: noise of another batch size, rule or kind; the last rate for the best; other starts
    rule = RULES[name]
    recipe = replace(
        target.recipe,
        optimizer=rule.optimizer,
        batch_size=10,
        schedule="constant",
        seed=seeds.child_seed(0, "study", 0),
    )
    examples = len(target.recipe.data.train[1])
    noise = GradientNoise(1 / 10 - 1 / examples, rule.noise) if rule.noise else None
    stop = Stop(60, loss=1.2, check=4)
    tried = {
        r: train_until(replace(recipe, learning_rate=r), stop, noise=noise) for r in RATES[name]
    }
    best = min(tried, key=lambda r: preference(tried[r]))
    run = found.sel(optimizer=name, seed=0)
    assert float(run.rate) == best
    assert float(run.updates) == tried[best].updates
    assert float(run.train_loss) == tried[best].loss
    each = examples if rule.optimizer == "gd" else 10 * (2 if name == "sam" else 1)
    assert float(run.example_gradients) == tried[best].updates * each


def test_the_best_rate_is_soonest_at_the_loss_then_lowest():
    def end(outcome, updates, loss):
        return Trained(torch.nn.Identity(), loss, updates, outcome)

    ends = [
        end("reached", 20, 0.19),
        end("reached", 30, 0.1),
        end("budget", 90, 0.3),
        end("budget", 90, 0.5),
        end("diverged", 3, np.nan),
    ]
    assert sorted([ends[k] for k in (4, 2, 1, 3, 0)], key=preference) == ends


def test_networks_with_batch_norm_fail_at_noise_alone(target):
    # kills: one rule that ends the study, a silent noise of whole batches
    normal = normalized()
    rules = ["gd", "gd_batch_noise"]
    made = td.studies.optimizers(normal, rules=rules, rates=RATES, **HOW)
    assert made.status.sel(seed=0).values.tolist() == [1, 3]
    with pytest.raises(TheodoliteError, match="no training of the study") as caught:
        td.studies.optimizers(normal, rules=["gd_batch_noise"], rates=RATES, **HOW)
    assert "BatchNorm" in caught.value.why


def test_by_default_noise_is_left_out_where_there_can_be_none(target):
    # kills: units that are known to fail, rules that go without a word
    with pytest.warns(TheodoliteWarning, match="gd_isotropic_noise are left out"):
        made = td.studies.optimizers(normalized(), rates=RATES, **HOW)
    assert made.optimizer.values.tolist() == ["sgd", "gd", "sam", "adam"]


@pytest.mark.parametrize(
    "changes",
    [
        {"rules": ["lion"]},
        {"rates": {"lion": [0.1]}},
        {"rates": {"sgd": [0.0]}},
        {"batch_size": 10**6},
    ],
)
def test_settings_out_of_range_are_refused(target, changes):
    with pytest.raises(InvalidArgument) as caught:
        td.studies.optimizers(target, **{**HOW, **changes})
    assert caught.value.code in ("E-U13", "E-S07")
