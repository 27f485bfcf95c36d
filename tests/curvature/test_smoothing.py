"""Smoothed densities and negative shares against sums that can be done on paper."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
import xarray as xr

from theodolite import results
from theodolite.curvature.smoothing import negative_mass, smooth
from theodolite.curvature.spectrum import spectral_density
from theodolite.errors import InvalidArgument
from theodolite.testing import oracles

SCALES = pytest.mark.parametrize("scale", ["linear", "log"])


def density(node: list[list[float]], weight: list[list[float]]) -> xr.Dataset:
    dims = ("probe", "step")
    return results.dataset(
        "spectral_density",
        {
            "node": (dims, node, {"long_name": "eigenvalue"}),
            "weight": (dims, weight, {"long_name": "spectral weight"}),
        },
        seed=11,
    )


NETWORK = density(
    [[-0.02, -1e-7, 1e-5, 0.003, 0.5, 8.0], [-0.01, 1e-6, 1e-4, 0.01, 0.4, 8.0]],
    [[0.05, 0.4, 0.3, 0.2, 0.04, 0.01], [0.04, 0.5, 0.3, 0.1, 0.05, 0.01]],
)


def mass(curve: xr.Dataset) -> np.ndarray:
    position = curve.position.values
    return np.asarray(curve.density.sum("eigenvalue").values * (position[1] - position[0]))


@SCALES
@pytest.mark.parametrize("points", [7, 100, 1024])
@pytest.mark.parametrize("width", [None, 1e-4, 0.5])
def test_every_probe_integrates_to_one(scale: str, points: int, width: float | None) -> None:
    # Kills: values at points instead of averages over cells, cut tails, a missing 1 / width.
    curve = smooth(NETWORK, points=points, width=width, scale=scale)
    assert curve.density.dims == ("probe", "eigenvalue")
    assert curve.density.shape == (2, points)
    np.testing.assert_allclose(mass(curve), 1, rtol=0, atol=1e-8)
    assert np.all(np.diff(curve.eigenvalue) > 0)


def test_the_linear_kernel_is_a_gaussian_of_the_recorded_width() -> None:
    # Kills: sigma squared taken for sigma, a width that is not relative to the range.
    curve = smooth(density([[1.0, 5.0]], [[0.25, 0.75]]), points=4001, width=0.03)
    sigma = 0.03 * 4.0
    assert curve.attrs["kernel"] == pytest.approx(sigma)
    t = curve.eigenvalue.values
    gauss = [np.exp(-0.5 * ((t - node) / sigma) ** 2) for node in (1.0, 5.0)]
    exact = (0.25 * gauss[0] + 0.75 * gauss[1]) / (sigma * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(curve.density[0], exact, rtol=0, atol=1e-3 * exact.max())


def test_the_log_scale_counts_decades_and_keeps_the_sign() -> None:
    # Kills: the natural logarithm, a factor of two, the sign lost.
    curve = smooth(NETWORK, points=4001, scale="log", width=0.02)
    large = curve.sel(probe=0).where(curve.eigenvalue > 2, drop=True)
    peak = float(large.eigenvalue[int(np.argmax(large.density.values))])
    assert peak == pytest.approx(8, rel=0.01)
    decade = float(np.interp(5.0, curve.eigenvalue, curve.position))
    assert decade - float(np.interp(0.5, curve.eigenvalue, curve.position)) == pytest.approx(
        1, abs=1e-4
    )
    step = float(curve.position[1] - curve.position[0])
    below = float(curve.density.sel(probe=0).where(curve.eigenvalue < -1e-3).sum()) * step
    assert below == pytest.approx(0.05, abs=1e-6)
    assert curve.attrs["floor"] == pytest.approx(8e-6)


@SCALES
@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_curve_of_a_multiple_is_the_same_curve(scale: str, factor: float) -> None:
    # Kills: an absolute width, margin or floor.
    scaled = density((NETWORK.node * factor).values.tolist(), NETWORK.weight.values.tolist())
    one, other = smooth(NETWORK, scale=scale), smooth(scaled, scale=scale)
    span = float(np.ptp(one.eigenvalue.values))
    np.testing.assert_allclose(
        other.eigenvalue / factor, one.eigenvalue, rtol=1e-9, atol=1e-9 * span
    )
    stretch = factor if scale == "linear" else 1.0
    np.testing.assert_allclose(other.density * stretch, one.density, rtol=1e-6, atol=1e-9)


@SCALES
@pytest.mark.parametrize("value", [0.0, 3.0, -1e-9])
def test_a_single_value_has_a_curve_too(scale: str, value: float) -> None:
    # Kills: a range of zero as width.
    curve = smooth(density([[value, value]], [[1.0, 0.0]]), scale=scale, points=101)
    np.testing.assert_allclose(mass(curve), 1, rtol=0, atol=1e-8)
    middle = float(curve.eigenvalue[int(np.argmax(curve.density.values[0]))])
    assert middle == pytest.approx(value, abs=1e-6 * max(abs(value), 1e-9) + 1e-12)


def test_padding_does_not_stretch_the_axis() -> None:
    # Kills: nodes without weight counted in the range.
    curve = smooth(density([[1.0, 2.0, 900.0]], [[0.5, 0.5, 0.0]]))
    assert float(curve.eigenvalue.max()) < 3


def test_settings_are_recorded_beside_those_of_the_density() -> None:
    curve = smooth(NETWORK, points=50, scale="log")
    expected = {
        "quantity": "smoothed_spectral_density",
        "scale": "log",
        "points": 50,
        "width": 0.1,
        "seed": 11,
    }
    assert expected.items() <= curve.attrs.items()
    assert "decade" in curve.density.attrs["units"]


def test_the_negative_share_and_its_error_are_those_of_the_probes() -> None:
    # Kills: ddof=0, the number of nodes counted instead of their weight.
    found = negative_mass(NETWORK)
    assert float(found.negative_mass) == pytest.approx((0.05 + 0.04) / 2)
    np.testing.assert_allclose(found["sample"], [0.05, 0.04])
    assert float(found.standard_error) == pytest.approx(0.005)
    assert (found.attrs["threshold"], found.attrs["seed"]) == (1e-3, 11)


def test_the_threshold_is_relative_to_the_largest_node() -> None:
    # Kills: an absolute threshold, a threshold on the wrong side of zero.
    assert float(negative_mass(NETWORK, threshold=1e-9).negative_mass) == pytest.approx(0.245)
    assert float(negative_mass(NETWORK, threshold=2e-3).negative_mass) == pytest.approx(0.025)
    assert float(negative_mass(NETWORK, threshold=0.5).negative_mass) == 0


def test_bounds_hold_where_the_cut_runs_through_the_bulk_and_the_sum_misleads() -> None:
    # Kills: bounds that move by no node, or the wrong way. Negative control: the sum alone is
    # off by more than ten of its standard errors.
    spectrum = oracles.trained_network_spectrum(300)
    operator = oracles.operator_with_eigenvalues(spectrum)
    density = spectral_density(operator, steps=30, probes=8)
    for threshold in (1e-5, 1e-3):
        exact = float((spectrum < -threshold * spectrum.max()).double().mean())
        found = negative_mass(density, threshold=threshold)
        slack = 4 * float(found.standard_error)
        assert float(found.low) - slack <= exact <= float(found.high) + slack
        assert float(found.low) < float(found.negative_mass) < float(found.high)
    fine = negative_mass(density, threshold=1e-5)
    gap = abs(float(fine.negative_mass) - float((spectrum < -1e-5 * 0.54).double().mean()))
    assert gap > 10 * float(fine.standard_error)


def test_one_probe_has_no_error_bar() -> None:
    assert np.isnan(negative_mass(NETWORK.isel(probe=[0])).standard_error)


@pytest.mark.parametrize(("name", "share"), [("indefinite", 12 / 30), ("rank one", 0.0)])
def test_the_negative_share_of_chosen_spectra(name: str, share: float) -> None:
    # Kills: rounding of zero eigenvalues counted as negative curvature.
    operator = oracles.operator_with_eigenvalues(oracles.spectra(30)[name])
    found = negative_mass(spectral_density(operator, steps=30, probes=40))
    allowed = 4 * float(found.standard_error) + 1e-12
    assert abs(float(found.negative_mass) - share) <= allowed
    assert (oracles.spectra(30)[name] < 0).double().mean() == pytest.approx(share)


def test_smoothing_a_stored_density_does_not_load_torch() -> None:
    # Kills: an eager import in the package: reports are rebuilt without torch.
    code = "import sys, theodolite.curvature.smoothing; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_probes_not_computed_are_refused_and_may_be_left_out() -> None:
    # Kills: NaN smoothed into the whole curve, or counted as a share of zero.
    partial = NETWORK.copy(deep=True)
    partial["node"][1] = np.nan
    for use in (smooth, negative_mass):
        with pytest.raises(InvalidArgument, match="1 of 2 probes are not computed"):
            use(partial)
        use(partial.isel(probe=[0]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"points": 1}, "points must be at least 2; got 1"),
        ({"width": 0.0}, "width must be positive and finite; got 0"),
        ({"width": float("nan")}, "width must be positive and finite; got nan"),
        ({"scale": "loglog"}, "scale must be one of 'linear', 'log'; got 'loglog'"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments: dict[str, object], message: str) -> None:
    unchecked = getattr(smooth, "__wrapped__", smooth)
    with pytest.raises(InvalidArgument, match=message):
        unchecked(NETWORK, **arguments)


def test_other_results_and_thresholds_are_refused_by_name() -> None:
    other = results.dataset("trace", {"trace": ((), 1.0, {"long_name": "trace"})})
    for use in (smooth, negative_mass):
        with pytest.raises(InvalidArgument, match=r"result of spectral_density; got .*'trace'"):
            use(other)
    for threshold in (0.0, 1.0):
        with pytest.raises(InvalidArgument, match="threshold must be above 0 and below 1"):
            negative_mass(NETWORK, threshold=threshold)


def test_a_density_of_torch_floats_is_not_special() -> None:
    operator = oracles.operator_with_eigenvalues(torch.linspace(-1, 1, 30), dtype=torch.float32)
    np.testing.assert_allclose(mass(smooth(spectral_density(operator, steps=9))), 1, atol=1e-8)
