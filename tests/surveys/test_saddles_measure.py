"""The saddles measure of a survey against the functions it stands for."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn

import theodolite as td
from theodolite.errors import InvalidArgument
from theodolite.surveys.measures import MEASURES

SETTINGS = {"saddles": {"count": 2, "search": "gradient-norm", "max_products": 300}}


def target() -> td.Target:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    x = torch.randn(30, 3)
    return td.Target(td.Objective(model, nn.MSELoss(), (x, x[:, :1] * x[:, 1:2])))


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
