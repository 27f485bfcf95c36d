"""Checkpoints as points, and the state that is theirs.

Oracles: the file itself; the loss with the objective's own statistics, computed for flat tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from theodolite.errors import InvalidArgument, NotFinite
from theodolite.surfaces.trajectory_points import Checkpoints
from theodolite.training import save_state

from .formulas import normal

X, Y = normal(30, 4, seed=11), torch.arange(30) % 3
State = dict[str, Tensor]


def normed() -> tuple[td.Objective, list[State]]:
    """A model with running statistics, and four states of it that differ in every number."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 3)).double()
    states = [
        {n: t + k * torch.rand_like(t) if t.is_floating_point() else t + k for n, t in own.items()}
        for k, own in enumerate([model.state_dict()] * 4, start=1)
    ]
    return td.Objective(model, nn.CrossEntropyLoss(), (X, Y)), states


def without_variance(state: State) -> State:
    return {n: t for n, t in state.items() if n != "1.running_var"}


def of_another_width(state: State) -> State:
    return {**state, "1.running_mean": torch.zeros(7)}


def counter_alone(state: State) -> State:
    return {n: t for n, t in state.items() if "running" not in n}


@pytest.mark.parametrize("change", [without_variance, of_another_width, counter_alone])
def test_half_of_a_layer_s_statistics_is_none(change: Callable[[State], State]) -> None:
    # Kills: a checkpoint's mean with the model's variance, told as the checkpoint's own state;
    # a counter of batches taken for statistics.
    objective, states = normed()
    flat = [objective.space.flatten(s) for s in states]
    found = td.trajectory(objective, [change(s) for s in states], null_walks=0)
    ours = td.trajectory(objective, flat, null_walks=0)
    whole = td.trajectory(objective, states, null_walks=0)
    assert np.array_equal(found.loss, ours.loss)
    assert not np.allclose(whole.loss, ours.loss, rtol=1e-3)
    assert found.own_state.values.tolist() == [0] * 4
    assert whole.own_state.values.tolist() == [1] * 4


def test_the_state_is_a_checkpoint_s_own_only_with_the_statistics_of_all_layers() -> None:
    # Kills: one layer's statistics enough for the word "own".
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 3), nn.BatchNorm1d(3))
    objective = td.Objective(model, nn.CrossEntropyLoss(), (X.float(), Y))
    whole = [{n: t + k for n, t in model.state_dict().items()} for k in range(2)]
    axes = torch.eye(2, objective.space.size)
    for state, expected in ((whole, 1), ([{**s, "2.running_var": axes} for s in whole], 0)):
        found = td.trajectory(objective, state, directions=axes, null_walks=0)
        assert found.own_state.values.tolist() == [expected] * 2


def test_old_checkpoints_without_the_counter_have_their_own_statistics() -> None:
    # Kills: every tensor of the model asked for.
    objective, states = normed()
    old = [{n: t for n, t in s.items() if "num_batches" not in n} for s in states]
    found, whole = (td.trajectory(objective, s, null_walks=0) for s in (old, states))
    assert np.array_equal(found.loss, whole.loss)
    assert found.own_state.values.tolist() == [1] * 4


def test_a_file_is_refused_by_its_name_whole_and_in_parts(tmp_path: Path) -> None:
    # Kills: whole numbers read as weights where only a range is read; a message without the file.
    objective, states = normed()
    codes = {**states[0], "0.weight": torch.ones(6, 4, dtype=torch.int8)}
    points = Checkpoints(objective.space, (save_state(codes, tmp_path / "codes_1.safetensors"),))
    for stop in (3, objective.space.size):
        with pytest.raises(InvalidArgument, match="E-P02"):
            points.piece(0, 0, stop)
    files = [save_state(s, tmp_path / f"step_{k}.safetensors") for k, s in enumerate(states)]
    del states[2]["0.weight"]
    save_state(states[2], files[2])
    with pytest.raises(InvalidArgument, match=r"step_2\.safetensors: .* missing 0\.weight"):
        td.trajectory(objective, files, null_walks=0)
    states[2]["0.weight"] = torch.full((6, 4), torch.inf)
    save_state(states[2], files[2])
    with pytest.raises(NotFinite, match=r"step_2\.safetensors holds NaN or infinity"):
        td.trajectory(objective, files, null_walks=0)


def test_a_path_that_is_stopped_midway_leaves_the_model_as_it_was() -> None:
    # Kills: buffers or modes that come back only at the end of all checkpoints.
    objective, states = normed()
    model = objective.model.train()
    model(X).sum().backward()
    before = {n: t.clone() for n, t in model.state_dict().items()}
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]

    def stop_at(last: int, done: int, total: int) -> None:
        if done == last:
            raise KeyboardInterrupt

    for last in (1, 3, 6):
        random = torch.get_rng_state()
        with pytest.raises(KeyboardInterrupt):
            td.trajectory(
                objective, states, null_walks=0, progress=lambda *d, k=last: stop_at(k, *d)
            )
        assert model.training
        assert torch.equal(torch.get_rng_state(), random)
        assert all(torch.equal(t, before[n]) for n, t in model.state_dict().items())
        found = [p.grad for p in model.parameters() if p.grad is not None]
        assert all(torch.equal(a, b) for a, b in zip(found, gradients, strict=True))
