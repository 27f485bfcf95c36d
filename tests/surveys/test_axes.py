"""The axes of a survey's planes.

Oracle: the directions of `theodolite.directions` made directly, and checkpoints' own losses.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from theodolite.errors import InvalidArgument, StorageError, TheodoliteWarning
from theodolite.results import storable
from theodolite.seeds import child_seed
from theodolite.surveys.measures.axes import passes_of, planes_of, resolved_axes
from theodolite.training import load_state, save_state

X = torch.randn(12, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.arange(12) % 3


def network(seed: int, dtype: torch.dtype = torch.float64) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Tanh(), nn.Flatten(), nn.Linear(8, 3)
        )
    return model.to(dtype)


def objective(model: nn.Module, **settings: object) -> td.Objective:
    dtype = next(model.parameters()).dtype
    return td.Objective(model, nn.CrossEntropyLoss(), (X.to(dtype), Y), **settings)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[int], Path]:
    def save(seed: int) -> Path:
        return save_state(network(seed).state_dict(), tmp_path / f"run_{seed}.safetensors")

    return save


def point(made: td.Objective, path: Path) -> Tensor:
    return made.space.flatten(load_state(path))


def loss_at(target: td.Target, axes, alpha: float, beta: float) -> float:
    theta = target.objective.start if axes.theta is None else axes.theta
    plane = td.plane(
        target.objective,
        axes.directions,
        theta=theta,
        span=((alpha, alpha + 1), (beta, beta + 1)),
        steps=(2, 2),
    )
    return float(plane.loss[0, 0])


@pytest.fixture(scope="module")
def target() -> td.Target:
    return td.Target(objective(network(0)))


@pytest.mark.parametrize("index", [0, 2])
def test_random_axes_are_those_of_the_planes_seed(target, index):
    # kills: another stream, the seed of the survey, the norms of another setting
    axes = resolved_axes(target, {"normalize": "layer"}, 5, index)
    own = child_seed(5, "plane", index)
    expected = td.random_directions(target.objective, normalize="layer", seed=own)
    assert torch.equal(axes.directions, expected)
    assert axes.theta is None
    assert axes.facts["direction_seed"] == own
    assert (axes.facts["axes"], axes.facts["normalize"]) == ("random", "layer")


def test_eigenvectors_are_not_rescaled(target):
    # kills: norms of theta, the same end twice
    axes = resolved_axes(target, {"axes": "eigenvectors", "normalize": "filter"}, 0, 0)
    assert axes.directions.norm(dim=1).tolist() == pytest.approx([1, 1], rel=1e-12)
    dense = torch.linalg.eigvalsh(td.hessian(target.objective, engine="kept").dense())
    first, last = axes.facts["eigenvalues"]
    bound = 1e-2 * float(dense.abs().max())
    assert abs(first - float(dense[-1])) < bound
    assert abs(last - float(dense[0])) < bound
    assert axes.labels[0] == f"eigenvector 1 (eigenvalue {first:.4g})"
    assert axes.facts["axis_beta"] == axes.labels[1] == f"last eigenvector (eigenvalue {last:.4g})"
    assert axes.facts["normalize"] == "none"
    again = resolved_axes(target, {"axes": "eigenvectors"}, 0, 0)
    assert torch.equal(axes.directions, again.directions)


def test_three_files_lie_at_zero_and_at_one_on_each_axis(target, saved):
    # kills: the surveyed point in place of the first file
    paths = [saved(s) for s in (1, 2, 3)]
    axes = resolved_axes(target, {"axes": "checkpoints", "through": paths}, 0, 0)
    assert axes.theta is not None
    assert axes.facts["marked"] == [p.name for p in paths]
    np.testing.assert_allclose(axes.facts["marked_alpha"], [0, 1, 0], atol=1e-14)
    np.testing.assert_allclose(axes.facts["marked_beta"], [0, 0, 1], atol=1e-14)
    assert max(axes.facts["marked_residual"]) < 1e-14
    for path in paths:
        at = loss_at(target, axes, *(round(v) for v in axes.marks[path.name]))
        expected = float(target.objective.value(point(target.objective, path)))
        assert at == pytest.approx(expected, rel=1e-12)
    assert axes.labels[1] == "from run_1.safetensors to run_3.safetensors"


def test_two_files_span_a_plane_with_the_surveyed_point(target, saved):
    paths = [saved(s) for s in (1, 2)]
    axes = resolved_axes(target, {"axes": "checkpoints", "through": paths}, 0, 0)
    assert axes.theta is None
    expected = td.between(target.objective, [point(target.objective, p) for p in paths])
    assert torch.equal(axes.directions, expected)
    assert axes.marks["surveyed point"] == (0, 0)


def test_one_file_gives_a_line_and_a_random_direction_across(target, saved):
    axes = resolved_axes(target, {"axes": "checkpoints", "through": [saved(1)]}, 4, 0)
    first, second = axes.directions
    assert torch.equal(first, point(target.objective, saved(1)) - target.objective.start)
    assert float(first @ second) == pytest.approx(0, abs=1e-13)
    assert float(second.norm()) == pytest.approx(float(first.norm()), rel=1e-12)
    assert axes.facts["direction_seed"] == child_seed(4, "plane", 0)


def test_more_files_get_the_nearest_plane_and_their_distances_from_it(target, saved):
    # kills: residuals left out, a scale that leaves points outside of [-1, 1]
    paths = [saved(s) for s in range(1, 6)]
    axes = resolved_axes(target, {"axes": "checkpoints", "through": paths}, 0, 0)
    points = torch.stack([point(target.objective, p) for p in paths])
    direct = td.plane_through(target.objective, points)
    np.testing.assert_allclose(axes.facts["marked_residual"], direct.residuals, rtol=1e-9)
    at = np.array(list(axes.marks.values()))
    assert np.abs(at).max() == pytest.approx(1, rel=1e-12)
    np.testing.assert_allclose(at * axes.facts["axis_scale"], direct.coordinates, atol=1e-10)
    torch.testing.assert_close(axes.theta, points.mean(0))


def test_checkpoints_of_the_target_are_used_where_no_file_is_named(saved):
    # kills: the surveyed point itself as one of the two others
    paths = [saved(s) for s in (1, 2, 3)]
    made = td.Target(objective(network(3)), checkpoints=tuple(paths))
    axes = resolved_axes(made, {"axes": "checkpoints"}, 0, 0)
    assert axes.theta is None
    assert list(axes.marks) == ["surveyed point", paths[0].name, paths[1].name]


def test_principal_axes_are_those_of_the_checkpoints(saved):
    # kills: another origin, coordinates without the scale
    paths = [saved(s) for s in range(5)]
    made = td.Target(objective(network(4)), checkpoints=tuple(paths))
    axes = resolved_axes(made, {"axes": "principal"}, 0, 0)
    points = torch.stack([point(made.objective, p) for p in paths])
    left, values, _ = np.linalg.svd((points - made.objective.start).numpy(), full_matrices=False)
    found = np.array(list(axes.marks.values())) * axes.facts["axis_scale"]
    np.testing.assert_allclose(np.abs(found), np.abs(left[:, :2] * values[:2]), atol=1e-9)
    shares = (values**2 / (values**2).sum())[:2]
    np.testing.assert_allclose(axes.facts["explained_variance"], shares, rtol=1e-9)
    assert np.abs(list(axes.marks.values())).max() == pytest.approx(1)
    assert axes.marks[paths[-1].name] == pytest.approx((0, 0), abs=1e-12)


@pytest.mark.parametrize("index", [0, 1])
def test_gradient_axes_go_down_and_across(target, index):
    # kills: uphill, the random axis not orthogonal, the same one for each plane
    axes = resolved_axes(target, {"axes": "gradient"}, 3, index)
    down, across = axes.directions
    gradient = target.objective.gradient()
    length = float(target.objective.start.norm())
    torch.testing.assert_close(down, -gradient * length / gradient.norm())
    assert float(down @ across) == pytest.approx(0, abs=1e-13)
    assert float(across.norm()) == pytest.approx(length)
    assert axes.facts["direction_seed"] == child_seed(3, "plane", index)


def test_adam_axes_are_the_gradient_and_the_first_step(target):
    axes = resolved_axes(target, {"axes": "adam"}, 0, 0)
    down, step = axes.directions
    torch.testing.assert_close(down, td.gradient_direction(target.objective, normalize="model"))
    torch.testing.assert_close(step, td.adam_direction(target.objective, normalize="model"))
    assert axes.labels == ("minus the gradient", "Adam's first step")


@pytest.mark.parametrize("name", ["random", "eigenvectors", "checkpoints", "gradient", "adam"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_every_axis_spans_a_plane_in_the_dtype_of_points(name, dtype, tmp_path):
    paths = [
        save_state(network(s, dtype).state_dict(), tmp_path / f"{s}.safetensors") for s in (1, 2)
    ]
    made = td.Target(objective(network(0, dtype)))
    axes = resolved_axes(made, {"axes": name, "normalize": "filter", "through": paths}, 0, 0)
    assert axes.directions.dtype == dtype
    assert np.isfinite(td.plane(made.objective, axes.directions, steps=(2, 2)).loss).all()
    assert all(storable(v) == v or isinstance(v, bool) for v in axes.facts.values())
    assert axes.facts["axes"] == name
    assert (axes.facts["axis_alpha"], axes.facts["axis_beta"]) == axes.labels


def test_other_running_statistics_are_told(target, tmp_path):
    # kills: the loss at a mark taken for that of a checkpoint with other statistics
    other = network(1)
    other[1].running_mean.add_(1)
    paths = [save_state(other.state_dict(), tmp_path / "other.safetensors")]
    settings = {"axes": "checkpoints", "through": paths}
    with pytest.warns(TheodoliteWarning, match=r"other.safetensors\) hold other .*running_mean"):
        axes = resolved_axes(target, settings, 0, 0)
    assert axes.facts["marked_left_behind"] == ["1.running_mean"]
    again = td.Target(objective(network(0), batch_norm="recompute"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        axes = resolved_axes(again, settings, 0, 0)
    assert "marked_left_behind" not in axes.facts


def test_the_model_of_the_target_stays_where_it_is(target, saved):
    # kills: checkpoints loaded into the model itself
    before = {k: v.clone() for k, v in target.objective.model.state_dict().items()}
    for name in ("checkpoints", "gradient", "eigenvectors"):
        resolved_axes(target, {"axes": name, "through": [saved(1), saved(2)]}, 0, 0)
    assert all(torch.equal(v, before[k]) for k, v in target.objective.model.state_dict().items())


def test_the_cost_is_told_before_and_only_axes_with_a_random_part_are_repeated():
    assert passes_of({}) == passes_of({"axes": "checkpoints"}) == 0
    assert 0 < passes_of({"axes": "gradient"}) < passes_of({"axes": "eigenvectors"})
    assert [planes_of({"axes": n}, 3) for n in ("random", "gradient", "principal")] == [3, 3, 1]


def test_files_of_equal_names_are_told_apart_by_their_folders(target, tmp_path):
    paths = [
        save_state(network(s).state_dict(), tmp_path / str(s) / "w.safetensors") for s in (1, 2)
    ]
    axes = resolved_axes(target, {"axes": "checkpoints", "through": paths}, 0, 0)
    assert list(axes.marks) == ["surveyed point", "1/w.safetensors", "2/w.safetensors"]


def test_axes_that_cannot_be_made_are_refused(target, saved, tmp_path):
    with pytest.raises(InvalidArgument, match=r"one of random, eigenvectors, .*; got 'pca'"):
        resolved_axes(target, {"axes": "pca"}, 0, 0)
    with pytest.raises(InvalidArgument, match="one plane with axes='adam'; plane 1"):
        resolved_axes(target, {"axes": "adam"}, 0, 1)
    with pytest.raises(InvalidArgument, match="the target gives 0"):
        resolved_axes(target, {"axes": "checkpoints"}, 0, 0)
    with pytest.raises(InvalidArgument, match=r"at least three .* gives 2"):
        resolved_axes(target, {"axes": "principal", "through": [saved(1), saved(2)]}, 0, 0)
    with pytest.raises(StorageError, match="there is no file"):
        resolved_axes(target, {"axes": "checkpoints", "through": [tmp_path / "none.pt"]}, 0, 0)
    wrong = save_state(nn.Linear(2, 2).state_dict(), tmp_path / "wrong.safetensors")
    with pytest.raises(InvalidArgument, match=r"(?s)wrong.safetensors does not fit .*missing 0"):
        resolved_axes(target, {"axes": "checkpoints", "through": [wrong]}, 0, 0)
