"""``theodolite spectrum`` with everything it can be asked for. Oracle: its files and the plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from theodolite.cli.spectrum_lines import outermost
from theodolite.reporting.tables import Table
from theodolite.surveys import load_run

pytestmark = pytest.mark.usefixtures("quick")


def test_norms_layers_and_eigenvalues_are_measured_and_printed(call):
    # kills: an option that is dropped, tables printed on stdout
    options = ("--norms", "--per-layer", "--eigenvalues", "4", "--damping", "3")
    said = call("spectrum", "mine.py:build", *options, "-o", "runs/a")
    assert (said.code, said.out) == (0, "runs/a/report.html\n")
    tree = load_run("runs/a")
    assert {"spectrum", "frobenius_norm", "layer_diagonals", "layers", "eigenvalues"} <= set(
        tree.children
    )
    assert tree["eigenvalues"].sizes["eigenvalue"] == 4
    assert json.loads(tree["spectrum"].attrs["summary"])["damping"]["value"] == 3.0
    for words in (
        "upper edge of the bulk",
        "range the nodes allow",
        "rank  eigenvalue ± residual",
        "Frobenius norm",
        "effective dimension, damping 3",
        "share of the trace",
        "(model itself)",
    ):
        assert words in said.err


def test_many_eigenvalues_are_printed_from_both_ends():
    # kills: hundreds of lines, one end of the spectrum alone
    rows = tuple((str(k), f"{k}", "gap") for k in range(1, 41))
    kept = outermost(Table(("rank", "eigenvalue ± residual", "gap"), rows))
    assert [int(rank) for rank, _ in kept.rows] == [1, 2, 3, 4, 5, 6, 35, 36, 37, 38, 39, 40]
    assert outermost(Table(("rank", "eigenvalue"), rows[:3])).rows == tuple(r[:2] for r in rows[:3])


def test_plainly_it_measures_the_density_and_its_summary(call):
    # kills: costs of what was not asked for
    said = call("spectrum", "mine.py:build", "-o", "runs/b")
    assert set(load_run("runs/b").children) == {"start", "spectrum"}
    assert "outliers" in said.err
    assert "Frobenius" not in said.err


def test_the_plan_names_the_cost_of_layers_and_norms(call):
    # kills: a plan that leaves out what --per-layer costs
    def passes(*options: str) -> float:
        said = call("spectrum", "mine.py:build", "--dry-run", "--json", *options)
        plan = json.loads(said.out)
        return sum(m["passes"] for m in plan["measures"] if m["measure"] == "spectrum")

    plain = passes()
    assert passes("--norms") == plain + 6 * 3 * 16
    assert passes("--per-layer") == plain + 6 * (8 * 2 + 40 + 32)


def test_a_damping_alone_asks_for_the_norms(call):
    call("spectrum", "mine.py:build", "--damping", "2", "-o", "runs/c")
    assert "frobenius_norm" in load_run("runs/c").children


def test_a_warm_start_says_what_it_saved(call):
    # kills: the folder not passed on, the note missing
    call("spectrum", "mine.py:build", "--eigenvalues", "4", "-o", "runs/a")
    said = call(
        "spectrum", "mine.py:build", "--eigenvalues", "4", "--warm-start", "runs/a", "-o", "runs/b"
    )
    assert said.code == 0
    assert "Hessian products, begun from 4 eigenvectors of" in said.err
    assert "from a random start" in said.err
    assert load_run("runs/b")["eigenvalues"].attrs["warm_start"] == str(Path("runs/a").resolve())


def test_a_warm_start_of_another_architecture_is_refused(call):
    # kills: work begun before the check
    call("spectrum", "mine.py:build", "--eigenvalues", "2", "-o", "runs/a")
    other = ("spectrum", "mine.py:build", "-a", "width=3", "-o", "runs/b")
    said = call(*other, "--warm-start", "runs/a")
    assert said.code != 0
    assert "E-D41" in said.err
    assert "weight: (2, 3) there, (3, 3) here" in said.err
    assert not Path("runs/b/results.zarr").exists()
