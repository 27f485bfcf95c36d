"""The saddles measure of a survey against the functions it stands for."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import theodolite as td
from theodolite.errors import InvalidArgument, TheodoliteWarning
from theodolite.surveys.measures import MEASURES, saddles

SETTINGS = {"saddles": {"count": 2, "search": "gradient-norm", "max_products": 300}}


def target() -> td.Target:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    x = torch.randn(30, 3)
    return td.Target(td.Objective(model, nn.MSELoss(), (x, x[:, :1] * x[:, 1:2])))


def tiny() -> td.Target:
    """A model of two parameters."""
    torch.manual_seed(0)
    x = torch.randn(6, 1)
    return td.Target(td.Objective(nn.Linear(1, 1), nn.MSELoss(), (x, 2 * x)))


@pytest.fixture(scope="module")
def tree() -> xr.DataTree:
    return td.survey(target(), measures=["saddles"], settings=SETTINGS, seed=1)


def test_the_index_is_that_of_the_function(tree):
    # kills: settings not passed on, another point
    operator = td.hessian(target().objective, engine="kept")
    found = td.saddle_index(operator, seed=1)
    np.testing.assert_array_equal(tree["saddle_index"]["index"], found["index"])
    np.testing.assert_array_equal(tree["saddle_index"]["verdict"], found["verdict"])
    np.testing.assert_allclose(tree["saddle_index"]["eigenvalue"], found["eigenvalue"])


def test_large_networks_are_sampled():
    # kills: a dense spectrum where it was not asked for
    settings = {"saddles": {"count": 2, "dense_limit": 0, "probes": 3, "steps": 10}}
    tree = td.survey(target(), measures=["saddles"], settings=settings, seed=1)
    assert tree["saddle_index"].attrs["method"] == "lanczos"
    assert tree["saddle_index"].sizes["probe"] == 3
    assert tree["saddle_index"].sizes["direction"] == 2


def test_a_search_is_kept_whether_or_not_it_ends(tree):
    # kills: a survey that fails because no critical point was found
    found = tree["critical_point"]
    assert float(found["gradient_norm"][-1]) < float(found["gradient_norm"][0])
    assert json.loads(found.attrs["accepted"]) in (True, False)
    short = {"saddles": {**SETTINGS["saddles"], "max_products": 2}}
    again = td.survey(target(), measures=["saddles"], settings=short, seed=1)["critical_point"]
    assert again.attrs["accepted"] == "false"
    assert again.attrs["reason"]


def test_nothing_is_measured_unless_asked_for():
    measure = MEASURES["saddles"]
    assert measure.groups(target(), measure.presets["quick"], 0) == ()
    wrong = {**measure.presets["thorough"], "search": "newton"}
    with pytest.raises(InvalidArgument, match="search of saddles must be one of none, newton-mr"):
        measure.groups(target(), wrong, 0)


@pytest.mark.parametrize(
    ("measure", "settings", "said"),
    [
        ("eigenvalues", {"count": 500}, "count of eigenvalues asks for 500"),
        ("noise", {"eigenvalues": 500}, "eigenvalues of noise asks for 500"),
        ("saddles", {"count": 500}, "count of saddles asks for 500"),
    ],
)
def test_fewer_eigenvalues_than_were_asked_for_are_no_secret(measure, settings, said):
    # kills: a count that is cut to the number of parameters without a word
    size = target().objective.space.size
    with pytest.warns(TheodoliteWarning, match=f"{said}, and a model of {size} parameters") as told:
        td.survey(target(), measures=[measure], settings={measure: settings})
    assert len(told) == 1


def test_a_preset_that_fits_larger_networks_says_nothing(tmp_path):
    # Negative control: nobody asked for its number. Warnings are errors here.
    tree = td.survey(tiny(), measures=["eigenvalues"], preset="thorough")
    assert tree["eigenvalues"].sizes["eigenvalue"] == 2


def test_the_index_at_the_point_found_is_by_the_settings(monkeypatch):
    # kills: a whole spectrum of the point found, in float64, where a sample was asked for
    asked: list[dict[str, object]] = []

    def noted(objective: td.Objective, **how: object) -> xr.Dataset:
        asked.append(how)
        return td.critical_point(objective, **how)

    monkeypatch.setattr(saddles, "critical_point", noted)
    chosen = {**SETTINGS["saddles"], "dense_limit": 0, "steps": 7, "probes": 3}
    td.survey(target(), measures=["saddles"], settings={"saddles": chosen})
    assert asked[0]["index_settings"] == {"dense_limit": 0, "probes": 3, "steps": 7, "count": 2}


def test_the_cost_of_a_search_counts_its_test_its_index_and_float64():
    # kills: a plan of the products of the search alone, and of passes in float32
    chosen = {**MEASURES["saddles"].presets["quick"], "count": 2, "search": "newton-mr"}
    made = MEASURES["saddles"].groups(target(), {**chosen, "max_products": 100}, 0)
    size = target().objective.space.size
    found = next(g for g in made if g.name == "critical_point")
    assert found.passes == pytest.approx(3 * 6 * (1.2 * 100 + 2 * (2 * size + 16) + size))
