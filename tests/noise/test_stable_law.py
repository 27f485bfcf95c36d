"""The tail of the alpha-stable law. Oracles: SciPy's, Cauchy's and Gauss's laws, simulation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import levy_stable, norm
from torch import nn

import theodolite as td
from theodolite.noise.stable_law import stable_exceedance, stable_sizes
from theodolite.noise.tails import stable_samples

SIZES = np.array([0.01, 0.3, 1.0, 3.0, 20.0])


@pytest.mark.parametrize("alpha", [0.7, 1.2, 1.5, 1.9])
def test_exceedance_is_that_of_scipy(alpha):
    # kills: the side of one, a wrong exponent, angles that miss the tail
    expected = 2 * levy_stable(alpha, 0).sf(SIZES)
    assert stable_exceedance(SIZES, alpha) == pytest.approx(expected, rel=1e-6)


def test_the_ends_are_gauss_and_cauchy():
    # kills: variance one instead of two, a quotient by zero at one
    assert stable_exceedance(SIZES[:4], 2.0) == pytest.approx(2 * norm.sf(SIZES[:4] / 2**0.5))
    cauchy = 1 - 2 / np.pi * np.arctan(SIZES)
    assert stable_exceedance(SIZES, 1.0) == pytest.approx(cauchy)
    shares = np.array([0.3, 0.01, 1e-4])
    gauss = norm.isf(shares / 2) / norm.isf(0.25)
    assert stable_sizes(shares, 2.0) == pytest.approx(gauss, rel=1e-4)


def test_sizes_are_those_of_samples():
    # kills: sizes relative to something else than the median
    x = np.abs(stable_samples(1.4, 200_000, np.random.default_rng(0)))
    shares = np.array([0.2, 0.02])
    seen = np.quantile(x, 1 - shares) / np.median(x)
    assert stable_sizes(shares, 1.4) == pytest.approx(seen, rel=0.03)


def test_tails_of_gradients_are_their_order_statistics():
    # kills: sizes not centered, ranks off by one, shares from the wrong end
    g = torch.Generator().manual_seed(0)
    y = torch.randn(200, 1, generator=g).double()
    model = nn.Linear(1, 1, bias=False).double()
    objective = td.Objective(model, nn.MSELoss(), (torch.ones(200, 1).double(), y))
    found = td.gradient_tail_index(objective, directions=2)  # gradients 2 (w - y)
    drawn = y.numpy().ravel()
    gaps = np.sort(np.abs(drawn - np.median(drawn)))[::-1]
    share = found.exceedance.values
    ranks = np.rint(200 * share + 0.5).astype(int)
    assert (ranks[0], ranks[-1]) == (1, 100)
    expected = gaps[ranks - 1] / np.median(gaps)
    np.testing.assert_allclose(found["size"].values, np.tile(expected, (2, 1)), rtol=1e-6)
    index = float(np.median(found.stable_index))
    np.testing.assert_allclose(found["law"].values, stable_sizes(share, index))
