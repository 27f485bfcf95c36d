"""``theodolite connect``. Oracle: its files, and losses of the same weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from theodolite.surveys import load_run

FEW = ("--steps", "5", "--refine", "0", "--resamples", "50", "--curve-steps", "16")


@pytest.fixture(autouse=True)
def weights(place: Path) -> None:
    for k, name in enumerate(("a", "b")):
        torch.manual_seed(k)
        save_file(torch.nn.Linear(3, 2).state_dict(), place / f"{name}.safetensors")


@pytest.mark.usefixtures("quick")
def test_a_line_is_measured_and_printed(call):
    # kills: an option that is dropped; tables on stdout
    said = call("connect", "mine.py:build", "a.safetensors", "b.safetensors", *FEW, "-o", "runs/a")
    assert (said.code, said.out) == (0, "runs/a/report.html\n")
    found = load_run("runs/a")["barrier"]
    assert found.sizes["alpha"] == 5
    assert found.attrs["resamples"] == 50
    for words in ("a and b are in the same basin.", "saddle excess", "a to b, test loss"):
        assert words in said.err
    assert "Units were not matched" in said.err  # a linear layer has none
    again = call("connect", "a.safetensors", "b.safetensors", "mine.py:build", *FEW, "-o", "runs/a")
    assert again.code == 0  # the target last is the same command


def test_json_holds_the_numbers_and_the_page_the_section(call):
    said = call("connect", "mine.py:build", "a.safetensors", *FEW, "-o", "runs/b", "--json")
    found = json.loads(said.out)
    (line,) = found["connectivity"]
    (verdict,) = found["connections"]["verdicts"]
    assert verdict["verdict"] == "same basin"
    assert verdict["sentence"].startswith("target and a are in the same basin.")
    assert verdict["evidence"]["barrier"]["value"] == 0.0
    assert verdict["evidence"]["threshold"] > 0
    assert (line["first"], line["second"]) == ("target", "a")
    assert line["barrier"] == 0.0  # a linear model with squared loss is a bowl
    assert line["area"] < 0
    assert len(line["loss"]) == 5
    page = Path("runs/b/report.html").read_text("utf-8")
    assert 'id="connections"' in page
    assert "Loss from target to a" in page


def test_what_cannot_be_connected_is_refused(call, place):
    none = call("connect", "mine.py:build", *FEW)
    assert (none.code, "E-A06" in none.err) == (2, True)
    gone = call("connect", "mine.py:build", "c.safetensors", *FEW, "-o", "runs/c")
    assert (gone.code, "E-S48" in gone.err) == (2, True)
    assert "there is no file" in gone.err
    assert not (place / "runs/c").exists()
    save_file(torch.nn.Linear(4, 2).state_dict(), place / "wide.safetensors")
    wide = call("connect", "mine.py:build", "wide.safetensors", *FEW, "-o", "runs/d")
    assert (wide.code, "E-A07" in wide.err) == (2, True)
    assert "wide.safetensors does not fit the model: weight has shape (2, 4)" in wide.err
    assert not (place / "runs/d").exists()


def test_help_is_read_on_one_page_and_the_plan_names_curves(call):
    # kills: curves that are trained without having been announced
    told = call("connect", "--help")
    assert told.code == 0
    assert len(told.out.splitlines()) <= 48
    few = call("connect", "mine.py:build", "a.safetensors", "b.safetensors", "--dry-run")
    assert "curves" in few.err
    none = call("connect", "mine.py:build", "a.safetensors", "--curve", "none", "--dry-run")
    assert "curves" not in none.err
    four = call("connect", "mine.py:build", *["a.safetensors"] * 4, "--dry-run")
    assert "curves" not in four.err
    asked = call(
        "connect", "mine.py:build", *["a.safetensors"] * 4, "--curve", "polychain", "--dry-run"
    )
    assert "curves" in asked.err


def test_three_points_have_a_graph_and_their_verdict_is_said_once(call, place):
    # kills: barriers printed twice, a graph that is not announced, bands that are not passed on
    torch.manual_seed(7)
    save_file(torch.nn.Linear(3, 2).state_dict(), place / "c.safetensors")
    names = [f"{n}.safetensors" for n in "abc"]
    said = call("connect", "mine.py:build", *names, *FEW, "-o", "runs/g", "--json")
    assert said.code == 0
    assert "minima_graph 1 done" in " ".join(said.err.split())
    assert said.err.count("a and b are in the same basin.") == 1
    assert "Barrier  " not in said.err
    assert "On the tree of the lowest paths between 3 minima" in said.err.replace("\n", " ")
    found = json.loads(said.out)
    assert len(found["minima_graph"]["edges"]) == 2
    assert found["minima_graph"]["bands"] == 0
    assert any("a and b are in the same basin" in words for words in found["words"])
    page = Path("runs/g/report.html").read_text("utf-8")
    assert "The graph of the minima" in page
    two = call("connect", "mine.py:build", *names[:2], "--bands", *FEW, "--dry-run")
    assert (two.code, "E-S52" in two.err) == (2, True)
    plan = call("connect", "mine.py:build", *names, "--bands", *FEW, "--dry-run").err
    assert "minima_graph" in plan
