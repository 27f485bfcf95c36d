"""Row G02 of the fault catalogue: a job that costs far more than people expect asks first.

Oracle: grid points counted by hand, and files on disk.
"""

from __future__ import annotations

import pytest
import torch

import theodolite as td
from theodolite.cli.consent import POINTS, SECONDS, refuse_costly
from theodolite.errors import InvalidArgument
from theodolite.surveys import surveying
from theodolite.surveys.plan import Plan


@pytest.mark.parametrize(
    ("argv", "points", "option"),
    [
        (["plane", "mine.py", "--steps", "1000"], "1,000,000", "--steps"),
        (
            ["plane", "mine.py", "--planes=5", "--x=-1:1:501", "--y=-1:1:100", "--method=dense"],
            "250,500",
            "--x",
        ),
        (["line", "mine.py", "--lines", "10", "--steps", "30000"], "300,000", "--lines"),
        (["plane", "mine.py", "--steps", "501", "--time-budget", "1s"], "251,001", "--steps"),
    ],
)
def test_g02_a_huge_grid_is_refused_with_its_estimate_and_nothing_is_written(
    call, place, argv, points, option
):
    # kills: a night's work begun by a typing error; a time budget taken for a bound on points
    said = call(*argv)
    assert (said.code, said.out) == (2, "")
    error = said.err[said.err.index("Error:") :].splitlines()
    assert [line.split(":")[0] for line in error] == ["Error", "Where", "Why", "Fix"]
    assert f"the job has {points} grid points and would take" in error[0]
    assert error[0].endswith("[E-I11]")
    assert option in error[3]
    assert "--yes" in error[3]
    assert "\nPlan" in said.err
    assert not (place / "runs").exists()
    assert call(*argv, "--dry-run").code == 0


@pytest.mark.usefixtures("quick")
def test_g02_hours_are_refused_and_a_budget_a_yes_or_a_begun_run_are_not(call, place, monkeypatch):
    # kills: a clock that is not looked at; a run that was begun and cannot be resumed
    monkeypatch.setattr("theodolite.cli.running.seconds_a_pass", lambda target: 1e4)
    argv = ("line", "mine.py", "--lines", "2", "--steps", "3", "-o", "runs/a")
    said = call(*argv)
    assert said.code == 2
    assert "the job has 6 grid points and would take about 29 h" in said.err
    assert not (place / "runs").exists()
    fix = call("survey", "mine.py", "--measures", "trace").err.splitlines()[-1]
    assert (
        fix == "Fix: pass --yes to begin it, or make it smaller with --measures, --preset quick "
        "or --limit."
    )
    assert call(*argv, "--time-budget", "0s").code == 3
    assert call("resume", "runs/a").code == 0
    assert call(*argv, "--fresh").code == 2
    assert call(*argv, "--fresh", "--yes").code == 0


def test_g02_what_is_refused_is_what_is_over_the_bound():
    # kills: >= for >, points counted in passes (a test set costs passes and no points)
    x, y = torch.ones(4, 1), torch.ones(4, 1)
    objective = td.Objective(torch.nn.Linear(1, 1), torch.nn.MSELoss(), (x, y))
    target = td.Target(objective, test=objective)

    def plan(steps: int) -> Plan:
        settings = {"planes": {"steps": [500, steps], "count": 1}}
        chosen = surveying.configured(measures=["planes"], settings=settings)
        return surveying.planned(target, chosen)

    refuse_costly(plan(POINTS // 500), 1e-9, 2.0)
    refuse_costly(plan(2), SECONDS / plan(2).passes, 2.0)
    with pytest.raises(InvalidArgument, match="E-I11"):
        refuse_costly(plan(POINTS // 500 + 1), 1e-9, 2.0)
    with pytest.raises(InvalidArgument, match="E-I11"):
        refuse_costly(plan(2), 1.001 * SECONDS / plan(2).passes, 2.0)


def test_g02_python_never_asks():
    # kills: a refusal where nobody can answer
    data = (torch.ones(1, 1), torch.ones(1, 1))
    objective = td.Objective(torch.nn.Linear(1, 1, bias=False), torch.nn.MSELoss(), data)
    settings = {"lines": {"steps": 300_000, "count": 1}}
    chosen = surveying.configured(measures=["lines"], settings=settings)
    assert surveying.planned(td.Target(objective), chosen).passes > POINTS
    tree = td.survey(objective, measures=["lines"], settings=settings, time_budget=0)
    assert "start" in tree.children


def test_g02_the_help_says_so(call):
    for command in ("plane", "line", "survey", "resume"):
        text = " ".join(call(command, "--help").out.replace("│", " ").split())
        assert "--yes" in text
        assert "250,000 grid points or 6 hours" in text
