"""The path of a training in a survey.

Oracle: `td.trajectory` and `td.plane` called directly.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import theodolite as td
from theodolite.errors import InvalidArgument
from theodolite.surveys import planned
from theodolite.surveys.measures.trajectory import TRAJECTORY, chosen_runs, span_of
from theodolite.surveys.surveying import configured
from theodolite.training import Recipe, train

SMALL = {"trajectory": {"steps": 5, "null_walks": 10, "most_checkpoints": 4}}


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> td.Target:
    """A small network trained for six epochs."""
    data = td.datasets.digits(limit=100, flatten=True)
    recipe = Recipe(partial(td.models.mlp, (64, 6, 10)), data, epochs=6, batch_size=40)
    run = train(recipe, checkpoints=tmp_path_factory.mktemp("weights"))
    loss = nn.CrossEntropyLoss()
    return td.Target(
        td.Objective(run.model, loss, data.train),
        test=td.Objective(run.model, loss, data.test),
        checkpoints=run.checkpoints,
    )


def surveyed(target: td.Target, **more: object) -> dict[str, object]:
    tree = td.survey(target, measures=["trajectory"], settings=SMALL, **more)
    return {name: node.to_dataset() for name, node in tree.children.items()}


def test_a_survey_s_groups_are_the_trajectory_and_the_plane_below_it(target: td.Target) -> None:
    # Kills: rows in another order; another subsample, center or origin than the library's.
    found = surveyed(target)
    whole = td.trajectory(
        target.objective, target.checkpoints, test=target.test, most=4, null_walks=10
    )
    for name in whole.variables:
        home = "trajectory" if name in found["trajectory"].variables else "trajectory_losses"
        assert np.array_equal(found[home][name], whole[name], equal_nan=True), name
    assert found["trajectory"].attrs["checkpoints_available"] == 7
    surface = found["trajectory_plane"]
    assert (surface.attrs["role"], surface.attrs["axes"]) == ("trajectory", "principal")
    assert surface.loss.shape == (5, 5)
    for k, axis in enumerate(("alpha", "beta")):
        inside = whole.coordinates[:, k]
        assert float(surface[axis].min()) < float(inside.min())
        assert float(surface[axis].max()) > float(inside.max())


def test_stopped_after_one_unit_and_resumed_it_is_the_same(
    target: td.Target, tmp_path: Path
) -> None:
    # Kills: units that depend on what came before them.
    whole = surveyed(target)
    for _ in range(3):
        surveyed(target, out=tmp_path / "run", time_budget=0)
    again = surveyed(target, out=tmp_path / "run")
    for name, expected in whole.items():
        assert expected.equals(again[name]), name


def test_without_checkpoints_there_is_no_group_unless_it_was_asked_for(target: td.Target) -> None:
    bare = td.Target(target.objective, checkpoints=target.checkpoints[:2])
    assert not [g for g in planned(bare, configured()).groups if g.measure == "trajectory"]
    settings = {**TRAJECTORY.presets["quick"], "required": True}
    with pytest.raises(InvalidArgument, match="E-J15"):
        TRAJECTORY.groups(bare, settings, 0)


def test_runs_are_named_by_patterns(target: td.Target, tmp_path: Path) -> None:
    # Kills: files in the order of their names (step_10 before step_9); a name lost.
    first, last = target.objective.start * 0, target.objective.start
    for step in (9, 10):
        state = target.objective.space.views(first if step == 9 else last)
        torch.save({k: v.clone() for k, v in state.items()}, tmp_path / f"step_{step}.pt")
    folder = str(Path(target.checkpoints[0]).parent)
    quick = {**TRAJECTORY.presets["quick"], "most_checkpoints": 3}
    (run,) = chosen_runs(target, {**quick, "runs": [f"a={tmp_path}/*.pt"]})
    assert (run.name, run.times, run.unit) == ("a", (9.0, 10.0), "step")
    (run,) = chosen_runs(target, {**quick, "runs": [f"={folder}"]})
    assert run.times == (0.0, 3.0, 6.0)
    with pytest.raises(InvalidArgument, match="E-J08"):
        chosen_runs(target, {**quick, "runs": [f"a={tmp_path}/*.pt", f"b={folder}"]})
    for text in ("a", "a=", f"a={tmp_path}/none*"):
        with pytest.raises(InvalidArgument, match="E-J16"):
            chosen_runs(target, {**quick, "runs": [text]})
    with pytest.raises(InvalidArgument, match="E-J14"):
        TRAJECTORY.groups(target, {**quick, "axes": "best"}, 0)


def test_random_axes_hold_almost_nothing_of_the_path(target: td.Target) -> None:
    # Kills: principal axes drawn under the name of random ones.
    settings = {"trajectory": {**SMALL["trajectory"], "axes": "random"}}
    tree = td.survey(target, measures=["trajectory"], settings=settings)
    facts = tree["trajectory"].attrs
    assert facts["axes"] == "given"
    assert facts["plane_share"] < 0.2 < 0.8 < facts["principal_share"]
    assert tree["trajectory_plane"].attrs["normalize"] == "filter"


def test_the_plane_holds_the_path_with_a_margin_and_is_not_a_strip() -> None:
    ends = span_of(np.array([[0.0, 0.0], [10.0, 0.0]]), 0.1)
    assert ends == [[-1.0, 11.0], [-4.8, 4.8]]
