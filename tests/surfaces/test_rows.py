"""Parts of a slice, the test objective, progress, and what a result says about itself.

Oracle: the whole against its parts, bit by bit; the second objective on its own.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import theodolite as td
from theodolite.surfaces import line_values, plane_rows
from theodolite.surfaces.coordinates import coordinates

from .formulas import normal

X, Y = normal(50, 1, 6, 6, seed=4).float(), torch.arange(50) % 3


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    )


def pair(**settings: object) -> tuple[td.Objective, td.Objective]:
    """Train and test objective of one network."""
    model, rule = network(), nn.CrossEntropyLoss()
    train = td.Objective(model, rule, (X[:32], Y[:32]), batch_size=10, **settings)
    return train, td.Objective(model, rule, (X[32:], Y[32:]), **settings)


SPANS = ((-1, 1), (0, 0.7))
ALPHAS, BETAS = coordinates(SPANS[0], 6), coordinates(SPANS[1], 3)


@pytest.fixture(scope="module", params=["frozen", "recompute"])
def whole(request) -> tuple[td.Objective, td.Objective, Tensor, xr.Dataset]:
    train, test = pair(batch_norm=request.param)
    directions = td.random_directions(train)
    return train, test, directions, td.plane(train, directions, span=SPANS, steps=(6, 3), test=test)


@pytest.mark.parametrize("parts", [[[0], [1], [2], [3], [4], [5]], [[5, 3, 1], [4, 0, 2]]], ids=str)
def test_a_plane_is_its_rows_bit_for_bit(whole, parts):
    # kills: anything carried from row to row; rows returned in another order than asked
    train, test, directions, surface = whole
    for rows in parts:
        made = plane_rows(train, directions, alphas=ALPHAS, betas=BETAS, rows=rows, test=test)
        assert set(made) == set(surface.data_vars)
        for name, values in made.items():
            assert values.shape == (len(rows), 3)
            assert np.array_equal(values, surface[name].values[rows], equal_nan=True), name
            assert values.dtype == surface[name].dtype


def test_a_line_is_its_points_bit_for_bit():
    train, test = pair()
    direction = td.random_directions(train, count=1)[0]
    line = td.line(train, direction, span=(-1, 1), steps=6, test=test)
    for k in (5, 0, 3):
        made = line_values(train, direction, alphas=[float(ALPHAS[k])], test=test)
        assert all(np.array_equal(v, line[n].values[[k]]) for n, v in made.items())


def test_a_plane_is_its_lines_bit_for_bit(whole):
    # kills: rows that start anywhere but at the base point
    train, _, directions, surface = whole
    line = td.line(train, directions[0], span=SPANS[0], steps=6)
    assert np.array_equal(line.loss, surface.loss.sel(beta=0))


def test_the_test_objective_is_measured_at_the_same_points(whole):
    # kills: the training loss under both names; other points; the order of the two
    train, test, directions, surface = whole
    alone, without = (td.plane(o, directions, span=SPANS, steps=(6, 3)) for o in (test, train))
    for name in ("loss", "loss_error", "accuracy", "accuracy_error", "status"):
        assert np.array_equal(surface[f"test_{name}"], alone[name]), name
        assert np.array_equal(surface[name], without[name])
    assert not np.allclose(surface.test_loss, surface.loss)


def test_batches_and_threads_change_a_surface_by_rounding_only():
    losses = []
    before = torch.get_num_threads()
    for threads, batch in ((1, 32), (1, 5), (2, 32)):
        try:
            torch.set_num_threads(threads)
            objective = td.Objective(network(), nn.CrossEntropyLoss(), (X, Y), batch_size=batch)
            directions = td.random_directions(objective)
            losses.append(td.plane(objective, directions, steps=(2, 2)).loss.values)
        finally:
            torch.set_num_threads(before)
    np.testing.assert_allclose(losses[1], losses[0], rtol=2e-6)
    np.testing.assert_allclose(losses[2], losses[0], rtol=2e-6)


def test_forms_of_the_same_data_give_the_same_surface():
    data = TensorDataset(X, Y)
    forms = [(X, Y), data, DataLoader(data, batch_size=16), [(X[:20], Y[:20]), (X[20:], Y[20:])]]
    surfaces = []
    for form in forms:
        objective = td.Objective(network(), nn.CrossEntropyLoss(), form)
        surfaces.append(td.plane(objective, td.random_directions(objective), steps=(3, 3)).loss)
    for surface in surfaces[1:]:
        np.testing.assert_allclose(surface, surfaces[0], rtol=2e-6)


def test_progress_counts_every_pass_in_order():
    train, test = pair()
    seen: list[tuple[int, int]] = []
    d = td.random_directions(train)
    td.plane(train, d, steps=(2, 3), test=test, progress=lambda k, n: seen.append((k, n)))
    assert seen == [(k, 12) for k in range(1, 13)]
    seen.clear()
    td.line(train, d[0], steps=4, progress=lambda k, n: seen.append((k, n)))
    assert seen == [(k, 4) for k in range(1, 5)]


def test_a_plane_says_what_it_is():
    train, test = pair()
    directions = td.random_directions(train, normalize="layer", seed=7)
    surface = td.plane(
        train,
        directions,
        span=SPANS,
        steps=(6, 3),
        test=test,
        normalize="layer",
        seed=7,
        plane=2,
    )
    d = directions.double()
    lengths = d.norm(dim=1)
    expected = {
        "quantity": "plane",
        "normalize": "layer",
        "seed": 7,
        "plane": 2,
        "method": "dense",
        "span": [-1.0, 1.0, 0.0, 0.7],
        "steps": [6, 3],
        "direction_norm_alpha": pytest.approx(float(lengths[0]), rel=1e-12),
        "direction_norm_beta": pytest.approx(float(lengths[1]), rel=1e-12),
        "axis_cosine": pytest.approx(float(d[0] @ d[1] / lengths.prod()), abs=1e-12),
        "theta_norm": pytest.approx(float(train.start.double().norm()), rel=1e-12),
        "start_loss": float(train.value()),
        "start_loss_error": train.metrics()["loss_error"],
        "examples": 32,
        "test_examples": 18,
        "batch_norm": "frozen",
        "fingerprint": train.fingerprint,
        "test_fingerprint": test.fingerprint,
    }
    assert {k: surface.attrs[k] for k in expected} == expected
    names = {n: surface[n].attrs["long_name"] for n in (*surface.data_vars, *surface.coords)}
    assert names["test_accuracy_error"] == "standard error of the test accuracy"
    assert names["beta"] == "distance along direction 2"
    assert all(names.values())


def test_norms_are_recognized_where_nobody_told_them():
    # kills: one direction of two recognized, norms taken at the start and not at theta, "model"
    # tried before "filter", what the caller says overruled
    train, _ = pair()
    theta = train.start + 0.3
    for name in ("filter", "layer", "model", None):
        drawn = td.random_directions(train, theta=theta, normalize=name)
        there = td.plane(train, drawn, theta=theta, steps=(2, 2)).attrs
        assert there.get("normalize") == name
        assert "seed" not in there
        assert td.line(train, drawn[1], theta=theta, steps=2).attrs.get("normalize") == name
        assert "normalize" not in td.line(train, drawn[1], steps=2).attrs
    mixed = td.random_directions(train, normalize="filter")
    mixed[1] *= 2
    assert "normalize" not in td.plane(train, mixed, steps=(2, 2)).attrs
    bare = torch.nn.Linear(3, 2, bias=False)  # where filters have their norms, all of it has
    alone = td.Objective(bare, torch.nn.MSELoss(), (torch.randn(4, 3), torch.randn(4, 2)))
    assert td.line(alone, td.random_directions(alone)[0], steps=2).attrs["normalize"] == "filter"
    told = td.line(train, td.random_directions(train)[0], steps=2, normalize="none")
    assert told.attrs["normalize"] == "none"


def test_a_line_says_what_it_is():
    train, _ = pair()
    line = td.line(train, train.start, steps=2, normalize="none", line=3)
    assert (line.attrs["quantity"], line.attrs["normalize"], line.attrs["line"]) == (
        "line",
        "none",
        3,
    )
    assert line.attrs["direction_norm_alpha"] == line.attrs["theta_norm"]


def test_results_survive_a_file(tmp_path):
    train, test = pair()
    surface = td.plane(train, td.random_directions(train), steps=(3, 2), test=test, seed=1)
    surface.to_zarr(tmp_path / "plane.zarr", consolidated=False)
    assert xr.open_zarr(tmp_path / "plane.zarr", consolidated=False).load().identical(surface)


def test_another_point_has_its_own_slice(whole):
    # kills: theta used for the labels and the start for the numbers
    train, test, directions, _ = whole
    theta = 0.7 * train.start
    surface = td.plane(
        train, directions, theta=theta, span=((0, 1), (0, 1)), steps=(2, 2), test=test
    )
    assert float(surface.loss[0, 0]) == float(train.value(theta)) == surface.attrs["start_loss"]
    assert float(surface.test_loss[0, 0]) == float(test.value(theta))
    assert float(surface.loss[0, 0]) != float(train.value())
