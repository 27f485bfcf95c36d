"""The study of the edge of stability: runs, resuming, starts, and what is refused.

Oracle: `descent_sharpness` itself; a quadratic whose eigenvalues are known.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import theodolite as td
from theodolite import datasets
from theodolite.curvature.sharpening import DescentRule, descent_sharpness
from theodolite.errors import InvalidArgument, StorageError, UnsupportedModel
from theodolite.studies.table import STUDIES
from theodolite.surveys import load_run, survey
from theodolite.surveys.measures import MEASURES
from theodolite.surveys.plan import chosen
from theodolite.surveys.tables import table_of
from theodolite.training import Recipe, train
from theodolite.training.fresh_starts import fresh_start


def half_square(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return ((outputs - targets) ** 2).sum(1) / 2


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))


def target(**parts: Any) -> td.Target:
    made = torch.Generator().manual_seed(0)
    x, y = torch.randn(20, 3, generator=made), torch.randn(20, 1, generator=made)
    torch.manual_seed(1)
    return td.Target(td.Objective(network(), half_square, (x, y)), **parts)


HOW: dict[str, Any] = {"steps": 20, "every": 5, "eigenvalues": 1}


def test_runs_are_descents_from_the_target_at_every_rate() -> None:
    # Kills: rates in another order; one start for all; a rate that never reaches the descent.
    chosen = target()
    found = td.studies.edge_of_stability(chosen, rates=[0.1, 0.4], **HOW)
    for k, rate in enumerate((0.1, 0.4)):
        alone = descent_sharpness(chosen.objective, DescentRule(rate), tolerance=1e-2, **HOW)
        assert float(found.rate[k]) == rate
        np.testing.assert_allclose(found.eigenvalue[k].values, alone.eigenvalue.values, rtol=1e-6)
        np.testing.assert_allclose(found.loss[k].values, alone.loss.values, rtol=1e-6)
    assert bool(found.fresh_start.isnull().all())


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_shares_choose_rates_by_the_threshold_at_the_start(momentum: float) -> None:
    # Kills: a threshold of 2 / rate under momentum; the share inverted.
    found = td.studies.edge_of_stability(target(), shares=[0.5, 0.2], momentum=momentum, **HOW)
    ratio = found.start_eigenvalue / found.threshold
    np.testing.assert_allclose(ratio.values, [0.5, 0.2], rtol=1e-3)
    assert float(found.threshold[0]) == pytest.approx((2 + 2 * momentum) / float(found.rate[0]))


def test_a_run_that_was_stopped_goes_on_and_trains_nothing_twice(tmp_path: Path) -> None:
    # Kills: runs computed again; another result than that of one go.
    how = {"rates": [0.1, 0.2, 0.4], "out": tmp_path, **HOW}

    def interrupt(done: int, units: int) -> None:
        if done == 2:  # the start and the first run
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        td.studies.edge_of_stability(target(), **how, progress=interrupt)
    first = load_run(tmp_path)["edge_of_stability"]
    assert first["rate"].notnull().values.tolist() == [True, False, False]
    again = td.studies.edge_of_stability(target(), **how)
    whole = td.studies.edge_of_stability(target(), **{**how, "out": None})
    for name in whole.data_vars:
        np.testing.assert_array_equal(again[name].values, whole[name].values)
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    units = [r for r in map(json.loads, lines) if r.get("group") == "edge_of_stability"]
    assert sorted(r["unit"] for r in units if r["event"] == "unit") == [0, 1, 2]
    assert "late_sharpness_2" in {
        h["name"] for h in json.loads((tmp_path / "summary.json").read_text())["headline"]
    }
    assert float(load_run(tmp_path)["edge_of_stability"]["rate"][2]) == 0.4


def test_fresh_starts_are_those_of_a_training_by_the_recipe() -> None:
    # Kills: the target's own weights; one start for all seeds; another stream of random numbers.
    data = datasets.digits(limit=50, flatten=True)
    recipe = Recipe(lambda: nn.Linear(64, 10), data, epochs=0, seed=7)
    x, y = data.train
    objective = td.Objective(nn.Linear(64, 10), nn.CrossEntropyLoss(), (x, y))
    start = fresh_start(objective, seed=7, recipe=recipe)
    parameters = nn.utils.parameters_to_vector(train(recipe).model.parameters())
    assert torch.equal(start, parameters.detach())
    found = td.studies.edge_of_stability(
        td.Target(objective, recipe=recipe), rates=[0.1], fresh_starts=[7, 8], **HOW
    )
    assert found.fresh_start.values.tolist() == [7, 8]
    assert float(found.loss[0, 0]) == pytest.approx(float(objective.value(start)), rel=1e-5)
    assert float(found.loss[0, 0]) != float(found.loss[1, 0])


def test_layers_that_cannot_be_drawn_anew_are_named() -> None:
    class Own(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return (x * self.scale).sum(1, keepdim=True)

    data = (torch.ones(4, 3), torch.zeros(4, 1))
    objective = td.Objective(nn.Sequential(Own()), half_square, data)
    with pytest.raises(UnsupportedModel, match="0 \\(Own\\)") as raised:
        fresh_start(objective, seed=0)
    assert raised.value.code == "E-U45"
    split = datasets.digits(limit=50, flatten=True)
    recipe = Recipe(lambda: nn.Linear(3, 1), split)
    with pytest.raises(InvalidArgument) as refused:
        fresh_start(objective, seed=0, recipe=recipe)
    assert refused.value.code == "E-U44"
    with pytest.raises(StorageError, match="no run of the study") as lost:
        td.studies.edge_of_stability(objective, rates=[0.1], fresh_starts=[0], **HOW)
    assert "reset_parameters" in lost.value.why


def test_a_survey_makes_studies_only_where_they_are_named() -> None:
    # Kills: hours of training in every survey.
    assert not set(STUDIES) & set(chosen(None, MEASURES))
    assert table_of(["edge_of_stability"])["edge_of_stability"].name == "edge_of_stability"
    assert "edge_of_stability" not in survey(target(), measures=["trace"]).children


BAD = {
    "rates": {"rates": [0.1, -1.0]},
    "none twice": {"rates": [0.1, 0.1]},
    "momentum": {"momentum": 1.0},
    "nesterov": {"nesterov": True},
    "late": {"late": 30},
    "fresh_starts": {"fresh_starts": [-1]},
}


@pytest.mark.parametrize("name", BAD)
def test_settings_out_of_range_are_refused_by_name(name: str) -> None:
    with pytest.raises(InvalidArgument, match=name) as raised:
        td.studies.edge_of_stability(target(), **({"rates": [0.1]} | HOW | BAD[name]))
    assert raised.value.code == "E-U47"
