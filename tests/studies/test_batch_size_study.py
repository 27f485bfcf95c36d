"""A grid of batch sizes and rates. Oracle: every cell trained and measured by hand; its files."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import theodolite as td
from theodolite import seeds
from theodolite.errors import InvalidArgument, InvalidType, RunMismatch
from theodolite.studies import batch_size_cells, ends
from theodolite.surveys import load_run
from theodolite.surveys.target import with_model
from theodolite.training.until import Stop, train_until

from .small import QUICK, build

FACTORY = f"{Path(__file__).with_name('small.py')}:build"


@pytest.fixture(scope="module")
def target() -> td.Target:
    return build()


@pytest.fixture(scope="module")
def alone(target) -> xr.Dataset:
    return td.studies.batch_size(target, training="alone", **QUICK)


def test_a_cell_is_the_training_it_says_it_is(target, alone):
    # kills: batch size and rate exchanged, a grid read in another order, another start of a seed,
    # sharpness at the target's weights, accuracy for error
    recipe = replace(
        target.recipe,
        batch_size=5,
        learning_rate=0.05,
        schedule="constant",
        seed=seeds.child_seed(0, "study", 1),
    )
    found = train_until(recipe, Stop(40, loss=1.5, check=4))
    cell = alone.sel(batch_size=5, learning_rate=0.05, seed=1)
    assert (float(cell.updates), float(cell.train_loss)) == (found.updates, found.loss)
    objective = with_model(target.objective, found.model)
    top = td.largest_curvature(objective, tolerance=1e-6).largest_curvature
    near = float(cell.largest_eigenvalue_residual) + 1e-4
    assert float(cell.largest_eigenvalue) == pytest.approx(float(top), abs=near)
    curved = td.hessian(objective)
    exact = float(curved.matmat(torch.eye(curved.size)).diagonal().sum())
    assert abs(float(cell.trace) - exact) < 4 * float(cell.trace_error)
    metrics = with_model(target.test, found.model).metrics()
    assert float(cell.test_error) == pytest.approx(1 - metrics["accuracy"])
    assert float(cell.test_loss) == pytest.approx(metrics["loss"])
    slope = objective.gradient().norm()
    assert float(cell.gradient_norm) == pytest.approx(float(slope), rel=1e-5)


def test_temperatures_are_those_of_the_cells(alone):
    heat = alone.temperature.sel(batch_size=20, learning_rate=0.1)
    assert float(heat) == pytest.approx(0.1 / 20)
    examples = alone.attrs["train_examples"]
    scale = alone.noise_scale.sel(batch_size=20, learning_rate=0.1)
    exact = td.smith_le_noise_scale(0.1, 20, examples, momentum=0.9, approximate=True)
    assert float(scale) == pytest.approx(exact)
    assert {alone[v].attrs.get("long_name") is not None for v in alone.data_vars} == {True}


def test_trainings_at_once_are_those_made_alone():
    # kills: members given to other cells, a stop for all at once
    target = build(dtype=torch.float64)
    one, many = (td.studies.batch_size(target, training=t, **QUICK) for t in ("alone", "together"))
    assert many.attrs["training"] == "together"
    for name in ("updates", "train_loss", "test_error", "largest_eigenvalue", "compared"):
        np.testing.assert_allclose(many[name], one[name], rtol=1e-8, atol=1e-10)


def test_worker_processes_give_the_same_numbers(target):
    # kills: numbers that depend on what a process trained before
    how = {**QUICK, "batch_sizes": [20], "seeds": 1, "training": "alone"}
    alone, made = (
        td.studies.batch_size(t, n_jobs=n, **how) for t, n in ((target, 1), (FACTORY, 2))
    )
    xr.testing.assert_equal(made, alone)


def test_cells_that_do_not_reach_the_loss_are_named_and_not_measured(target):
    # kills: curvature of unequal losses in one comparison, a cell that vanishes silently
    how = {**QUICK, "rates": [1e-6, 0.1], "seeds": 1, "length": 60}
    found = td.studies.batch_size(target, training="alone", **how)
    slow = found.sel(learning_rate=1e-6)
    assert (slow.compared == 0).all()
    assert np.isnan(slow.largest_eigenvalue).all()
    assert (slow.updates == 60).all()
    assert (found.sel(learning_rate=0.1).compared == 1).all()
    said = json.loads(found.attrs["left_out"])
    assert said == [
        "batch size 5 at rate 1e-06: did not reach the loss",
        "batch size 20 at rate 1e-06: did not reach the loss",
    ]


def test_a_divergence_is_a_number_of_the_study():
    wild = {**QUICK, "rates": [1.0], "seeds": 1, "stop_loss": "none", "length": 30}
    found = td.studies.batch_size(build(weight_decay=1e10), training="alone", **wild)
    assert (found.status == 2).all()
    assert np.isnan(found.train_loss).all()
    assert "diverged" in found.attrs["left_out"]


def test_equal_epochs_and_equal_updates(target):
    # kills: a budget of the recipe's batch size for all
    how = {**QUICK, "seeds": 1, "rates": [0.01], "stop_loss": "none", "length": 2}
    epochs = td.studies.batch_size(target, training="alone", budget="epochs", **how)
    examples = epochs.attrs["train_examples"]
    wanted = [2 * math.ceil(examples / b) for b in (5, 20)]
    assert epochs.updates.values.ravel().tolist() == wanted
    updates = td.studies.batch_size(target, training="alone", budget="updates", **how)
    assert updates.updates.values.ravel().tolist() == [2, 2]


def test_starts_are_shared_within_a_seed_and_may_be_the_targets(target):
    how = {**QUICK, "stop_loss": "none", "length": 1, "rates": [1e-12], "training": "alone"}
    own = td.studies.batch_size(target, **how).train_loss
    first, second = (own.sel(seed=k).values for k in (0, 1))
    assert float(np.ptp(first)) < 1e-6
    assert float(np.abs(first - second).max()) > 1e-3
    theirs = td.studies.batch_size(target, start="target", **how).train_loss
    np.testing.assert_allclose(theirs, float(target.objective.value()), rtol=1e-5)


def test_a_run_that_is_stopped_trains_nothing_twice(target, alone, tmp_path, monkeypatch):
    # kills: units not saved, a study that begins anew, settings settled anew
    trained: Counter[tuple[int, float, int]] = Counter()
    real = batch_size_cells.train_until

    def counting(recipe, stop, **how):
        trained[recipe.batch_size, recipe.learning_rate, recipe.seed] += 1
        if sum(trained.values()) == 4:
            raise KeyboardInterrupt
        return real(recipe, stop, **how)

    monkeypatch.setattr(batch_size_cells, "train_until", counting)
    how = {**QUICK, "training": "alone", "out": tmp_path / "run"}
    with pytest.raises(KeyboardInterrupt):
        td.studies.batch_size(target, **how)
    before = dict(trained)
    assert len(before) == 4
    assert td.studies.batch_size(target, time_budget=0, **how).compared.sum() == 4
    found = td.studies.batch_size(target, **how)
    lost = [k for k, n in trained.items() if n == 2]
    assert len(lost) == 1  # the one that was being trained
    assert len(trained) == 8
    xr.testing.assert_equal(found, alone)
    td.studies.batch_size(target, **how)
    assert sum(trained.values()) == 9
    assert "batch_size_study" in load_run(tmp_path / "run")


def test_the_manner_of_training_is_kept_with_the_run(target, tmp_path, monkeypatch):
    # kills: a clock asked again, which may decide otherwise and be refused
    how = {**QUICK, "batch_sizes": [20], "seeds": 1, "out": tmp_path / "run"}
    first = td.studies.batch_size(target, training="auto", **how)
    assert "ms an update" in first.attrs["training_reason"]
    monkeypatch.setattr(batch_size_cells, "training_manner", None)
    again = td.studies.batch_size(target, training="auto", **how)
    xr.testing.assert_identical(first, again)
    other = replace(target, recipe=replace(target.recipe, momentum=0.5))
    with pytest.raises(RunMismatch, match="1 difference"):
        td.studies.batch_size(other, training="auto", **how)


def test_the_callers_model_and_generators_stay_as_they_are(target):
    # kills: a study that trains the target's own model
    model = target.objective.model
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state, mode = torch.get_rng_state(), model.training
    how = {**QUICK, "seeds": 1, "rates": [0.1], "start": "target"}
    td.studies.batch_size(target, training="alone", **how)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert (model.training, all(p.grad is None for p in model.parameters())) == (mode, True)


def test_without_a_test_objective_the_recipes_test_part_serves(target, alone):
    bare = replace(target, test=None)
    how = {**QUICK, "batch_sizes": [5], "rates": [0.1]}
    found = td.studies.batch_size(bare, training="alone", **how)
    kept = alone.sel(batch_size=[5], learning_rate=[0.1])
    np.testing.assert_allclose(found.test_error, kept.test_error)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"batch_sizes": [0]}, "E-U13"),
        ({"batch_sizes": [10**6]}, "E-U13"),
        ({"rates": [-1.0]}, "E-U13"),
        ({"budget": "hours"}, "E-U13"),
        ({"stop_loss": -1}, "E-U13"),
        ({"stop_loss": "soon"}, "E-U13"),
        ({"start": "anywhere"}, "E-U13"),
        ({"training": "twice"}, "E-U13"),
        ({"seeds": 0}, "E-S07"),
        ({"colour": 1}, "E-S04"),
    ],
)
def test_settings_out_of_range_are_refused_before_any_work(target, changes, code, monkeypatch):
    monkeypatch.setattr(ends, "end_measures", None)
    with pytest.raises(InvalidArgument) as caught:
        td.studies.batch_size(target, **{**QUICK, "training": "alone", **changes})
    assert caught.value.code == code


def test_targets_that_cannot_be_studied_are_refused_with_what_to_do(target):
    for recipe, code in ((None, "E-U10"), (lambda: 3, "E-U11")):
        with pytest.raises((InvalidArgument, InvalidType)) as caught:
            td.studies.batch_size(replace(target, recipe=recipe))
        assert caught.value.code == code
        assert "recipe=" in caught.value.fix
    wide = replace(target.recipe, model=lambda: td.models.mlp((64, 9, 10)))
    full = replace(target.recipe, optimizer="gd")
    for recipe, code in ((wide, "E-U12"), (full, "E-U14")):
        with pytest.raises(InvalidArgument) as caught:
            td.studies.batch_size(replace(target, recipe=recipe), **QUICK)
        assert caught.value.code == code


def test_the_defaults_lie_around_the_recipe(target):
    settings = dict(batch_size_cells_preset(), points=4)
    examples = len(target.recipe.data.train[1])
    sizes = batch_size_cells.batch_sizes_of(settings, replace(target.recipe, batch_size=8))
    assert sizes == [1, 2, 8, min(32, examples)]
    assert batch_size_cells.default_rates(0.1, 3) == [0.05, 0.1, 0.2]


def batch_size_cells_preset():
    from theodolite.studies.table import STUDIES

    return STUDIES["batch_size"].presets["quick"]
