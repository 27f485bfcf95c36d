"""Points where the loss is no number: marked, NaN, and without effect on any other point.

Oracle: functions that are infinite or NaN in a known region.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from theodolite.results import DIVERGED, OK

from .formulas import Parameters, double, normal


def barrier(outputs: Tensor, targets: Tensor) -> Tensor:
    """``-log(1 - theta_0) - log(1 - theta_1)``: infinite at one, NaN beyond."""
    return -torch.log(1 - outputs).sum(1)


class Normed(nn.Module):
    """BatchNorm behind a layer: one overflow in its statistics would stay there."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = nn.Linear(4, 3), nn.BatchNorm1d(3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.layer(x))


def walled(examples: int = 3) -> td.Objective:
    return td.Objective(
        Parameters(double(0, 0)), barrier, (torch.zeros(examples, 1), torch.zeros(examples))
    )


def test_nan_and_infinity_are_marked_and_their_neighbors_are_not():
    # kills: NaN replaced by a mean, infinity by a maximum, a poisoned next point
    axes = torch.eye(2, dtype=torch.float64)
    surface = td.plane(walled(), axes, span=((-1, 2), (0, 1.5)), steps=(7, 4))
    a, b = np.meshgrid(surface.alpha, surface.beta, indexing="ij")
    inside = (a < 1) & (b < 1)
    assert np.array_equal(surface.status, np.where(inside, OK, DIVERGED))
    expected = -np.log(1 - a[inside]) - np.log(1 - b[inside])
    np.testing.assert_allclose(surface.loss.values[inside], expected, rtol=1e-13, atol=1e-15)
    assert np.isnan(surface.loss.values[~inside]).all()
    assert np.isnan(surface.loss_error.values[~inside]).all()
    assert not np.isinf(surface.loss.values).any()


def test_where_the_loss_diverges_accuracy_has_no_value():
    # kills: the accuracy of argmax over NaN
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    x, y = normal(9, 4).float(), torch.arange(9) % 3
    objective = td.Objective(model, nn.CrossEntropyLoss(), (x, y))
    line = td.line(objective, torch.ones(15) * 1e38, span=(0, 2), steps=3)
    assert line.status.values.tolist() == [OK, DIVERGED, DIVERGED]
    assert np.isfinite(line.accuracy.values).tolist() == [True, False, False]
    assert np.isfinite(line.accuracy_error.values).tolist() == [True, False, False]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("far", [1e30, 1e300])
def test_a_huge_radius_diverges_and_nothing_else(far, dtype):
    # kills: a scalar that does not fit the dtype of points raised as an error of torch
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3)).to(dtype)
    x, y = normal(9, 4).to(dtype), torch.arange(9) % 3
    objective = td.Objective(model, nn.CrossEntropyLoss(), (x, y))
    directions = td.random_directions(objective)
    surface = td.plane(objective, directions, span=((-far, far), (0, 1)), steps=(3, 2))
    assert surface.status.values[1].tolist() == [OK, OK]
    assert float(surface.loss[1, 0]) == float(objective.value())
    ok = surface.status.values == OK
    assert np.array_equal(ok, np.isfinite(surface.loss.values))
    if far > 1e200:
        assert (surface.status.values[[0, 2]] == DIVERGED).all()


@pytest.mark.parametrize("settings", [{}, {"batch_norm": "recompute"}, {"mode": "train"}], ids=str)
def test_an_overflow_does_not_stay_in_the_statistics(settings):
    # kills: NaN that lives on in running statistics
    torch.manual_seed(0)
    x, y = normal(9, 4).float(), torch.arange(9) % 3
    objective = td.Objective(Normed(), nn.CrossEntropyLoss(), (x, y), **settings)
    direction = torch.zeros(objective.space.size)
    direction[:6] = 1e20
    line = td.line(objective, direction, span=(-1e19, 1e19), steps=5)
    assert line.status.values.tolist() == [2, 2, 1, 2, 2]
    back = td.line(objective, direction, span=(0, 1e19), steps=2)
    assert float(line.loss[2]) == float(back.loss[0]) == float(objective.value())


def test_examples_without_weight_cannot_make_a_point_diverge():
    x, y = torch.tensor([[1.0], [2.0]]), torch.tensor([1, -100])
    model = nn.Linear(1, 2, bias=False)
    objective = td.Objective(model, nn.CrossEntropyLoss(), (x, y))
    line = td.line(objective, torch.tensor([1.0, -1.0]), span=(0, 1.2e38), steps=2)
    assert line.status.values.tolist() == [OK, OK]
    assert np.isnan(line.loss_error.values).all()


def test_one_example_has_a_loss_and_no_error():
    surface = td.line(walled(1), double(1, 0), span=(0, 0.5), steps=2)
    assert surface.status.values.tolist() == [OK, OK]
    assert np.isfinite(surface.loss.values).all()
    assert np.isnan(surface.loss_error.values).all()


def test_a_flat_surface_is_flat():
    model = Parameters(double(1, 2, 3))
    objective = td.Objective(
        model, lambda out, y: 0 * out.sum(1) + 4, (torch.zeros(5, 1), torch.zeros(5))
    )
    surface = td.plane(objective, normal(2, 3), steps=(3, 3))
    assert (surface.loss.values == 4).all()
    assert (surface.loss_error.values == 0).all()


def test_a_huge_loss_is_a_loss():
    objective = td.Objective(
        Parameters(double(0, 0)), lambda out, y: out.sum(1), (torch.zeros(2, 1), torch.zeros(2))
    )
    line = td.line(objective, double(1e30, 0), steps=3)
    assert line.loss.values.tolist() == [-1e30, 0, 1e30]
    assert line.status.values.tolist() == [OK] * 3


def test_the_test_loss_diverges_on_its_own():
    # kills: one status for two losses
    model = Parameters(double(0, 0))
    settings = (torch.zeros(3, 1), torch.zeros(3))
    train = td.Objective(model, lambda out, y: (out**2).sum(1), settings)
    test = td.Objective(model, barrier, settings)
    line = td.line(train, double(1, 0), span=(0, 2), steps=5, test=test)
    assert line.status.values.tolist() == [OK] * 5
    assert line.test_status.values.tolist() == [OK, OK, DIVERGED, DIVERGED, DIVERGED]
    assert np.isnan(line.test_loss.values).tolist() == [False, False, True, True, True]


def test_marks_survive_as_data():
    surface = td.plane(
        walled(), torch.eye(2, dtype=torch.float64), span=((0, 2),) * 2, steps=(2, 2)
    )
    assert surface.status.dtype == np.uint8
    assert "2 diverged" in surface.status.attrs["long_name"]
    again = json.loads(json.dumps(surface.status.values.tolist()))
    assert again == [[1, 2], [2, 2]]
