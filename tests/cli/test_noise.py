"""``theodolite noise``. Oracle: its files, the plan, and what it says of them."""

from __future__ import annotations

import json

import pytest

from theodolite.surveys import load_run

ALL = {"noise_scale", "noise_layers", "gradient_diversity", "noise_spectrum", "noise_alignment"}


@pytest.mark.usefixtures("quick")
def test_everything_is_measured_and_printed(call):
    # kills: an option that is dropped, tables printed on stdout
    stated = ("--batch-size", "4", "--learning-rate", "0.5", "--momentum", "0.5")
    said = call(
        "noise", "mine.py:build", *stated, "--eigenvalues", "2", "--probes", "8", "-o", "runs/a"
    )
    assert (said.code, said.out) == (0, "runs/a/report.html\n")
    tree = load_run("runs/a")
    assert set(tree.children) >= ALL
    assert tree["noise_spectrum"].sizes["pair"] == 2
    assert float(tree["noise_scale"]["step_to_batch_ratio"]) == 0.25
    for words in (
        "simple noise scale",
        "noise scale by curvature",
        "noise scale of Smith and Le",
        "signal to noise",
        "gradient diversity",
        "cosine of H and Sigma",
        "Your batch of 4 takes",
        "- The noise scale changes in training",
    ):
        assert words in said.err


def test_json_holds_the_numbers(call):
    said = call("noise", "mine.py:build", "--no-curvature", "--probes", "0", "--json")
    found = json.loads(said.out)
    assert found["noise"]["gradient_noise_scale"]["simple"] > 0
    assert "noise_curvature_alignment" not in found["noise"]
    assert found["noise"]["gradient_noise_scale"]["hessian_weighted"] is None


def test_the_plan_counts_what_curvature_costs(call):
    # kills: a plan that leaves out the products, or their number
    def passes(*options: str) -> float:
        said = call("noise", "mine.py:build", "--dry-run", "--json", *options)
        plan = json.loads(said.out)
        return sum(m["passes"] for m in plan["measures"] if m["measure"] == "noise")

    plain = passes("--no-curvature", "--probes", "0", "--eigenvalues", "0")
    less = ("--probes", "0", "--eigenvalues", "0", "--products", "50")
    assert passes(*less) == plain + 12 * 50
    assert passes("--no-curvature", "--probes", "10", "--eigenvalues", "0") == plain + 9 + 12 * 10


@pytest.mark.usefixtures("quick")
def test_a_population_is_a_word_or_a_number(call):
    # kills: a number passed on as text
    few = ("--no-curvature", "--probes", "0", "--eigenvalues", "0", "--tails", "0")
    said = call("noise", "mine.py:build", "--population", "5000", *few, "-o", "runs/p")
    assert said.code == 0
    assert load_run("runs/p")["noise_scale"].attrs["noise_population"] == 5000
    wrong = call("noise", "mine.py:build", "--population", "everything", *few, "--dry-run")
    assert wrong.code != 0
    assert "E-Y05" in wrong.err


def test_nonsense_is_refused_before_any_work(call):
    for option, value, code in (
        ("--batch-size", "100000", "E-Y21"),
        ("--learning-rate", "0.1", "E-Y20"),
        ("--level", "7", "E-S07"),
    ):
        said = call("noise", "mine.py:build", option, value, "-o", "runs/no")
        assert said.code != 0
        assert code in said.err


def test_a_batch_of_nothing_is_refused(call):
    # kills: --batch-size 0 taken for none
    said = call("noise", "mine.py:build", "--batch-size", "0")
    assert said.code == 2
    assert "--batch-size must be at least 1; got 0. [E-D54]" in said.err
