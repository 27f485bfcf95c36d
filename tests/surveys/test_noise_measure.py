"""The noise measure of a survey. Oracles: the functions it stands for, and closed forms."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import theodolite as td
from theodolite.errors import InvalidArgument, TheodoliteWarning
from theodolite.surveys.measures import MEASURES
from theodolite.surveys.target import adjusted

ALL = {
    "curvature": True,
    "diversity": True,
    "eigenvalues": 2,
    "probes": 8,
    "tails": 3,
    "products": 40,
    "batch_size": 16,
    "learning_rate": 0.1,
    "momentum": 0.5,
}


def objective(examples: int = 80) -> td.Objective:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    x = torch.randn(examples, 3).double()
    return td.Objective(model, nn.MSELoss(), (x, x[:, :1] * x[:, 1:2]))


def surveyed(target: Any, **settings: Any) -> xr.DataTree:
    return td.survey(target, measures=["noise"], settings={"noise": settings}, seed=1)


@pytest.fixture(scope="module")
def tree() -> xr.DataTree:
    return surveyed(objective(), **ALL)


def test_the_scale_is_that_of_the_function_with_its_advice(tree):
    # kills: settings not passed on, another point, advice from the other scale
    found = tree["noise_scale"].to_dataset()
    noise = td.gradient_noise_scale(objective(), max_products=40, engine="kept", seed=1)
    advice = td.batch_size_advice(noise)
    for name, array in (*noise.data_vars.items(), *advice.data_vars.items()):
        np.testing.assert_array_equal(found[name], array)
    assert found.attrs["advice_from"] == advice.attrs["from"] == "hessian_weighted"
    assert list(found.attrs["caveats"]) == list(advice.attrs["caveats"])
    again = td.batch_size_advice(found)  # a survey's result serves as the function's
    assert float(again.critical_batch_size) == float(advice.critical_batch_size)


def test_the_other_results_are_those_of_their_functions(tree):
    # kills: counts or the seed not passed on, one group's result for another's
    at = objective()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TheodoliteWarning)
        tails = td.gradient_tail_index(at, directions=3, seed=1)
    pairs = {
        "noise_layers": td.signal_to_noise(at),
        "gradient_diversity": td.gradient_diversity(at),
        "noise_spectrum": td.noise_spectrum(at, count=2, tolerance=1e-3, seed=1),
        "noise_alignment": td.noise_curvature_alignment(at, probes=8, engine="kept", seed=1),
        "noise_tails": tails,
    }
    for group, expected in pairs.items():
        for name, array in expected.data_vars.items():
            np.testing.assert_array_equal(tree[group][name], array, err_msg=f"{group} {name}")


def test_what_is_stated_has_its_costs_and_temperatures(tree):
    # kills: momentum left out, costs at another batch size, N of another population
    found = tree["noise_scale"]
    critical = float(found["critical_batch_size"])
    assert float(found["stated_steps_factor"]) == pytest.approx(1 + critical / 16)
    assert float(found["stated_examples_factor"]) == pytest.approx(1 + 16 / critical)
    assert float(found["batch_noise_factor"]) == pytest.approx(1 / 16 - 1 / 80)
    assert float(found["step_to_batch_ratio"]) == pytest.approx(0.1 / 16 / 0.5)
    assert float(found["smith_le_noise_scale"]) == pytest.approx(0.2 * (80 / 16 - 1))
    excess = 0.2 / 4 * (1 / 16 - 1 / 80) * float(found["covariance_trace"])
    assert float(found["stationary_excess_loss"]) == pytest.approx(excess)


def test_the_headline_holds_both_scales_with_their_intervals(tree):
    # kills: an estimate told as exact, an exact number told as an estimate
    rows = {row["name"]: row for row in json.loads(tree.attrs["headline"])}
    found = tree["noise_scale"]
    assert rows["noise_scale"]["value"] == float(found["simple"])
    assert rows["noise_scale"]["exact"]
    weighted = rows["hessian_noise_scale"]
    assert weighted["value"] == float(found["hessian_weighted"])
    assert not weighted["exact"]
    assert weighted["note"].startswith("95 % interval ")


def test_a_sample_stands_for_all_the_examples_it_was_drawn_from():
    # kills: the sample taken for the population, as if its noise were all there is
    target = adjusted(td.Target(objective()), limit=70)
    found = surveyed(target)["noise_scale"]
    assert found.attrs["noise_population"] == 80
    expected = td.gradient_noise_scale(target.objective, population=80, curvature=False)
    assert float(found["simple_high"]) == float(expected.simple_high) > float(expected.simple)


def test_presets_hold_the_cheap_parts_and_thorough_all():
    # kills: hundreds of products in a quick survey, parts missing from a thorough one
    at = td.Target(objective())
    cost, names = {}, {}
    for preset, settings in MEASURES["noise"].presets.items():
        groups = MEASURES["noise"].groups(at, settings, 0)
        cost[preset] = sum(g.passes for g in groups)
        names[preset] = [g.name for g in groups]
    assert names["quick"] == ["noise_scale", "noise_layers"]
    assert cost["quick"] <= 18
    assert cost["standard"] <= 40
    assert set(names["thorough"]) - set(names["standard"]) == {"noise_spectrum", "noise_alignment"}
    assert cost["thorough"] > 12 * 200


def test_few_examples_have_no_tails_and_one_has_no_noise():
    # kills: a survey that fails where a part of it needs more data
    few = surveyed(objective(20), tails=2)
    assert "noise_tails" not in few.children
    assert few["noise_scale"].attrs["no_tails"] == "Tails need 64 examples; there are 20."
    one = surveyed(objective(1))
    assert "two examples" in one["noise_scale"].attrs["not_measured"]
    assert not any("noise" in row["name"] for row in json.loads(one.attrs["headline"]))


def test_examples_without_gradients_of_their_own_are_told_and_do_not_fail():
    # kills: a quick survey of such a network that ends as failed
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.0), nn.Linear(4, 1))
    x = torch.randn(20, 3)
    train = td.Objective(model, nn.MSELoss(), (x, x[:, :1]), mode="train")
    tree = surveyed(train)
    assert 'mode="train"' in tree["noise_scale"].attrs["not_measured"]
    assert "failures" not in tree["noise_scale"].attrs


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batch_size": -1}, "E-S07"),
        ({"batch_size": 81}, "E-Y21"),
        ({"learning_rate": 0.1}, "E-Y20"),
        ({"learning_rate": float("nan"), "batch_size": 2}, "E-S07"),
        ({"momentum": 1.0}, "E-S07"),
        ({"probes": 7}, "E-S07"),
        ({"products": 31}, "E-S07"),
        ({"level": 1.0}, "E-S07"),
        ({"curvature": 1}, "E-S07"),
        ({"population": 79}, "E-Y05"),
        ({"population": "all"}, "E-Y05"),
    ],
)
def test_settings_out_of_range_are_refused_before_any_work(changes, words):
    with pytest.raises(InvalidArgument) as told:
        surveyed(objective(), **changes)
    assert told.value.code == words


def test_a_stream_of_examples_has_no_largest_batch():
    # kills: Smith and Le's N made up
    found = surveyed(objective(), population="distribution", batch_size=500, learning_rate=0.1)[
        "noise_scale"
    ]
    assert float(found["batch_noise_factor"]) == pytest.approx(1 / 500)
    assert np.isnan(float(found["smith_le_noise_scale"]))
