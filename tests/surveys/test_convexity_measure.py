"""The convexity map of a survey against ``td.convexity``, and its place in presets and commands."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import theodolite as td
from theodolite.seeds import child_seed
from theodolite.surveys.measures import MEASURES

SETTINGS = {"convexity": {"count": 1, "steps": [2, 3], "span": [[0.0, 1.0], [-1.0, 1.0]]}}


@pytest.fixture(scope="module")
def objective() -> td.Objective:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.Tanh(), torch.nn.Linear(3, 2))
    return td.Objective(
        model, torch.nn.CrossEntropyLoss(), (torch.randn(12, 5), torch.randint(2, (12,)))
    )


def test_a_map_computed_row_by_row_is_the_map(objective: td.Objective) -> None:
    # kills: other directions than the first plane's, rows that lean on each other, facts lost
    tree = td.survey(objective, measures=["convexity"], settings=SETTINGS, seed=4)
    found = tree["convexity"].to_dataset()
    directions = td.random_directions(objective, count=2, seed=child_seed(4, "plane", 0))
    whole = td.convexity(objective, directions, span=((0, 1), (-1, 1)), steps=(2, 3), seed=4)
    for name in whole.data_vars:
        np.testing.assert_array_equal(found[name].values, whole[name].values)
    for name in ("products", "nonconvex_share", "mean_ratio", "engine", "tolerance"):
        assert found.attrs[name] == whole.attrs[name]
    row = next(r for r in json.loads(tree.attrs["headline"]) if r["name"] == "nonconvex_share")
    assert row["value"] == 100 * whole.attrs["nonconvex_share"]


def test_quick_surveys_have_no_map_and_others_cost_what_they_say(objective) -> None:
    # kills: a map in the quick preset, a cost without the graph
    measure = MEASURES["convexity"]
    assert measure.groups(td.Target(objective), measure.presets["quick"], 0) == ()
    (group,) = measure.groups(td.Target(objective), measure.presets["standard"], 0)
    assert (group.name, group.units, group.passes) == ("convexity", 7, 7 * (3 + 6 * 20))
    tree = td.survey(objective, measures=["convexity", "eigenvalues"])
    assert "convexity" not in tree.children
