"""The plane through three points, and the nearest plane to more.

Oracle: three minima of a function in closed form; singular value decomposition of the points.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from theodolite.errors import InvalidArgument, InvalidType

from .networks import DTYPES, NAMES, network, objective


def points(count: int, size: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=generator, dtype=torch.float64).to(dtype)


def linear(size: int, dtype: torch.dtype = torch.float64) -> td.Objective:
    model = nn.Linear(size, 1, bias=False).to(dtype)
    return td.Objective(model, nn.MSELoss(), (torch.ones(2, size).to(dtype), torch.ones(2, 1)))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", NAMES)
def test_three_minima_lie_at_zero_and_at_one_on_each_axis(name, dtype):
    # kills: an origin at the mean, rescaled axes, swapped axes
    models = [network(name, seed).to(dtype) for seed in range(3)]
    made = objective(name, dtype, models[0])
    found = td.plane_through(made, [m.state_dict() for m in models])
    assert found.coordinates.tolist() == [[0, 0], [1, 0], [0, 1]]
    assert (found.theta.dtype, found.directions.dtype) == (dtype, dtype)
    surface = td.plane(
        made, found.directions, theta=found.theta, span=((0, 1), (0, 1)), steps=(2, 2)
    )
    own = [float(objective(name, dtype, m).value()) for m in models]
    reached = [float(surface.loss[i, j]) for i, j in ((0, 0), (1, 0), (0, 1))]
    assert reached == pytest.approx(own, rel=50 * torch.finfo(dtype).eps)
    assert float(found.residuals.max()) < 10 * torch.finfo(dtype).eps * float(found.theta.norm())


def test_orthonormal_axes_are_those_of_garipov():
    # kills: v divided by the norm of w3 - w1, a projection on u that is not divided by its square
    first, second, third = w = points(3, 50)
    found = td.plane_through(linear(50), w, orthonormal=True)
    u = second - first
    v = (third - first) - ((third - first) @ u) / (u @ u) * u
    torch.testing.assert_close(found.directions, torch.stack([u / u.norm(), v / v.norm()]))
    assert float(found.directions[0] @ found.directions[1]) == pytest.approx(0, abs=1e-15)
    expected = [[0, 0], [u.norm(), 0], [(third - first) @ u / u.norm(), v.norm()]]
    np.testing.assert_allclose(found.coordinates, expected, rtol=1e-13, atol=1e-13)


def test_distances_on_an_orthonormal_plane_are_those_of_the_points():
    w = points(3, 50, seed=1)
    found = td.plane_through(linear(50), w, orthonormal=True).coordinates
    gaps = np.linalg.norm(found[:, None] - found[None], axis=-1)
    np.testing.assert_allclose(gaps, torch.cdist(w, w).numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_nearest_plane_is_that_of_the_singular_values(dtype):
    # kills: no centering, coordinates of the wrong component, residuals of the first axis alone
    w = points(7, 60, seed=2, dtype=dtype) * torch.linspace(0.2, 3, 60).to(dtype) + 5
    found = td.plane_through(linear(60, dtype), w)
    centered = (w.double() - w.double().mean(0)).numpy()
    left, values, right = np.linalg.svd(centered, full_matrices=False)
    digits = 1e-10 if dtype == torch.float64 else 2e-5
    np.testing.assert_allclose(found.theta, w.double().mean(0), rtol=digits)
    axes = found.directions.double().numpy()
    np.testing.assert_allclose(np.abs((axes * right[:2]).sum(1)), 1, atol=digits)
    np.testing.assert_allclose(
        np.abs(found.coordinates), np.abs(left[:, :2] * values[:2]), atol=digits * values[0]
    )
    rest = np.sqrt(((left[:, 2:] * values[2:]) ** 2).sum(1))
    np.testing.assert_allclose(found.residuals, rest, rtol=10 * digits)
    share = (values[:2] ** 2).sum() / (values**2).sum()
    assert found.explained == pytest.approx(share, rel=10 * digits)
    assert found.directions.dtype == dtype


def test_the_farthest_point_of_a_principal_axis_is_on_its_positive_side():
    # kills: signs left to the eigensolver
    found = td.plane_through(linear(40), points(6, 40, seed=3)).coordinates
    assert (found[np.abs(found).argmax(0), [0, 1]] > 0).all()


def test_points_of_one_plane_have_no_residual():
    corners = torch.tensor([[0, 0, 0], [4, 0, 0], [0, 2, 0], [4, 2, 0]], dtype=torch.float64)
    found = td.plane_through(linear(3), corners)
    assert found.theta.tolist() == [2, 1, 0]
    assert float(found.residuals.max()) < 1e-14
    assert found.explained == pytest.approx(1, abs=1e-15)
    np.testing.assert_allclose(np.abs(found.coordinates), [[2, 1]] * 4, rtol=1e-12)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (points(2, 5), InvalidArgument, "three or more; got 2"),
        (points(1, 5).expand(3, -1), InvalidArgument, "lie on a line, or are one point"),
        (torch.arange(3.0)[:, None] * torch.ones(5), InvalidArgument, "lie on a line"),
        (torch.arange(5.0)[:, None] * torch.ones(5), InvalidArgument, "lie on a line"),
        (points(3, 4), InvalidArgument, r"points\[0\] must have shape \(5,\)"),
        (points(3, 5)[0], InvalidType, "list of points"),
    ],
)
def test_points_that_span_no_plane_are_refused(value, error, message):
    with pytest.raises(error, match=message):
        td.plane_through(linear(5), value)
