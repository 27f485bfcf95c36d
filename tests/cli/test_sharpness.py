"""``theodolite sharpness`` and ``saddles``: what is printed, passed on and refused.

Oracle: the run's own files, and the messages.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from theodolite.surveys import load_run
from theodolite.training import save_state

pytestmark = pytest.mark.usefixtures("quick")

SMALL = ("--steps", "2", "--draws", "2", "--products", "2", "--directions", "1", "--pac-draws", "2")


def test_all_measures_and_the_valleys_are_printed(call, place: Path):
    # kills: a run that prints nothing of what it measured, an origin that is dropped
    save_state({"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}, place / "first.safetensors")
    how = ("--valleys", "1", "--valley-top", "0", "--batch-size", "4", "--factor", "0")
    said = call(
        "sharpness", "mine.py:build", *SMALL, *how, "--origin", "first.safetensors", "-o", "runs/a"
    )
    assert (said.code, said.out) == (0, "runs/a/report.html\n")
    tree = load_run("runs/a")
    found = tree["sharpness"].to_dataset()
    bound = found.sel(measure=found["measure"] == "pac_bayes_bound")
    assert bound.sizes["measure"] == 1
    for words in ("worst case in a ball (SAM)", "PAC-Bayes distance term", "rho = 0.05, 2 steps"):
        assert words in said.err
    assert "lines" in said.err
    assert "\n\n" not in said.err


def test_saddles_say_their_verdict_their_search_and_why_there_is_no_escape(call):
    # kills: a command that ends without an answer. Linear regression has a minimum only.
    said = call("saddles", "mine.py:build", "--escape", "--escape-runs", "1", "-o", "runs/b")
    assert said.code == 0
    assert load_run("runs/b")["escape_gradient"].sizes["run"] == 0
    text = " ".join(said.err.split())
    assert "At thresholds from 1.0e-6 on:" in text
    assert "The search (newton-mr) took the gradient norm from" in text
    assert "no direction leads down and there is nothing to escape from" in text


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--radius", "0.2"), "E-H71", "--radius is a setting of escapes and needs --escape"),
        (("--escape-runs", "3"), "E-H71", "--escape-runs is a setting of escapes"),
        (("--escape", "--escape-runs", "0"), "E-H72", "at least 1 with --escape; got 0"),
        (("--escape", "--radius", "nan"), "E-S07", "radius of saddles must be positive; got nan"),
        (("--escape", "--search", "none"), "E-H60", "there is no critical point to leave"),
    ],
)
def test_saddles_refuse_by_name_and_say_what_to_do(call, options, code, words):
    # kills: an option that is silently ignored, a message without a way out
    said = call("saddles", "mine.py:build", *options, "-o", "runs/c")
    assert said.code != 0
    assert words in said.err
    assert f"[{code}]" in said.err
    assert "Fix: " in said.err
    assert not Path("runs/c").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--rho", "-1"), "rho of sharpness must be a positive number; got -1.0"),
        (("--factor", "nan"), "factor of sharpness must be positive and not 1, or 0 for none"),
        (("--steps", "0"), "steps of sharpness must be a whole number, at least 2; got 0"),
        (("--valleys", "-3"), "valleys of sharpness must be a whole number, at least 0; got -3"),
        (("--origin", "none.pt"), "none.pt. [E-T60]"),
    ],
)
def test_sharpness_refuses_by_name_and_says_what_to_do(call, options, words):
    said = call("sharpness", "mine.py:build", *options, "-o", "runs/d")
    assert said.code != 0
    assert words in said.err
    assert "Fix: " in said.err
    assert not Path("runs/d").exists()


def test_an_origin_costs_what_the_plan_says(call, place: Path):
    # kills: a plan that leaves out the search for sigma
    save_state({"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}, place / "first.safetensors")

    def passes(*options: str) -> float:
        said = call("sharpness", "mine.py:build", "--dry-run", "--json", *options)
        return sum(m["passes"] for m in json.loads(said.out)["measures"])

    more = passes("--origin", "first.safetensors", "--pac-draws", "5") - passes("--pac-draws", "5")
    assert more == 2 * (20 * 5 + 1)  # here, and again with layers rescaled
