"""The plane through a curve. Oracles: a ring in the plane of two weights, a helix out of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import theodolite as td
from connectivity.surfaces_known import ring
from theodolite.errors import InvalidArgument, InvalidType

ENDS = torch.eye(2, dtype=torch.float64)
SHORT = {"steps": (5, 7), "method": "dense"}


def test_a_bezier_curve_lies_in_its_plane():
    # kills: axes exchanged, the control point taken for an end, a span that cuts the path off
    found = td.curve(ring(), *ENDS, learning_rate=0.02, steps=64, resamples=9)
    made = td.curve_plane(ring(), found, margin=0.2, test=ring(), **SHORT)
    chord = 2**0.5
    np.testing.assert_allclose(made.path_residual.values, 0, atol=1e-12)
    first, middle, last = np.stack([made.control_alpha, made.control_beta], -1)
    np.testing.assert_allclose(first, [0, 0], atol=1e-12)
    np.testing.assert_allclose(last, [chord, 0], atol=1e-12)
    control = found.control_points.values[0]
    assert middle[0] == pytest.approx((control[1] - control[0] + 1) / chord)
    assert middle[1] == pytest.approx(abs(control.sum() - 1) / chord)
    t = found.t.values[:, None]
    path = 2 * t * (1 - t) * middle + t**2 * last
    np.testing.assert_allclose(np.stack([made.path_alpha, made.path_beta], -1), path, atol=1e-12)
    np.testing.assert_array_equal(made.path_loss.values, found.loss.values)
    room = 0.2 * chord
    assert made.alpha.values[[0, -1]].tolist() == pytest.approx([-room, chord + room])
    assert made.beta.values[0] == pytest.approx(-room)
    assert made.beta.values[-1] == pytest.approx(path[:, 1].max() + room)
    assert made.attrs["quantity"] == "plane"
    assert made.attrs["explained"] == pytest.approx(1.0)
    # the surface is the ring's loss at the points of the plane: the distance from the origin
    across = np.array([1.0, 1.0]) / chord
    along = np.array([-1.0, 1.0]) / chord
    rows = made.alpha.values[:, None, None] * along
    points = [1.0, 0.0] + rows + made.beta.values[:, None] * across
    loss = ((points**2).sum(-1) - 1) ** 2
    np.testing.assert_allclose(made.loss.transpose("alpha", "beta").values, loss, atol=1e-9)
    np.testing.assert_allclose(made.test_loss.values, made.loss.values, atol=1e-12)


def test_a_band_out_of_the_plane_says_how_far():
    # kills: residuals of the control points for those of the path, a plane through three of many
    class Three(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.zeros(3).double())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.w.sum()

    one = torch.ones(2, 1).double()
    objective = td.Objective(Three(), nn.MSELoss(), (one, 0 * one))
    inner = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]).double()
    start, end = torch.zeros(3).double(), torch.tensor([0.0, 1.0, 1.0]).double()
    how = {"pivots": 5, "cycles": 1, "steps": 1, "tolerance": 1e9, "descent": "fire"}
    band = td.elastic_band(objective, start, end, start=inner, **how, resamples=9)
    made = td.curve_plane(objective, band, **SHORT)
    points = np.concatenate([band.ends.values[:1], band.pivots.values, band.ends.values[1:]])
    middle = points.mean(0)
    left = np.linalg.svd(points - middle)[2][2]  # what is neither principal axis
    path = band.coefficients.values @ points
    np.testing.assert_allclose(made.path_residual.values, abs((path - middle) @ left), atol=1e-9)
    assert made.path_residual.values.max() > 0.05
    away = np.abs((points - middle) @ left)
    np.testing.assert_allclose(made.control_residual.values, away, atol=1e-9)


def test_what_is_no_curve_is_refused():
    line = td.barrier(ring(), *ENDS, resamples=9)
    with pytest.raises(InvalidType, match="curve") as refused:
        td.curve_plane(ring(), line)
    assert refused.value.code == "E-A27"
    found = td.curve(ring(), *ENDS, learning_rate=0.02, steps=8, resamples=9)
    with pytest.raises(InvalidArgument, match="margin") as refused:
        td.curve_plane(ring(), found, margin=0)
    assert refused.value.code == "E-A28"
    other = td.Objective(nn.Linear(3, 1), nn.MSELoss(), (torch.ones(2, 3), torch.ones(2, 1)))
    with pytest.raises(InvalidArgument, match="parameters") as refused:
        td.curve_plane(other, found)
    assert refused.value.code == "E-A27"
