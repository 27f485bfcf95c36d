"""Cyclic rates and snapshots. Oracle: the papers' formulas, and the weights along a training."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

import theodolite as td
from theodolite.errors import InvalidArgument, StorageError
from theodolite.training import Recipe, Recorder, Snapshots, snapshot_steps, train
from theodolite.training.recipe import learning_rate_share

DATA = td.datasets.digits(flatten=True, limit=100)
BUILD = partial(td.models.mlp, (64, 8, 10))


def recipe(**changes: object) -> Recipe:
    return Recipe(BUILD, DATA, **{"batch_size": 10, "epochs": 4, **changes})


def shares(made: Recipe) -> list[float]:
    total = made.epochs * made.steps_per_epoch
    return [learning_rate_share(made, s) for s in range(total + 1)]


def test_triangles_are_those_of_fast_geometric_ensembling() -> None:
    # kills: a cycle that starts a step late, rises first, or ends below the full rate
    made = recipe(schedule="triangular", cycles=2, lowest=0.01)
    steps = made.epochs * made.steps_per_epoch
    c = steps // 2
    assert c % 2 == 0
    for i, share in enumerate(shares(made)[:-1], start=1):
        t = ((i - 1) % c + 1) / c
        expected = (1 - 2 * t) + 2 * t * 0.01 if t <= 0.5 else (2 - 2 * t) * 0.01 + 2 * t - 1
        assert share == pytest.approx(expected, abs=1e-12)
    low = snapshot_steps(made)
    assert low == (c // 2, c // 2 + c)
    assert [shares(made)[s - 1] for s in low] == pytest.approx([0.01, 0.01])


def test_restarts_are_those_of_snapshot_ensembles_after_warmup() -> None:
    # kills: warmup counted into the cycles, a cosine over a cycle less a step
    made = recipe(schedule="restarts", cycles=3, warmup=1)
    per_epoch = made.steps_per_epoch
    length = per_epoch
    found = shares(made)
    assert found[:per_epoch] == pytest.approx([(k + 1) / per_epoch for k in range(per_epoch)])
    for k in range(3 * per_epoch):
        expected = 0.5 * (1 + math.cos(math.pi * (k % length) / length))
        assert found[per_epoch + k] == pytest.approx(expected, abs=1e-12)
    assert snapshot_steps(made) == tuple(per_epoch * (2 + k) for k in range(3))


@pytest.mark.parametrize("schedule", ["triangular", "restarts"])
def test_cycles_that_do_not_go_evenly_end_at_their_bounds(schedule: str) -> None:
    # kills: a cycle of its own for the rest, a minimum that is never reached
    made = recipe(schedule=schedule, cycles=7, epochs=3, batch_size=9)
    found = shares(made)
    total = made.epochs * made.steps_per_epoch
    assert total % 7
    assert all(0 <= s <= 1 for s in found)
    low = snapshot_steps(made)
    assert len(low) == 7
    assert low[-1] <= total
    for step in low:
        before, at, after = found[step - 2], found[step - 1], found[min(step, total - 1)]
        assert at < before
        assert at < after or step == total
        assert at == 0 or schedule == "restarts"


def test_snapshots_are_the_weights_at_the_lows(tmp_path: Path) -> None:
    # kills: a copy a step late, copies that share memory with the model
    made = recipe(schedule="triangular", cycles=2, epochs=2)
    steps = snapshot_steps(made)
    run = train(made, callbacks=[partial(Snapshots, at=steps), partial(_recorder, tmp_path, steps)])
    snapshots, recorder = run.callbacks
    assert isinstance(snapshots, Snapshots)
    assert snapshots.steps == list(steps)
    for state, path in zip(snapshots.states, recorder.checkpoints, strict=True):
        file = td.training.load_state(path)
        assert all(torch.equal(state[k], file[k]) for k in file)
    first, second = snapshots.states
    assert any(not torch.equal(first[k], second[k]) for k in first)
    x, y = DATA.train
    found = td.ensemble(td.Objective(run.model, nn.CrossEntropyLoss(), (x, y)), snapshots.states)
    assert float(found.loss_change.sel(network="ensemble")) <= 0


def _recorder(folder: Path, steps: tuple[int, ...], model: nn.Module) -> Recorder:
    return Recorder(folder, model, every=None, at=steps)


def test_a_training_that_is_continued_keeps_its_snapshots(tmp_path: Path) -> None:
    # kills: snapshots lost or doubled by a checkpoint
    made = recipe(schedule="restarts", cycles=2, epochs=2)
    build = partial(Snapshots, at=snapshot_steps(made))
    straight = train(made, callbacks=[build]).callbacks[0].states
    stops = [0]

    def stopping(done: int, total: int) -> None:
        stops[0] += 1
        if done == made.steps_per_epoch + 1 and stops[0] < total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(made, callbacks=[build], checkpoints=tmp_path, progress=stopping)
    again = train(made, callbacks=[build], checkpoints=tmp_path).callbacks[0].states
    for one, other in zip(straight, again, strict=True):
        assert all(torch.equal(one[k], other[k]) for k in one)


def test_a_saved_state_is_a_copy() -> None:
    # kills: snapshots that change with a state that was saved or loaded
    model = torch.nn.Linear(1, 1, bias=False)
    one, other = (Snapshots(model, at=[0]) for _ in range(2))
    one(0)
    saved, value = one.state_dict(), model.weight.item()
    other.load_state_dict(saved)
    saved["0/weight"].fill_(9.0)
    assert [s.states[0]["weight"].item() for s in (one, other)] == [value, value]


def test_states_of_other_models_are_refused() -> None:
    small, large = nn.Linear(1, 1), nn.Linear(2, 1)
    one = Snapshots(small, at=[0])
    one(0)
    with pytest.raises(StorageError, match="another model's"):
        Snapshots(large, at=[0]).load_state_dict(one.state_dict())
    same = Snapshots(small, at=[5])
    same.load_state_dict(one.state_dict())
    assert same.steps == [0]


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"cycles": 2}, "cycles and lowest need schedule="),
        ({"lowest": 0.1, "schedule": "cosine"}, "cycles and lowest need"),
        ({"schedule": "triangular", "cycles": 0}, "between 1 and"),
        ({"schedule": "triangular", "cycles": 1000}, "for 2 steps at least"),
        ({"schedule": "restarts", "lowest": 1.5}, "lowest must lie between 0 and 1"),
    ],
)
def test_cycles_that_do_not_fit_are_refused(how: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        recipe(**how)


def test_steps_that_are_none_are_refused() -> None:
    for at in ([], [-1], [True]):
        with pytest.raises(InvalidArgument, match="at must hold numbers of updates"):
            Snapshots(nn.Linear(1, 1), at=at)
    with pytest.raises(InvalidArgument, match="has no cycles"):
        snapshot_steps(recipe())
