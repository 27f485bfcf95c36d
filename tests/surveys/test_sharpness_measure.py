"""The sharpness measure of a survey against the functions it stands for.

Oracle: those functions called directly, here and at the rescaled point.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import theodolite as td
from theodolite.cli.printing import FIVE
from theodolite.errors import InvalidArgument
from theodolite.surveys import load_run
from theodolite.surveys.measures import MEASURES

SMALL = {"sharpness": {"steps": 3, "draws": 4, "products": 4, "directions": 2, "factor": 4.0}}


def target_of(*layers: nn.Module, loss: nn.Module | None = None) -> td.Target:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 6), *layers, nn.Linear(6, 3))
    x = torch.randn(24, 5)
    y = torch.randint(3, (24,)) if loss is None else torch.randn(24, 3)
    return td.Target(td.Objective(model, loss or nn.CrossEntropyLoss(), (x, y)))


@pytest.fixture(scope="module")
def tree() -> xr.DataTree:
    return td.survey(target_of(nn.ReLU()), measures=["sharpness"], settings=SMALL, seed=3)


def value(tree: xr.DataTree, measure: str, name: str = "value") -> float:
    return float(tree["sharpness"][name].sel(measure=measure))


def test_the_table_holds_what_the_functions_give(tree):
    # kills: settings not passed on, measures exchanged, values at another point
    objective = target_of(nn.ReLU()).objective
    start = objective.start
    other = td.layer_rescaling(objective, factor=4.0)
    for theta, name in ((start, "value"), (other, "rescaled_value")):
        worst = td.worst_case_sharpness(objective, theta=theta, rho=0.05, steps=3, seed=3)
        adaptive = td.adaptive_sharpness(objective, theta=theta, rho=0.5, steps=3, seed=3)
        mean = td.average_sharpness(
            objective, theta=theta, sigma=0.1, adaptive=True, draws=4, second_order=False, seed=3
        )
        largest = td.largest_curvature(objective, theta=theta, seed=3, engine="kept")
        fisher = td.fisher_rao_norm(objective, theta=theta, engine="kept")
        expected = {
            "worst_case_sharpness": worst.worst_case_sharpness,
            "adaptive_sharpness": adaptive.adaptive_sharpness,
            "average_sharpness, adaptive": mean.average_sharpness,
            "largest_curvature": largest.largest_curvature,
            "fisher_rao_norm": fisher.fisher_rao_norm,
        }
        for measure, found in expected.items():
            assert value(tree, measure, name) == pytest.approx(float(found.values.ravel()[0]))
    assert value(tree, "largest_curvature", "rescaled_value") > 2 * value(tree, "largest_curvature")
    assert tree["sharpness"].sizes["measure"] == 8


def test_errors_are_of_the_kind_they_say(tree):
    # kills: a lower bound with an error, a standard error called a bound
    kinds = tree["sharpness"].dataset
    for measure in kinds["measure"].values.tolist():
        kind = str(kinds["kind"].sel(measure=measure).values)
        error = value(tree, measure, "error")
        assert np.isfinite(error) == (kind in ("residual", "standard error")), measure


def test_a_network_that_cannot_be_rescaled_says_why():
    tree = td.survey(target_of(nn.Tanh()), measures=["sharpness"], settings=SMALL)
    assert "can be rescaled" in tree["sharpness"].attrs["not_rescaled"]
    assert tree["sharpness"]["rescaled_value"].isnull().all()


def test_measures_that_do_not_apply_are_left_out():
    # kills: a survey that stops because one measure does not apply
    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return (outputs - targets).square().mean(1) - 5

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))
    objective = td.Objective(model, loss, (torch.randn(24, 5), torch.randn(24, 3)))
    tree = td.survey(td.Target(objective), measures=["sharpness"], settings=SMALL)
    names = tree["sharpness"]["measure"].values.tolist()
    assert "keskar_sharpness" not in names
    assert "fisher_rao_norm" not in names
    assert "largest_curvature" in names


def test_the_rises_are_those_of_the_function(tree):
    objective = target_of(nn.ReLU()).objective
    found = td.predicted_rise(objective, count=2, seed=3, engine="kept")
    np.testing.assert_array_equal(tree["predicted_rise"]["measured"], found["measured"])
    np.testing.assert_array_equal(tree["predicted_rise"]["predicted"], found["predicted"])


def test_the_headline_has_what_a_rescaling_does_not_change(tree):
    rows = {r["name"]: r for r in json.loads(tree.attrs["headline"])}
    assert rows["adaptive_sharpness"]["value"] == value(tree, "adaptive_sharpness")
    assert rows["average_sharpness"]["error"] == value(tree, "average_sharpness, adaptive", "error")


def test_a_run_on_disk_is_the_same(tmp_path: Path, tree: xr.DataTree):
    # kills: text that does not survive the disk
    target = target_of(nn.ReLU())
    td.survey(target, measures=["sharpness"], settings=SMALL, seed=3, out=tmp_path / "run")
    again = load_run(tmp_path / "run")
    xr.testing.assert_equal(
        again["sharpness"].dataset[["value", "kind", "setting"]],
        tree["sharpness"].dataset[["value", "kind", "setting"]],
    )


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("rho", 0.0), ("sigma", "a"), ("steps", 1), ("factor", 1), ("factor", -2.0), ("draws", 0.5)],
)
def test_settings_that_are_none_are_refused_by_name(name, wrong):
    measure = MEASURES["sharpness"]
    settings = {**measure.presets["quick"], name: wrong}
    with pytest.raises(InvalidArgument, match=f"{name} of sharpness"):
        measure.groups(target_of(nn.ReLU()), settings, 0)


def test_the_command_prints_what_it_measured():
    # kills: a command whose own numbers are not among those printed at the end
    assert {"adaptive_sharpness", "average_sharpness"} <= set(FIVE)
