"""Slices that mean nothing, refused by name and before any pass.

Oracle: the table of what is refused.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from theodolite.errors import InvalidArgument, InvalidType, NotFinite, TheodoliteError
from theodolite.surfaces import plane_rows

from .formulas import normal

X, Y = normal(12, 4).float(), torch.arange(12) % 3
PASSES = [0]


class Counted(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        PASSES[0] += 1
        return super().forward(x)


def objective(model: nn.Module | None = None) -> td.Objective:
    torch.manual_seed(0)
    return td.Objective(model or Counted(4, 3), nn.CrossEntropyLoss(), (X, Y))


def with_value(at: int, value: float) -> Tensor:
    made = normal(2, 15, seed=1).float()
    made[1, at] = value
    return made


ONE = normal(15, seed=2).float()
TWO = normal(2, 15, seed=1).float()
PLANES = {
    "another method": (TWO, {"method": "sparse"}, "E-G02", r'or "dense"; got \'sparse'),
    "one direction": (TWO[:1], {}, "E-G03", r"directions must have shape \(2, 15\); got \(1, 15\)"),
    "three directions": (normal(3, 15), {}, "E-G03", r"\(2, 15\); got \(3, 15\)"),
    "another model": (normal(2, 16), {}, "E-G03", r"\(2, 15\); got \(2, 16\)"),
    "integers": (TWO.long(), {}, "E-G03", r"directions must hold floats; got torch.int64"),
    "parallel": (torch.stack([ONE, 3 * ONE]), {}, "E-G04", r"parallel \(cosine 1\)"),
    "nearly parallel": (torch.stack([ONE, ONE + 1e-6 * TWO[0]]), {}, "E-G04", r"parallel \(cosine"),
    "a zero": (torch.stack([ONE, 0 * ONE]), {}, "E-G05", r"directions\[1\] is zero"),
    "NaN": (
        with_value(3, math.nan),
        {},
        "E-G06",
        r"(?s)\[1\] must be finite; .*3 is nan.*'weight'",
    ),
    "infinity": (with_value(13, math.inf), {}, "E-G06", r"(?s)coordinate 13 is inf.*'bias'"),
    "one span": (TWO, {"span": ((-1, 1),)}, "E-G01", r"span must have one part for alpha and one"),
    "three counts": (TWO, {"steps": (2, 3, 4)}, "E-G01", r"steps must have one part for alpha"),
    "reversed": (TWO, {"span": ((0, 1), (1, 0))}, "E-G01", r"span\[1\] must increase"),
    "no step": (TWO, {"steps": (0, 5)}, "E-G01", r"steps\[0\] must be a whole number"),
    "one step": (TWO, {"steps": (5, 1)}, "E-G01", r"steps\[1\]=1 does not fit the span"),
}


@pytest.mark.parametrize("name", PLANES)
def test_what_is_no_plane_is_refused_before_any_pass(name):
    directions, settings, code, message = PLANES[name]
    made = objective()
    PASSES[0] = 0
    with pytest.raises(TheodoliteError, match=message) as refused:
        td.plane(made, directions, **settings)
    assert refused.value.code == code
    assert PASSES[0] == 0


LINES = {
    "two directions": (
        TWO,
        "E-G03",
        r"(?s)direction must have shape \(15,\); got \(2, 15\).*\[0\]",
    ),
    "zero": (0 * ONE, "E-G05", r"direction is zero"),
    "NaN": (with_value(3, math.nan)[1], "E-G06", r"direction must be finite"),
}


@pytest.mark.parametrize("name", LINES)
def test_what_is_no_line_is_refused_before_any_pass(name):
    direction, code, message = LINES[name]
    made = objective()
    PASSES[0] = 0
    with pytest.raises(TheodoliteError, match=message) as refused:
        td.line(made, direction)
    assert refused.value.code == code
    assert PASSES[0] == 0


def test_theta_must_be_a_finite_point_of_the_space():
    made = objective()
    with pytest.raises(NotFinite, match=r"(?s)theta must be finite; coordinate 2 is nan.*'weight'"):
        td.plane(made, TWO, theta=torch.where(torch.arange(15) == 2, math.nan, ONE))
    with pytest.raises(InvalidType, match="theta must hold floats"):
        td.plane(made, TWO, theta=torch.zeros(15, dtype=torch.int64))


def test_directions_that_span_a_narrow_plane_are_accepted():
    # kills: refusing every skew pair
    narrow = torch.stack([ONE, ONE + 1e-3 * TWO[0]])
    assert td.plane(objective(), narrow, steps=(2, 2)).attrs["axis_cosine"] > 0.999


@pytest.mark.parametrize("row", [-1, 3])
def test_rows_outside_the_plane_are_refused(row):
    with pytest.raises(InvalidArgument, match=f"rows must lie between 0 and 2; got {row}"):
        plane_rows(objective(), TWO, alphas=[0.0, 1.0, 2.0], betas=[0.0], rows=[row])


def test_coordinates_of_rows_must_be_finite():
    with pytest.raises(InvalidArgument, match="betas must be finite numbers"):
        plane_rows(objective(), TWO, alphas=[0.0], betas=[math.nan], rows=[0])


def test_a_test_objective_of_another_model_is_refused():
    # kills: directions of one model applied to another of the same size
    train, other = objective(), objective(nn.Sequential(nn.Linear(4, 3)))
    with pytest.raises(InvalidArgument, match=r"different parameters: weight: .*3, 4.* and absent"):
        td.plane(train, TWO, test=other)
    wider = objective(nn.Linear(4, 5))
    with pytest.raises(InvalidArgument, match=r"weight: \(3, 4\) and \(5, 4\); bias: \(3,\) and"):
        td.plane(train, TWO, test=wider)


def test_a_test_objective_of_another_state_is_refused():
    # kills: comparing losses of two checkpoints at the same alpha and beta
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    train = objective(model)
    directions = td.random_directions(train)
    with torch.no_grad():
        model[0].weight.add_(0.1)
    with pytest.raises(InvalidArgument, match=r"(?s)different values of 'start'.*trained"):
        td.plane(train, directions, test=objective(model))
    theta = train.start.clone()
    assert "test_loss" in td.plane(
        train, directions, theta=theta, steps=(2, 2), test=objective(model)
    )
    model(X)
    with pytest.raises(InvalidArgument, match=r"different values of '1.running_mean'"):
        td.plane(train, directions, theta=theta, test=objective(model))
