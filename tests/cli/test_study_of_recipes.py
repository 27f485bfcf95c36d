"""``theodolite study``. Oracle: its files, what it prints, and the exit codes of a survey."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from theodolite.surveys import load_run

SMALL = Path(__file__).parents[1] / "studies" / "small.py"
QUICK = ("--stop-loss", "1.5", "--products", "32", "--seeds", "1", "--length", "40")


@pytest.fixture(autouse=True)
def target(place):
    (place / "small.py").write_text(SMALL.read_text())


def test_a_grid_is_measured_stopped_continued_and_printed(call):
    # kills: options dropped, tables on stdout, a study that resume cannot find
    grid = ("--batch-sizes", "5,20", "--rates", "0.05,0.1", "--training", "alone")
    command = ("study", "batch-size", "small.py:build", *grid, *QUICK, "-o", "runs/a")
    plan = call(*command, "--dry-run", "--json")
    (row,) = (m for m in json.loads(plan.out)["measures"] if m["measure"] == "batch_size")
    assert row["units"] == 4
    assert not Path("runs").exists()
    part = call(*command, "--time-budget", "0s")
    assert (part.code, part.out) == (3, "runs/a/report.html\n")
    assert "3 units are left" in part.err or "4 units are left" in part.err
    status = call("status", "runs/a")
    assert "batch_size_study" in status.out + status.err
    done = call("resume", "runs/a")
    assert (done.code, done.out) == (0, "runs/a/report.html\n")
    said = " ".join(done.err.split())
    assert "2 batch sizes by 2 learning rates by 1 seed (no interval)" in said
    assert "compared at a training loss of 1.5" in said
    stored = load_run("runs/a")["batch_size_study"]
    assert stored.sizes["unit"] == 4
    assert json.loads(stored.attrs["axes"])["batch_size"] == [5, 20]
    again = call("survey", "--config", "runs/a/config.toml", "-o", "runs/a")
    assert again.code == 0
    other = call(*command, "--start", "target")
    assert other.code == 2
    assert "E-K05" in other.err


def test_optimizers_with_rates_by_rule(call):
    # kills: rates of another rule
    rates = ("--rate", "sgd=0.05", "--rate", "gd_batch_noise=0.1,0.2")
    said = call(
        "study",
        "optimizers",
        "small.py:build",
        "--rules",
        "sgd,gd_batch_noise",
        *rates,
        *QUICK,
        "-o",
        "runs/o",
        "--json",
    )
    assert said.code == 0
    found = json.loads(said.out)["studies"]["optimizer_study"]
    assert found["trainings"] == 2
    stored = load_run("runs/o")["optimizer_study"]
    assert json.loads(stored.attrs["rates"]) == {"sgd": [0.05], "gd_batch_noise": [0.1, 0.2]}


def test_wrong_use_is_said_in_four_lines(call):
    for words, code in (
        (("mine.py:build",), "E-U10"),
        (("small.py:build", "--rates", "fast"), "E-U20"),
        (("small.py:build", "--batch-sizes", "1.5"), "E-U20"),
        (("small.py:build", "--stop-loss", "soon"), "E-U20"),
        (("small.py:build", "--budget", "hours"), "E-U13"),
    ):
        said = call("study", "batch-size", *words)
        assert said.code == 2
        assert code in said.err
        assert said.out == ""
    assert "recipe=td.training.Recipe" in call("study", "batch-size", "mine.py:build").err
    said = call("study", "optimizers", "small.py:build", "--rate", "0.1")
    assert (said.code, "E-U20" in said.err) == (2, True)


def test_help_names_both_studies(call):
    said = call("study", "--help")
    assert said.code == 0
    assert "batch-size" in said.out + said.err
    assert "optimizers" in said.out + said.err
