"""A training interrupted anywhere ends with the same bytes as one made in one go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from theodolite.datasets import digits
from theodolite.errors import RunMismatch, StorageError, TheodoliteWarning
from theodolite.models import transformer
from theodolite.training import Recipe, Run, load_state, train

DATA = digits(limit=40)
STEPS = 2


def _recipe(**changes: object) -> Recipe:
    build = partial(transformer, 64, width=8, heads=2, depth=1, dropout=0.3)
    settings = {"epochs": 3, "batch_size": 20, "warmup": 1, **changes}
    return Recipe(build, DATA, **settings)


def _same(a: Run, b: Run) -> bool:
    ours, theirs = a.model.state_dict(), b.model.state_dict()
    return a.history.equals(b.history) and all(torch.equal(ours[k], theirs[k]) for k in ours)


class Killed(BaseException):
    """Stands for the end of the process."""


def _killed_at(step: int) -> object:
    def progress(done: int, total: int) -> None:
        if done == step:
            raise Killed

    return progress


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("step", range(1, 3 * STEPS + 1))
def test_stopped_at_any_step_it_continues_to_the_same_bits(
    step: int, optimizer: str, tmp_path: Path
) -> None:
    # kills: a lost momentum, scheduler or dropout stream; an order that restarts
    recipe = _recipe(optimizer=optimizer, learning_rate=0.01)
    whole = train(recipe)
    with pytest.raises(Killed):
        train(recipe, progress=_killed_at(step), checkpoints=tmp_path)
    calls: list[int] = []
    resumed = train(recipe, progress=lambda done, _: calls.append(done), checkpoints=tmp_path)
    assert _same(resumed, whole)
    done = (step - 1) // STEPS * STEPS
    assert calls == list(range(done + 1, 3 * STEPS + 1))


def test_a_finished_training_is_read_back_and_not_repeated(tmp_path: Path) -> None:
    # kills: training again
    first = train(_recipe(), checkpoints=tmp_path)
    calls: list[int] = []
    second = train(_recipe(), progress=lambda done, _: calls.append(done), checkpoints=tmp_path)
    assert _same(first, second)
    assert calls == []
    assert [p.name for p in second.checkpoints] == [f"epoch_000{e}.safetensors" for e in range(4)]
    last = load_state(second.checkpoints[-1])
    assert all(torch.equal(v, last[k]) for k, v in second.model.state_dict().items())
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_disk_that_fails_at_any_moment_costs_at_most_an_epoch(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # kills: writing in place, state before weights, temporary files left behind
    recipe = _recipe(epochs=2)
    whole, count = train(recipe), 1 + 2 * 3
    for k in range(count):
        folder, left = tmp_path / f"{call}-{k}", [k]
        real = getattr(os, call)

        def failing(*arguments: object, real: object = real, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(28, "No space left on device")
            real(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing)
            with pytest.raises(StorageError, match="No space left on device"):
                train(recipe, checkpoints=folder)
        assert not [p for p in folder.iterdir() if p.name.startswith(".")]
        assert _same(train(recipe, checkpoints=folder), whole)


def test_sigkill_in_the_middle_of_an_epoch(tmp_path: Path) -> None:
    # kills: state that lives in memory alone
    script = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import torch; torch.set_num_threads(1)
from test_checkpoints import _recipe, train
def progress(done, total):
    if done == {STEPS + 1}:
        os.kill(os.getpid(), signal.SIGKILL)
train(_recipe(), progress=progress, checkpoints={str(tmp_path)!r})
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert sorted(p.name for p in tmp_path.glob("epoch*"))[-1] == "epoch_0001.safetensors"
    assert _same(train(_recipe(), checkpoints=tmp_path), train(_recipe()))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 1}, "seed is 1 and was 0"),
        ({"learning_rate": 0.05}, "learning_rate is 0.05 and was 0.1"),
        ({"epochs": 4}, "epochs is 4 and was 3"),
    ],
)
def test_a_folder_of_another_recipe_is_refused_with_the_difference(
    changes: dict[str, object], words: str, tmp_path: Path
) -> None:
    # kills: continuing whatever lies there
    train(_recipe(), checkpoints=tmp_path)
    with pytest.raises(RunMismatch, match=words):
        train(_recipe(**changes), checkpoints=tmp_path)


def test_other_data_and_other_weights_are_another_recipe(tmp_path: Path) -> None:
    # kills: comparing names alone
    model = transformer(64, width=8, heads=2, depth=1)
    train(Recipe(model, DATA, epochs=0), checkpoints=tmp_path)
    with pytest.raises(RunMismatch, match="data is"):
        train(Recipe(model, digits(limit=41), epochs=0), checkpoints=tmp_path)
    with torch.no_grad():
        model.head.bias[0] += 1e-3
    with pytest.raises(RunMismatch, match="the initial weights"):
        train(Recipe(model, DATA, epochs=0), checkpoints=tmp_path)


def test_another_number_of_threads_is_said(tmp_path: Path) -> None:
    recipe = _recipe(epochs=1)
    train(recipe, checkpoints=tmp_path)
    path = tmp_path / "recipe.json"
    path.write_text(path.read_text().replace('"threads": ', '"threads": 9'))
    with pytest.warns(TheodoliteWarning, match=r"began with threads 9\d+ \(now"):
        train(recipe, checkpoints=tmp_path)


def test_damaged_folders_are_refused_by_name(tmp_path: Path) -> None:
    # kills: weights of another epoch, a half-written state
    train(_recipe(epochs=1), checkpoints=tmp_path)
    weights, state, recipe = (
        tmp_path / n for n in ("epoch_0001.safetensors", "state.pt", "recipe.json")
    )
    content = weights.read_bytes()
    weights.write_bytes((tmp_path / "epoch_0000.safetensors").read_bytes())
    with pytest.raises(StorageError, match=r"epoch_0001.safetensors is missing or was changed"):
        train(_recipe(epochs=1), checkpoints=tmp_path)
    weights.write_bytes(content)
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(StorageError, match=r"state.pt is not a whole checkpoint"):
        train(_recipe(epochs=1), checkpoints=tmp_path)
    recipe.write_text("{")
    with pytest.raises(StorageError, match=r"recipe.json cannot be read"):
        train(_recipe(epochs=1), checkpoints=tmp_path)


def test_a_folder_that_cannot_be_made_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    calls: list[int] = []
    with pytest.raises(StorageError, match="could not be written"):
        train(
            _recipe(),
            progress=lambda done, _: calls.append(done),
            checkpoints=tmp_path / "file" / "x",
        )
    assert calls == []
