"""The spread over planes.

Oracle: quadratics, whose mean over a ring of grid points is known, and moments of the samples
computed by hand.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

import theodolite as td
from theodolite.errors import InvalidArgument, InvalidType

from .formulas import Parameters, normal, orthonormal, quadratic


def bowls(count: int, steps: int = 9, **settings: object) -> list[xr.Dataset]:
    """Planes through an anisotropic bowl about zero: what they see differs."""
    scale = torch.linspace(0.1, 3, 30, dtype=torch.float64)
    model = Parameters(torch.zeros(30, dtype=torch.float64))
    data = torch.zeros(1, 1), scale[None]

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return (targets * outputs**2).sum(1) / 2 + 1

    made = td.Objective(model, loss, data)
    settings = {"normalize": "none", "steps": (steps, steps), **settings}
    return [td.plane(made, orthonormal(30, seed=k), **settings) for k in range(count)]


def test_rings_hold_the_points_at_their_distance():
    # kills: rings of squares, a distance along one axis, a ring that takes in its neighbor
    plane = td.plane(quadratic(normal(30), start=normal(30)), orthonormal(30), steps=(7, 7))
    made = td.surfaces.plane_spread([plane])
    h = 1 / 3
    assert made.radius.values == pytest.approx([0, h, 2 * h])
    assert made.points.values.tolist() == [[1, 8, 12]]
    expected = [0, (4 * h**2 + 4 * 2 * h**2) / 8 / 2, (4 * 4 + 8 * 5) * h**2 / 12 / 2]
    np.testing.assert_allclose(made.loss[0], expected, rtol=1e-12, atol=1e-15)


def test_mean_deviation_and_error_are_those_over_planes():
    # kills: ddof=0, a standard deviation called an error, errors over points instead of planes
    planes = bowls(5)
    made = td.plane_spread(planes)
    samples = np.stack([td.plane_spread([p]).loss.values[0] for p in planes])
    np.testing.assert_array_equal(made.loss, samples)
    np.testing.assert_allclose(made["mean"], samples.mean(0), rtol=1e-14)
    centered = samples - samples.mean(0)
    deviation = np.sqrt((centered**2).sum(0) / 4)
    np.testing.assert_allclose(made.deviation, deviation, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(made.error, deviation / 5**0.5, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(
        made.spread[1:], deviation[1:] / (samples.mean(0)[1:] - 1), rtol=1e-10
    )
    assert made.loss.dims == ("plane", "radius")
    assert made.attrs["planes"] == 5


def test_the_mean_over_planes_is_near_the_mean_curvature():
    # kills: an error that is too small: the true mean lies outside four of them
    made = td.plane_spread(bowls(40))
    curvature = 2 * (made["mean"] - 1)[1:]
    error = 2 * made.error[1:]
    square = [float(np.mean(_squares(k))) for k in range(1, len(made.radius))]
    truth = np.array(square) * float(np.linspace(0.1, 3, 30).mean())
    assert (np.abs(curvature - truth) < 4 * error).all()


def _squares(ring: int, steps: int = 9) -> np.ndarray:
    """Squared distances of the grid points on a ring, found by hand."""
    at = np.linspace(-1, 1, steps)
    radius = np.hypot(*np.meshgrid(at, at))
    step = 2 / (steps - 1)
    return radius[(radius >= (ring - 0.5) * step) & (radius < (ring + 0.5) * step)] ** 2


def test_one_plane_has_no_error():
    # kills: zero as the error of a single plane
    made = td.plane_spread(bowls(1))
    assert np.isnan(made.error).all()
    assert np.isnan(made.deviation).all()
    assert np.isfinite(made["mean"]).all()


def test_lengths_and_angles_of_the_axes_do_not_matter():
    # kills: distances of coordinates in place of distances of parameters
    objective, straight = quadratic(normal(30), start=normal(30)), orthonormal(30)
    skew = torch.stack([3 * straight[0], 3 * (0.6 * straight[0] + 0.8 * straight[1])])
    made = td.plane_spread([td.plane(objective, skew, steps=(41, 41), normalize="none")], rings=5)
    assert made.attrs["axis_length"] == pytest.approx(3)
    outer = float(made.radius[-1]) + made.attrs["ring_width"] / 2
    assert outer == pytest.approx(0.8)  # the height of the parallelogram
    radius, width = made.radius.values, made.attrs["ring_width"]
    over_annulus = 9 * (radius**2 + width**2 / 4) / 2  # the mean of squares, the center left out
    np.testing.assert_allclose(made.loss[0, 1:], over_annulus[1:], rtol=0.05)


def test_a_ring_that_diverged_in_one_plane_has_no_mean():
    # kills: means of what is left of a ring, or of the planes left
    planes = bowls(3)
    planes[1]["loss"][4, 5] = np.nan
    made = td.plane_spread(planes)
    assert made.status.values[1].tolist()[:3] == [1, 2, 1]
    assert np.isnan(made["mean"].values[1])
    assert np.isfinite(made["mean"].values[[0, 2]]).all()


def test_the_result_survives_the_disk(tmp_path):
    made = td.plane_spread(bowls(2))
    made.to_netcdf(tmp_path / "spread.nc", engine="h5netcdf")
    again = xr.load_dataset(tmp_path / "spread.nc", engine="h5netcdf")
    xr.testing.assert_identical(made, again)


def test_random_planes_of_a_network_differ_and_are_told_apart():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))
    made = td.Objective(
        model, torch.nn.CrossEntropyLoss(), (normal(9, 4).float(), torch.arange(9) % 3)
    )
    planes = [td.plane(made, d, steps=(5, 5)) for d in td.random_planes(made, count=4)]
    spread = td.plane_spread(planes)
    assert float(spread["mean"][0]) == float(made.value())
    assert float(spread.error[0]) == 0
    assert (spread.error[1:] > 0).all()
    assert spread.attrs["normalize"] == "filter"


def refused(case: str) -> object:
    one, two = bowls(2)
    moved = two.assign_attrs(fingerprint="other")
    return {
        "none": lambda: td.plane_spread([]),
        "line": lambda: td.plane_spread([one, xr.Dataset(attrs={"quantity": "line"})]),
        "other": lambda: td.plane_spread([one, moved]),
        "copy": lambda: td.plane_spread([one, two, one]),
        "outside": lambda: td.plane_spread(bowls(1, span=((0, 1), (-1, 1)))),
        "rings": lambda: td.plane_spread([one, two], rings=0),
        "empty": lambda: td.plane_spread([one, two], rings=40),
    }[case]()


@pytest.mark.parametrize(
    ("case", "error", "message"),
    [
        ("none", InvalidArgument, "at least one plane; got none"),
        ("line", InvalidType, r"planes\[1\] must be a result of plane"),
        ("other", InvalidArgument, "the planes differ in fingerprint"),
        ("copy", InvalidArgument, r"planes\[0\] and planes\[2\] are the same plane"),
        ("outside", InvalidArgument, r"center of planes\[0\] lies outside"),
        ("rings", InvalidArgument, "rings must be at least 1; got 0"),
        ("empty", InvalidArgument, "rings=40 leaves"),
    ],
)
def test_planes_that_are_no_repeats_are_refused(case, error, message):
    with pytest.raises(error, match=message):
        refused(case)
