"""Shares of a spectrum. Oracle: matrices whose eigenvalues were chosen, counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import xarray as xr

from theodolite import Operator
from theodolite.curvature import moment, spectral_density, spectral_mass, spectral_summary
from theodolite.errors import InvalidArgument

BULK = torch.linspace(-0.004, 0.004, 90, dtype=torch.float64)
OTHERS = torch.tensor([-0.5, 0.05, 0.06, 0.07, 0.5, 2.0, 3.0, 4.0, 9.0, 10.0], dtype=torch.float64)
EIGENVALUES = torch.cat([BULK, OTHERS])


def matrix() -> Operator:
    q = torch.linalg.qr(
        torch.randn(100, 100, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    )[0]
    return Operator.from_matrix(q @ torch.diag(EIGENVALUES) @ q.T)


def density(steps: int = 100, probes: int = 40) -> xr.Dataset:
    return spectral_density(matrix(), steps=steps, probes=probes)


def near(found: xr.Dataset, name: str, truth: float) -> None:
    """Within four standard errors of the probes."""
    error = float(found[f"{name}_error" if name != "mass" else "standard_error"])
    assert abs(float(found[name]) - truth) < 4 * error + 1e-12, name


def test_shares_of_a_chosen_spectrum():
    # kills: an end left open, below exchanged with above, thresholds that are absolute
    made = density()
    found = spectral_summary(made)
    near(found, "near_zero_mass", 93 / 100)  # below 0.1 of 10 * 1e-2
    near(found, "negative_mass", 1 / 100)  # only -0.5 is below -0.01
    near(found, "outliers", 5)
    near(found, "mean", float(EIGENVALUES.mean()))
    near(found, "second_moment", float(EIGENVALUES.square().mean()))
    assert found.attrs["largest_node"] == pytest.approx(10, rel=1e-9)
    near(spectral_mass(made, above=1.0, below=5.0), "mass", 3 / 100)
    near(spectral_mass(made, above=0.01), "mass", 9 / 100)
    assert float(spectral_mass(made).mass) == 1
    for name in ("mean", "second_moment"):
        power = 1 if name == "mean" else 2
        np.testing.assert_allclose(found[f"{name}_sample"], moment(made, power), rtol=1e-12)


def test_the_bulk_lies_between_its_quantiles():
    # kills: the quantile of the nodes in place of that of the weights
    found = spectral_summary(density(), tail=0.05)
    ordered = EIGENVALUES.sort().values
    assert float(ordered[1]) <= float(found.bulk_low) <= float(ordered[15])
    assert float(ordered[88]) <= float(found.bulk_high) <= float(ordered[97])


@pytest.mark.parametrize("steps", [5, 8, 12])
def test_bounds_hold_for_every_probe(steps):
    # kills: bounds that leave out the nodes on the wrong side. Truth: the probe's own measure
    made = density(steps, 6)
    whole = density(100, 6)
    for above, below in ((0.01, 2.5), (-np.inf, 0.0), (3.5, np.inf), (-0.1, 0.1)):
        found = spectral_mass(made, above=above, below=below)
        exact = spectral_mass(whole, above=above, below=below)
        assert float(found.low) <= float(exact.mass) + 1e-9
        assert float(found.high) >= float(exact.mass) - 1e-9
        assert 0 <= float(found.low) <= float(found.mass) <= float(found.high) <= 1


def test_one_probe_has_an_error_bar_and_the_scale_of_a_matrix_does_not_matter():
    # kills: a threshold in the units of the matrix
    one = density(60, 1)
    found = spectral_summary(one)
    share = float(found.near_zero_mass)
    theory = np.sqrt(2 * share * (1 - share) / one.attrs["size"])
    assert float(found.near_zero_mass_error) == pytest.approx(theory, rel=0.2)
    scaled = one.assign(node=one.node * 1e3)
    again = spectral_summary(scaled)
    for name in ("near_zero_mass", "negative_mass", "outliers"):
        assert float(again[name]) == float(found[name])
        assert float(again[f"{name}_low"]) <= float(again[name]) <= float(again[f"{name}_high"])


def test_a_matrix_of_zeros_is_all_near_zero():
    zero = Operator.from_matrix(torch.zeros(5, 5, dtype=torch.float64))
    found = spectral_summary(spectral_density(zero, steps=3, probes=2))
    assert float(found.outliers) == 0
    assert float(found.negative_mass) == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"near_zero": 0.0}, "near_zero must be above 0 and below 1; got 0.0"),
        ({"tail": 0.5}, "tail must be above 0 and below 0.5; got 0.5"),
        ({"outlying": 2.0}, "outlying must be above 0 and below 1; got 2.0"),
    ],
)
def test_thresholds_that_are_none(arguments, message):
    with pytest.raises(InvalidArgument, match=message.replace(".", r"\.")):
        spectral_summary(density(5, 1), **arguments)


def test_an_interval_that_is_none():
    with pytest.raises(InvalidArgument, match="above must be less than below; got 1 and 1"):
        spectral_mass(density(5, 1), above=1.0, below=1.0)


def test_the_edges_of_the_bulk_lie_between_their_bounds():
    """Signs see every eigenvalue of a diagonal matrix with the same weight: quantiles are known.

    Kills: a bound at the node itself, the neighbor on the other side, bounds exchanged.
    """
    values = torch.cat([torch.linspace(-1, 1, 300) ** 3, torch.tensor([5.0, 9.0])]).double()
    exact = np.sort(values.numpy())
    operator = Operator.from_matrix(torch.diag(values))
    for steps in (6, 15, 40):
        density = spectral_density(operator, steps=steps, probes=3, seed=steps)
        for tail in (0.01, 0.05, 0.2):
            found = spectral_summary(density, tail=tail)
            for name, q in (("bulk_low", tail), ("bulk_high", 1 - tail)):
                true = exact[math.ceil(q * len(exact) - 1e-9) - 1]
                low, high = (float(found[f"{name}_{k}"]) for k in ("low", "high"))
                assert np.isnan(low) or low - 1e-12 <= true
                assert np.isnan(high) or true <= high + 1e-12
                assert not low > float(found[name])
                assert not high < float(found[name])
