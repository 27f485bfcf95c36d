"""The averaging measure of a survey. Oracle: the functions it stands for, on the same weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import theodolite as td
from connectivity.paths import classes, normalized
from theodolite.errors import RunMismatch
from theodolite.seeds import child_seed
from theodolite.training import load_state

FEW = {"steps": 3, "refine": 0, "resamples": 20}
HIGH = {**FEW, "threshold": 99.0}


def target() -> td.Target:
    model = normalized()
    train, test = (td.Objective(model, nn.CrossEntropyLoss(), classes(30, k)) for k in (0, 1))
    return td.Target(train, test=test)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    made = []
    for k in range(3):
        save_file(normalized(k + 1).state_dict(), tmp_path / f"net{k}.safetensors")
        made.append(str(tmp_path / f"net{k}.safetensors"))
    return made


def surveyed(files: list[str], out: Path | None = None, **how: object) -> object:
    settings = {"averaging": {"files": files, **how}}
    return td.survey(target(), measures=["averaging"], settings=settings, seed=3, out=out)


@pytest.mark.parametrize("kind", ["uniform", "greedy"])
def test_it_is_the_function_also_from_disk(files, kind, tmp_path):
    # kills: test data mixed up with selection data, settings that are dropped, a shuffled layout
    tree = surveyed(files, tmp_path / "run", kind=kind, **HIGH)
    own, states = target(), [load_state(f) for f in files]
    how = {"names": ["net0", "net1", "net2"], "seed": child_seed(3, "averaging"), **HIGH}
    if kind == "greedy":
        alone = td.soup(own.objective, states, validation=own.test, **how)
    else:
        alone = td.average(own.objective, states, test=own.test, **how)
    there = tree["average"].to_dataset()
    for name in alone.data_vars:
        assert np.array_equal(there[name], alone[name], equal_nan=True), name
    state, other = td.averaged_state(there), td.averaged_state(alone)
    assert list(state) == list(normalized().state_dict())
    assert all(torch.equal(state[k], other[k]) for k in other)
    model = normalized()
    model.load_state_dict(state)
    x, y = classes(30, 1)
    prefix, made = ("validation_", "soup") if kind == "greedy" else ("test_", "average")
    loss = nn.functional.cross_entropy(model(x), y).item()
    assert float(there[f"{prefix}loss"].sel(network=made)) == pytest.approx(loss, rel=1e-12)


def test_one_file_is_averaged_with_the_target(files):
    tree = surveyed(files[:1], **HIGH)
    assert list(tree["average"]["network"].values)[:2] == ["target", "net0"]
    own, other = normalized().state_dict(), load_state(files[0])
    state = td.averaged_state(tree["average"].to_dataset())
    assert torch.allclose(state["0.weight"], 0.5 * (own["0.weight"] + other["0.weight"]))


def test_without_files_there_is_nothing_and_a_run_knows_its_files(files, tmp_path):
    assert set(surveyed([]).children) == {"start"}
    surveyed(files[:2], tmp_path / "run", **HIGH)
    save_file(normalized(9).state_dict(), files[1])
    with pytest.raises(RunMismatch, match="files of weights to average"):
        surveyed(files[:2], tmp_path / "run", **HIGH)
