"""The semicircle against its integrals, and random matrices against the semicircle."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

from theodolite.curvature.random_spectra import semicircle, semicircle_distance
from theodolite.curvature.spectrum import spectral_density
from theodolite.errors import InvalidArgument
from theodolite.linalg.operator import Operator
from theodolite.testing import oracles


def goe(size: int, seed: int = 0) -> torch.Tensor:
    """A symmetric Gaussian matrix with unit variance off the diagonal."""
    drawn = np.random.default_rng(seed).standard_normal((size, size))
    return torch.from_numpy((drawn + drawn.T) / 2**0.5)


def test_the_density_has_its_moments_and_is_the_slope_of_the_cumulative() -> None:
    # kills: a factor of pi or of the radius. Moments of the semicircle: R^2 / 4 and R^4 / 8.
    law = semicircle(3.0, points=200_001)
    x, density = law.eigenvalue.values, law.density.values
    assert np.trapezoid(density, x) == pytest.approx(1, abs=1e-6)
    assert np.trapezoid(density * x**2, x) == pytest.approx(9 / 4, abs=1e-5)
    assert np.trapezoid(density * x**4, x) == pytest.approx(81 / 8, abs=1e-4)
    slope = np.gradient(law.share_below.values, x)
    np.testing.assert_allclose(slope[1000:-1000], density[1000:-1000], rtol=0, atol=1e-5)
    assert law.share_below.values[[0, -1]].tolist() == [0.0, 1.0]


def test_gaussian_matrices_are_near_the_semicircle_and_others_are_not() -> None:
    # kills: a distance of unsorted nodes, the radius of another moment, probes not weighed.
    # Negative controls: two bands and a trained network's, with the same moment.
    wigner = spectral_density(Operator.from_matrix(goe(400)), steps=40, probes=10)
    found = semicircle_distance(wigner)
    assert found.attrs["radius"] == pytest.approx(2 * 400**0.5, rel=0.02)
    assert float(found.distance) < 0.04
    bands = torch.cat([torch.linspace(-1, -0.5, 200), torch.linspace(0.5, 1, 200)]).double()
    for spectrum, least in ((bands, 0.1), (oracles.trained_network_spectrum(400), 0.3)):
        other = spectral_density(oracles.operator_with_eigenvalues(spectrum), steps=40, probes=10)
        assert float(semicircle_distance(other).distance) > least


def test_the_distance_of_an_exact_spectrum_is_that_of_the_distribution_functions() -> None:
    # kills: the jump taken at one of its ends; the largest weight instead of the distance.
    # Oracle: the distribution function on a fine grid, up to half a jump.
    values = np.linalg.eigvalsh(goe(100).numpy())
    dims = ("probe", "step")
    exact = xr.Dataset(
        {"node": (dims, values[None]), "weight": (dims, np.full((1, 100), 0.01))},
        attrs={"quantity": "spectral_density"},
    )
    found = semicircle_distance(exact, radius=18.0)
    law = semicircle(18.0, points=100_001)
    below = np.searchsorted(values, law.eigenvalue.values) / 100
    supremum = float(np.abs(below - law.share_below.values).max())
    assert abs(supremum - float(found.distance)) <= 0.005 + 1e-4
    assert float(found.resolution) == pytest.approx(0.005)
    assert found["sample"].values == pytest.approx([float(found.distance)])


def test_settings_of_the_density_are_kept() -> None:
    density = spectral_density(Operator.from_matrix(goe(30)), steps=5, probes=3, seed=8)
    found = semicircle_distance(density)
    assert found.sizes == {"probe": 3}
    assert {"seed": 8, "quantity": "semicircle_distance", "steps": 5}.items() <= found.attrs.items()


@pytest.mark.parametrize("radius", [0.0, -1.0, float("inf"), float("nan")])
def test_bad_radii_are_refused(radius: float) -> None:
    with pytest.raises(InvalidArgument, match="radius must be positive"):
        semicircle(radius)
    density = spectral_density(Operator.from_matrix(goe(9)), steps=3, probes=1)
    with pytest.raises(InvalidArgument, match="radius must be positive"):
        semicircle_distance(density, radius=radius)


def test_other_results_and_gaps_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="spectral_density; got quantity 'semicircle'"):
        semicircle_distance(semicircle(1.0))
    with pytest.raises(InvalidArgument, match="points at least 2"):
        semicircle(1.0, points=1)
    density = spectral_density(Operator.from_matrix(goe(9)), steps=3, probes=2)
    density.node[1] = np.nan
    with pytest.raises(InvalidArgument, match="must be complete"):
        semicircle_distance(density)
    zero = spectral_density(Operator.from_matrix(torch.zeros(4, 4)), steps=2, probes=1)
    with pytest.raises(InvalidArgument, match="radius must be positive"):
        semicircle_distance(zero)
