"""Training trajectories on a plane.

Oracles: planted paths with known coordinates, residuals and losses in closed form; the model
itself, loaded with a checkpoint and run by hand.
"""

from __future__ import annotations

import copy
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from theodolite.directions import points as reading
from theodolite.errors import NotFinite
from theodolite.surfaces.trajectory_labels import path_facts
from theodolite.surfaces.trajectory_losses import trajectory_losses
from theodolite.surfaces.trajectory_path import path_of
from theodolite.surfaces.trajectory_runs import run_of
from theodolite.training import Recipe, Recorder, save_state, train

from .formulas import double, normal, orthonormal, quadratic

SIZE = 50
CENTER = torch.zeros(SIZE, dtype=torch.float64)


def planted(count: int = 8, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Points in a plane through the last one, their coordinates, and the plane's axes."""
    axes, end = orthonormal(SIZE, seed=seed), normal(SIZE, seed=seed + 1)
    flat = normal(count, 2, seed=seed + 2) * double(3.0, 1.0)
    flat[-1] = 0
    return end + flat @ axes, flat, axes


def test_a_planted_path_has_no_residual_and_its_shadows_have_its_losses() -> None:
    # Kills: another origin than the last point; coordinates of the wrong axis; shadows that are
    # interpolated, or computed from the origin with axes swapped.
    path, flat, _ = planted()
    objective = quadratic(CENTER, start=path[-1])
    found = td.trajectory(objective, list(path), null_walks=0)
    exact = (path**2).sum(1).numpy() / 2
    assert np.allclose(found.loss, exact, rtol=1e-12)
    assert np.allclose(found.shadow_loss, exact, rtol=1e-10)
    assert float(found.residual.max()) < 1e-10
    assert found.attrs["plane_share"] == pytest.approx(1)
    lengths = np.linalg.norm(found.coordinates.values, axis=1)
    assert np.allclose(lengths, flat.norm(dim=1).numpy())
    assert np.allclose(found.distance_from_start, (path - path[0]).norm(dim=1).numpy())
    steps = np.r_[0, path.diff(dim=0).norm(dim=1).numpy()]
    assert np.allclose(found.step_length, steps)


def test_a_path_off_its_plane_has_the_distance_it_was_given_and_another_loss_below_it() -> None:
    # In directions that are given, the residual and both losses are known. Kills: the true loss
    # taken for the surface's; a residual relative to something; axes taken for orthonormal.
    path, flat, axes = planted()
    normal_to = torch.linalg.qr(torch.cat([axes, normal(1, SIZE, seed=9)]).T).Q[:, 2]
    off = torch.arange(8, dtype=torch.float64).flip(0)
    moved = path + off[:, None] * normal_to
    skew = torch.stack([5 * axes[0], axes[0] + 0.1 * axes[1]])
    objective = quadratic(CENTER, start=path[-1])
    found = td.trajectory(objective, moved, directions=skew, null_walks=0)
    second = flat[:, 1] / 0.1
    first = (flat[:, 0] - second) / 5
    expected = torch.stack([first, second], dim=1).numpy()
    assert np.allclose(found.coordinates, expected, atol=1e-9)
    assert np.allclose(found.residual, off.numpy(), atol=1e-9)
    assert np.allclose(found.loss, (moved**2).sum(1).numpy() / 2)
    assert np.allclose(found.shadow_loss, (path**2).sum(1).numpy() / 2)
    assert 0 < found.attrs["plane_share"] < 1
    assert found.attrs["axes"] == "given"


def test_runs_of_unequal_length_share_one_plane_about_the_mean_of_all_points() -> None:
    # Kills: axes of one run used for both; the mean of the runs' means; rows of runs mixed up.
    first, second = planted(8, seed=0)[0], planted(5, seed=30)[0]
    objective = quadratic(CENTER, start=first[-1])
    found = td.trajectory(objective, {"sgd": first, "adam": list(second)})
    assert found.attrs["runs"] == ["sgd", "adam"]
    assert found.run.values.tolist() == [0] * 8 + [1] * 5
    assert found.time.values.tolist() == [*range(8), *range(5)]
    both = torch.cat([first, second])
    moves = (both - both.mean(dim=0)).numpy()
    values = np.linalg.svd(moves, compute_uv=False) ** 2
    assert np.allclose(found.explained_variance, (values / values.sum())[:12], atol=1e-12)
    assert found.attrs["center"] == "mean"
    assert np.allclose(found.loss, (both**2).sum(1).numpy() / 2)
    assert np.allclose(found.distance_from_start[8:], (second - second[0]).norm(dim=1).numpy())
    assert "different points" in found.attrs["null_reason"]
    assert np.isnan(found.null_explained_variance).all()
    second = second - second[0] + first[0]
    same = td.trajectory(objective, {"sgd": first, "adam": second}, null_walks=20)
    assert same.attrs["null_reason"] == ""
    assert 0 < same.attrs["null_share"] < 1


def test_random_walks_are_as_likely_as_their_null_and_a_planted_path_is_not() -> None:
    # The ranks of walks among their null are uniform: mean 1/2, deviation 0.29 a walk. Kills:
    # shares compared with another number of components; a count from the wrong side.
    objective = quadratic(torch.zeros(200, dtype=torch.float64))
    ranks = []
    for seed in range(16):
        steps = normal(30, 200, seed=seed)
        walk = torch.cat([torch.zeros(1, 200, dtype=torch.float64), steps.cumsum(dim=0)])
        made = path_of(objective, [run_of("", walk)], null_walks=100, seed=seed)
        facts = path_facts(made, null_walks=100, seed=seed)
        ranks.append([facts["null_as_large"], facts["null_same_steps_as_large"]])
    assert (np.abs(np.mean(ranks, axis=0) / 100 - 0.5) < 4 * 0.29 / np.sqrt(16)).all()
    path = planted()[0]
    inside = td.trajectory(quadratic(CENTER, start=path[-1]), path, null_walks=100)
    assert inside.attrs["null_as_large"] == 0


def test_a_walk_with_the_path_s_own_steps_is_another_null() -> None:
    # One long step and many short ones: a walk with such steps is a line whatever its direction.
    # Kills: the null of equal steps given for both; lengths not squared.
    steps = torch.cat([100 * normal(1, 300, seed=1), normal(9, 300, seed=2)])
    path = torch.cat([torch.zeros(1, 300, dtype=torch.float64), steps.cumsum(dim=0)])
    objective = quadratic(torch.zeros(300, dtype=torch.float64), start=path[-1])
    found = td.trajectory(objective, path, null_walks=50)
    assert found.attrs["null_share"] < 0.97
    assert found.attrs["null_same_steps_share"] > 0.999
    assert found.attrs["null_as_large"] == 0
    assert found.attrs["null_same_steps_as_large"] > 0


class Normed(nn.Module):
    """BatchNorm, dropout and a frozen layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 6)
        self.norm = nn.BatchNorm1d(6)
        self.drop = nn.Dropout(0.5)
        self.still = nn.Linear(6, 6).requires_grad_(False)
        self.last = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.drop(self.still(torch.relu(self.norm(self.first(x))))))


X, Y = normal(30, 4, seed=11), torch.arange(30) % 3


def recorded(folder: Path) -> nn.Module:
    """A model trained for a few steps, its checkpoints in `folder`."""
    torch.manual_seed(0)
    model = Normed().double()
    optimizer = torch.optim.SGD(
        [p for p in model.parameters() if p.requires_grad], lr=0.5, momentum=0.9
    )
    with Recorder(folder, model, every=2) as recorder:
        for step in range(9):
            rate = 0.5 if step < 5 else 0.05
            recorder(step, learning_rate=rate)
            optimizer.param_groups[0]["lr"] = rate
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(X), Y).backward()
            optimizer.step()
    return model


def by_hand(model: nn.Module, state: dict[str, Tensor]) -> float:
    twin = copy.deepcopy(model)
    twin.load_state_dict(state)
    with torch.no_grad():
        return float(nn.functional.cross_entropy(twin.eval()(X), Y))


def test_checkpoints_have_their_own_statistics_and_shadows_those_of_the_model(
    tmp_path: Path,
) -> None:
    # Kills: the model's running statistics used for every checkpoint's true loss, or a
    # checkpoint's for the surface; times and rates not read from what the recorder wrote.
    model = recorded(tmp_path)
    objective = td.Objective(model, nn.CrossEntropyLoss(), (X, Y))
    test = td.Objective(model, nn.CrossEntropyLoss(), (X[:9], Y[:9]))
    found = td.trajectory(objective, tmp_path, test=test, null_walks=10)
    files = Recorder.read(tmp_path).checkpoints
    states = [td.training.load_state(path) for path in files]
    losses = [by_hand(model, state) for state in states]
    assert np.allclose(found.loss, losses, rtol=1e-10)
    assert found.own_state.values.tolist() == [1] * 5
    assert {"test_loss", "test_accuracy_error"} <= set(found)
    axes = td.principal_directions(objective, [objective.space.flatten(s) for s in states])
    shadow = axes.origin + torch.from_numpy(axes.coordinates[1]) @ axes.directions
    assert float(found.shadow_loss[1]) == pytest.approx(float(objective.value(shadow)), rel=1e-9)
    assert found.time.values.tolist() == [0, 2, 4, 6, 8]
    assert found.time.attrs["long_name"] == "optimizer step"
    assert found.learning_rate.values.tolist() == [0.5, 0.5, 0.5, 0.05, 0.05]
    assert found.learning_rate_drop.values.tolist() == [0, 0, 0, 1, 0]
    given = td.trajectory(objective, states, null_walks=0)
    flat = td.trajectory(objective, [objective.space.flatten(s) for s in states], null_walks=0)
    assert np.array_equal(given.loss, found.loss)
    assert not np.allclose(flat.loss, found.loss, rtol=1e-3)
    assert flat.own_state.values.tolist() == [0] * 5
    assert np.allclose(flat.coordinates, found.coordinates)


def test_the_caller_s_model_and_generators_are_as_before(tmp_path: Path) -> None:
    # Kills: a checkpoint loaded into the caller's model.
    model = recorded(tmp_path).train()
    model(X).sum().backward()
    objective = td.Objective(model, nn.CrossEntropyLoss(), (X, Y))
    before = {k: v.clone() for k, v in model.state_dict().items()}
    gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    torch.manual_seed(5)
    state, numbers = torch.get_rng_state(), np.random.get_state()[1].copy()
    pristine = {k: v.clone() for k, v in objective.forward.pristine.items()}
    td.trajectory(objective, tmp_path)
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    for p, g in zip(model.parameters(), gradients, strict=True):
        assert (p.grad is None) == (g is None)
        assert g is None or torch.equal(p.grad, g)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numbers)
    assert all(torch.equal(v, pristine[k]) for k, v in objective.forward.pristine.items())


def test_rows_computed_apart_have_the_bits_of_the_whole(tmp_path: Path) -> None:
    # Kills: statistics of one checkpoint carried to the next.
    objective = td.Objective(recorded(tmp_path), nn.CrossEntropyLoss(), (X, Y))
    path = path_of(objective, [run_of("", tmp_path)], null_walks=0)
    whole = trajectory_losses(objective, path, rows=range(5))
    for row in (3, 0):
        part = trajectory_losses(objective, path, rows=[row])
        assert all(part[name][0] == whole[name][row] for name in whole)


def test_a_training_s_own_folder_is_a_trajectory(tmp_path: Path) -> None:
    # Oracle: the history, whose losses were computed by the trainer. Kills: files in the order
    # of the folder; the wrong epoch's rate.
    data = td.datasets.digits(limit=120, flatten=True)
    made = Recipe(partial(td.models.mlp, (64, 8, 10)), data, epochs=11, batch_size=40)
    run = train(made, checkpoints=tmp_path)
    objective = td.Objective(run.model, nn.CrossEntropyLoss(), data.train)
    found = td.trajectory(objective, tmp_path)
    assert np.allclose(found.loss, run.history.loss, rtol=1e-5)
    assert np.allclose(found.learning_rate, run.history.learning_rate)
    assert found.time.values.tolist() == list(range(12))
    assert found.time.attrs["long_name"] == "epoch"
    assert found.learning_rate_drop.values.sum() == 0  # a cosine falls without a level
    few = td.trajectory(objective, run.checkpoints, most=4, null_walks=0)
    assert few.time.values.tolist() == [0, 4, 7, 11]
    assert (few.attrs["checkpoints"], few.attrs["checkpoints_available"]) == (4, 12)
    assert np.allclose(few.loss, found.loss[[0, 4, 7, 11]])


def test_files_are_read_by_ranges_and_with_the_names_of_wrappers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Kills: an offset lost inside a tensor; names of compiled or data-parallel models refused;
    # distances of the last range alone.
    torch.manual_seed(0)
    model = Normed()
    objective = td.Objective(model, nn.CrossEntropyLoss(), (X.float(), Y))
    paths = []
    for k, prefix in enumerate(("", "module.", "_orig_mod.", "module._orig_mod.")):
        state = {
            prefix + n: t + k * torch.rand_like(t) if t.is_floating_point() else t
            for n, t in model.state_dict().items()
        }
        paths.append(save_state(state, tmp_path / f"step_{k}.safetensors"))
        torch.save(state, tmp_path / f"step_{k}.pt")
    whole = td.trajectory(objective, paths, null_walks=0)
    monkeypatch.setattr(reading, "NUMBERS", 4 * 5)
    parts = td.trajectory(objective, paths, null_walks=0)
    other = td.trajectory(objective, [p.with_suffix(".pt") for p in paths], null_walks=0)
    for again in (parts, other):
        assert np.allclose(again.coordinates, whole.coordinates, atol=1e-5)
        assert np.allclose(again.loss, whole.loss)
        for name in ("distance_from_start", "step_length", "residual"):
            assert np.allclose(again[name], whole[name], atol=1e-5), name


def test_a_diverged_checkpoint_has_a_status_and_no_number() -> None:
    # In single precision 1e25 squared is infinite. Kills: infinity passed on as a loss; one
    # overflow that spoils the other rows.
    path = torch.zeros(4, SIZE)
    path[0] += 1e25
    path[1, :9] += 1e25
    path[2, 1] = 3
    found = td.trajectory(quadratic(torch.zeros(SIZE)), path, null_walks=0)
    assert found.status.values.tolist() == [2, 2, 1, 1]
    assert np.isnan(found.loss[:2]).all()
    assert np.allclose(found.loss[2:], [4.5, 0])
    with pytest.raises(NotFinite, match="E-J02"):
        td.trajectory(quadratic(CENTER), 1e200 * path.double(), null_walks=0)
