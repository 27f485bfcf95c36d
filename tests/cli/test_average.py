"""``theodolite average``. Oracle: its files, and the mean of the weights written by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from theodolite.surveys import load_run

FEW = ("--steps", "3", "--refine", "0", "--resamples", "50")
FILES = ("a.safetensors", "b.safetensors")

WELL = """
import torch
import theodolite as td

class Well(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(1))
    def forward(self, x):
        return x * (self.w**2 - 1)

def build():
    one = torch.ones(4, 1)
    return td.Target(td.Objective(Well(), torch.nn.MSELoss(), (one, 0 * one)))
"""


@pytest.fixture(autouse=True)
def weights(place: Path) -> None:
    for k, name in enumerate(FILES):
        torch.manual_seed(k)
        save_file(torch.nn.Linear(3, 2).state_dict(), place / name)


@pytest.mark.usefixtures("quick")
def test_the_average_is_written_measured_and_printed(call):
    # kills: weights written elsewhere or not at all, an option that is dropped
    said = call("average", "mine.py:build", *FILES, *FEW, "-o", "runs/a")
    assert (said.code, said.out) == (0, "runs/a/report.html\n")
    made, a, b = (load_file(p) for p in ("runs/a/average.safetensors", *FILES))
    for name, tensor in made.items():
        assert torch.allclose(tensor, 0.5 * (a[name] + b[name]), rtol=0, atol=1e-7)
    found = load_run("runs/a")["average"]
    assert list(found["network"].values) == ["a", "b", "average", "ensemble"]
    assert found.attrs["resamples"] == 50
    for words in ("The average of a and b has a test loss of", "Weights  runs/a/average"):
        assert words in said.err
    assert (
        call("average", "mine.py:build", *FILES, *FEW, "-o", "runs/a").code == 0
    )  # all saved: nothing is computed again


def test_json_and_the_page_hold_the_numbers(call):
    said = call(
        "average", "mine.py:build", FILES[0], *FEW, "--kind", "greedy", "-o", "runs/b", "--json"
    )
    found = json.loads(said.out)["averages"]
    assert found["networks"] == ["target", "a", "soup", "ensemble"]
    assert found["by"] == "loss"
    assert len(found["reasons"]) == 2
    assert found["taken"][found["order"].index(0.0)] == 1.0
    assert "parameters" not in found
    page = Path("runs/b/report.html").read_text("utf-8")
    assert 'id="averages"' in page
    assert "numbers of the soup and of the best member on them are optimistic" in page
    assert 'href="#pitfall-averages"' in page
    assert found["reasons"][0] in page


def test_a_barrier_is_a_failure_that_says_what_to_do(call, place):
    # kills: weights of a refused average left in the folder
    (place / "well.py").write_text(WELL)
    for name, w in zip(FILES, (-1.0, 1.0), strict=True):
        save_file({"w": torch.tensor([w])}, place / name)
    said = call("average", "well.py:build", *FILES, *FEW, "-o", "runs/c")
    assert said.code == 1
    assert "a and b (barrier 1, 1 to 1)" in said.err
    assert "Permute the units first: --align weights." in said.err
    assert not (place / "runs/c/average.safetensors").exists()
    high = call("average", "well.py:build", *FILES, *FEW, "--threshold", "2", "-o", "runs/d")
    assert high.code == 0
    assert load_file(place / "runs/d/average.safetensors")["w"].item() == 0.0


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ((), "average needs a file of weights"),
        ((FILES[0], "--kind", "learned"), "kind of averaging must be one of"),
        ((FILES[0], "--align", "units"), "align of averaging must be one of"),
        ((FILES[0], "--kind", "greedy", "--align", "weights"), "aligns and repairs nothing"),
    ],
)
def test_wrong_usage_is_refused_before_anything_is_done(call, more, words):
    said = call("average", "mine.py:build", *more, *FEW)
    assert said.code == 2
    assert words in said.err
    assert "E-A98" in said.err


def test_a_soup_without_test_data_and_files_that_do_not_fit_are_refused(call, place):
    (place / "well.py").write_text(WELL)
    none = call("average", "well.py:build", FILES[0], "--kind", "greedy", *FEW)
    assert (none.code, "it has none" in none.err) == (2, True)
    wide = call("average", "well.py:build", *FILES, *FEW, "-o", "runs/e")
    assert (wide.code, "E-A07" in wide.err) == (2, True)  # before anything runs
    assert "a.safetensors does not fit the model" in wide.err
