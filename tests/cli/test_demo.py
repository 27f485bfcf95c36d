"""The demonstration from training to the page, made small.

Oracle: the files it leaves; a second call that computes nothing.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from theodolite.cli import demonstrating, demonstration
from theodolite.surveys import load_run
from theodolite.surveys.journal import read_journal

SMALL = demonstration.Settings(
    depth=8,
    width=2,
    epochs=1,
    train_examples=60,
    limit=10,
    survey={
        "planes": {"steps": [3, 3]},
        "lines": {"count": 2, "steps": 3},
        "spectrum": {"steps": 3, "probes": 1},
        "eigenvalues": {"count": 1, "tolerance": 0.5},
        "trace": {"max_products": 32, "tolerance": 0.5},
    },
)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demonstration, "SETTINGS", SMALL)


def units(folder: str) -> list[tuple[str, int]]:
    log = read_journal(Path(folder, "log.jsonl"))
    return [(r["group"], r["unit"]) for r in log if "unit" in r]


@pytest.mark.usefixtures("small")
def test_two_networks_one_page_and_nothing_twice(call):
    # kills: one network surveyed twice, training repeated, a page for each
    said = call("demo")
    assert (said.code, said.out) == (0, "runs/demo/report.html\n")
    stages = ["train skip", "survey skip", "train plain", "survey plain"]
    places = [said.err.index(f"\n{s:16} done") for s in stages]
    assert places == sorted(places)
    trees = {kind: load_run(f"runs/demo/{kind}") for kind in ("skip", "plain")}
    for kind, tree in trees.items():
        assert tree.attrs["model"] == demonstration.KINDS[kind]
        assert set(tree.children) >= {"start", "training", "plane_0", "line_1", "trace"}
        assert tree.sizes == {} or tree.attrs["examples"] == 10
    assert said.err.count("\nChecks   ") == 2
    params = {tree.attrs["params"] for tree in trees.values()}
    assert len(params) == 1
    assert trees["skip"]["start"]["loss"].values[0] != trees["plain"]["start"]["loss"].values[0]
    page = Path("runs/demo/report.html").read_text()
    assert all(title in page for title in demonstration.KINDS.values())
    first = units("runs/demo/skip")
    again = json.loads(call("demo", "--json").out)
    assert set(again["headline"]) == set(demonstration.KINDS.values())
    assert units("runs/demo/skip") == first
    resumed = call("resume", "runs/demo/plain")
    assert resumed.code == 0
    assert "all saved" in resumed.err


@pytest.mark.usefixtures("small")
def test_a_dry_run_of_the_demo_touches_nothing(call, place):
    said = call("demo", "--dry-run")
    assert (said.code, said.out) == (0, "")
    assert "nothing was written" in said.err
    assert not (place / "runs").exists()


def test_the_clock_counts_the_cost_of_every_stage():
    # kills: a survey's cost counted in passes where training's is in examples
    costs = demonstrating.costs(SMALL)
    assert list(costs) == ["train skip", "survey skip", "train plain", "survey plain"]
    assert costs["train skip"] == 1 * (3 * 60 + 60 + 500 + 1000)
    plan = demonstrating.plan_of(SMALL)[1]
    assert costs["survey plain"] == plan.passes * 10
