"""Checkpoints recorded in a loop of one's own.

Oracles: the model's own state dict; a process really killed by the kernel.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from theodolite.errors import InvalidArgument, StorageError
from theodolite.training import Recorder, load_state
from theodolite.training import recorder as recording

SCRIPT = """
import sys, torch
from theodolite.training import Recorder
model = torch.nn.Linear(400, 400)
with Recorder(sys.argv[1], model, every=10) as recorder:
    print("ready", flush=True)
    for step in range(int(sys.argv[2]), 100000):
        with torch.no_grad():
            model.weight.fill_(float(step))
        if recorder(step, learning_rate=0.1, loss=float(step)):
            print(step, flush=True)
"""


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def test_what_is_written_is_the_model_and_what_was_told(tmp_path: Path) -> None:
    # Kills: buffers left out; a reference kept instead of the numbers at that step.
    model, kept = small(), {}
    with Recorder(tmp_path, model, every=3, at=[4]) as recorder:
        for step in range(7):
            with torch.no_grad():
                model[0].weight.fill_(step)
                model[1].running_mean.fill_(10 + step)
            if recorder(step, learning_rate=1 / (1 + step), loss=torch.tensor(0.5), worst=1e999):
                kept[step] = {k: v.clone() for k, v in model.state_dict().items()}
    made = Recorder.read(tmp_path)
    assert made.steps == (0, 3, 4, 6) == tuple(kept)
    assert made.checkpoints == recorder.checkpoints
    assert made.learning_rates == tuple(1 / (1 + s) for s in made.steps)
    assert made.metrics[0] == {"loss": 0.5, "worst": None}
    for step, path in zip(made.steps, made.checkpoints, strict=True):
        found = load_state(path)
        assert found.keys() == kept[step].keys()
        assert all(torch.equal(found[k], kept[step][k]) for k in found)


def test_nothing_of_the_callers_is_touched(tmp_path: Path) -> None:
    # Kills: eval() while recording, gradients dropped, numbers drawn.
    model = small().train()
    model(torch.ones(5, 3)).sum().backward()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    state = torch.get_rng_state()
    Recorder(tmp_path, model)(0)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    found = [p.grad for p in model.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(found, gradients, strict=True))


def test_killed_and_continued_no_step_is_there_twice(tmp_path: Path) -> None:
    # Kills: an index written before its file or in place; rows appended without looking.
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    seen = _run_until(command, 0, count=4)
    made = Recorder.read(tmp_path)
    assert set(seen) <= set(made.steps)
    for step, path in zip(made.steps, made.checkpoints, strict=True):
        assert bool((load_state(path)["weight"] == step).all())
    again = made.steps[-1] - 15
    more = _run_until(command, again, count=5)
    made = Recorder.read(tmp_path)
    assert len(set(made.steps)) == len(made.steps)
    assert list(made.steps) == sorted(made.steps)
    assert set(more) <= set(made.steps)
    assert made.steps[: len(seen) - 1] == tuple(range(0, 10 * (len(seen) - 1), 10))
    assert [m["loss"] for m in made.metrics] == list(map(float, made.steps))


def _run_until(command: list[str], first: int, count: int) -> list[int]:
    """Start the program, read so many recorded steps, and kill it while it goes on."""
    child = subprocess.Popen([*command, str(first)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    seen = [int(child.stdout.readline()) for _ in range(count)]
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    return seen


def test_a_history_that_is_redone_replaces_the_rows_of_the_old_one(tmp_path: Path) -> None:
    # Kills: later rows of an abandoned history mixed with those of the new one.
    model = small()
    for step in range(5):
        Recorder(tmp_path, model)(step, loss=0.0)
    Recorder(tmp_path, model)(2, loss=1.0)
    made = Recorder.read(tmp_path)
    assert made.steps == (0, 1, 2)
    assert [m["loss"] for m in made.metrics] == [0.0, 0.0, 1.0]


def test_a_history_being_redone_is_off_the_index_before_its_files_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A stop or a full disk between file and index. Kills: the new weights of a step listed with
    # the old number, and before later steps of the abandoned history.
    model = nn.Linear(2, 1)
    for step in range(5):
        Recorder(tmp_path, model)(step, loss=0.0)
    again = Recorder(tmp_path, model)
    with monkeypatch.context() as broken:
        broken.setattr(recording, "save_state", _stopped)
        with pytest.raises(KeyboardInterrupt):
            again(2, loss=1.0)
    assert Recorder.read(tmp_path).steps == (0, 1)
    assert len(again.checkpoints) == 2
    again(3, loss=1.0)
    assert Recorder.read(tmp_path).steps == (0, 1, 3)
    with monkeypatch.context() as full:
        full.setattr(recording, "save_state", _full)
        with pytest.raises(StorageError, match="E-T67"):
            again(4, loss=1.0)
    assert again.checkpoints == Recorder.read(tmp_path).checkpoints
    again(5)
    assert Recorder.read(tmp_path).steps == (0, 1, 3, 5)


def _stopped(*_: object) -> None:
    raise KeyboardInterrupt


def _full(*_: object) -> None:
    raise StorageError("no space left", code="E-T67")


def test_steps_of_numpy_and_torch_are_steps(tmp_path: Path) -> None:
    # Kills: whole numbers of other kinds refused, or written as no JSON.
    recorder = Recorder(tmp_path, small(), every=None, at=np.arange(2))
    assert [recorder(step) for step in (np.int64(0), torch.tensor(1), 2)] == [True, True, False]
    assert Recorder.read(tmp_path).steps == (0, 1)


def test_what_is_refused(tmp_path: Path) -> None:
    model = small()
    for every in (0, -1, True):
        with pytest.raises(InvalidArgument, match="E-J10"):
            Recorder(tmp_path, model, every=every)
    for at in (None, (), [-1], [True]):  # nothing would ever be recorded
        with pytest.raises(InvalidArgument, match="E-J10"):
            Recorder(tmp_path, model, every=None, at=at)
    recorder = Recorder(tmp_path, model)
    for step, metric in ((-1, 0.0), (True, 0.0), (1, "low"), (1, torch.ones(2))):
        with pytest.raises(InvalidArgument, match="E-J11"):
            recorder(step, loss=metric)
    with pytest.raises(StorageError, match="E-J12"):
        Recorder.read(tmp_path)
    row = {"step": 1, "file": "../other.safetensors", "learning_rate": None, "metrics": {}}
    for content in ("[]", "{", json.dumps({"format": 1, "checkpoints": [row]}), '{"format": 2}'):
        (tmp_path / "index.json").write_text(content)
        with pytest.raises(StorageError, match="E-J12"):
            Recorder(tmp_path, model)
