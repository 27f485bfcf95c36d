"""Tail indices. Oracles: stable, Pareto, Gaussian and Student samples, whose index is known."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from scipy.stats import kstest, levy_stable
from torch import nn

import theodolite as td
from theodolite.errors import InvalidArgument, TheodoliteWarning
from theodolite.noise.tails import _capped, _inverse_error, hill_index, stable_fit, stable_samples


@pytest.mark.parametrize("alpha", [1.2, 1.7])
def test_stable_samples_are_stable_and_found(alpha):
    # kills: a wrong exponent in the sampler or the estimator; refusing what is stable
    generator = np.random.default_rng(0)
    x = stable_samples(alpha, 20_000, generator)
    assert kstest(x[:400], levy_stable(alpha, 0).cdf).pvalue > 0.01
    found = td.tail_index(x, simulations=99)
    assert abs(float(found.stable_index) - alpha) <= 0.15
    assert not int(found.stable_refused)
    assert stable_fit(x)[1] < 0.07  # sums scaled by another power are not like single samples


@pytest.mark.parametrize("alpha", [1.2, 1.7, 2.0])
def test_intervals_of_the_stable_index_hold(alpha):
    # kills: the variance of a logarithm, or the number of sums, taken for another
    generator, held = np.random.default_rng(4), []
    for _ in range(200):
        inverse, _ = stable_fit(stable_samples(alpha, 1000, generator))
        held.append(abs(inverse - 1 / alpha) <= 1.96 * _inverse_error(_capped(inverse), 1000))
    assert 0.90 <= np.mean(held) <= 0.99


def test_the_stable_law_is_refused_for_what_is_not():
    # kills: a p-value that never falls; silence about it
    x = np.random.default_rng(1).standard_t(3, 20_000)
    with pytest.warns(TheodoliteWarning, match="E-Y17"):
        found = td.tail_index(x, simulations=99)
    assert float(found.stable_index) < 2
    assert int(found.stable_refused)
    assert float(found.p_value) <= 0.03


def test_the_law_is_refused_no_oftener_than_the_level():
    # kills: a test that refuses true stable samples
    generator = np.random.default_rng(2)
    p = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TheodoliteWarning)
        for seed in range(60):
            x = stable_samples(1.5, 500, generator)
            p.append(float(td.tail_index(x, simulations=39, seed=seed).p_value))
    assert np.mean(np.array(p) <= 0.05) <= 0.15
    assert 0.3 <= np.mean(p) <= 0.7


def test_hill_finds_a_power_law():
    # kills: k for k + 1, an inverse
    assert hill_index(np.exp([2.0, 1.0, 0.0, -1.0]), 2) == pytest.approx(2 / (2 + 1))
    errors = []
    for seed in range(200):
        x = np.random.default_rng(seed).pareto(3.0, 2000) + 1
        errors.append(1 / hill_index(x, 100) - 1 / 3)
    spread = np.std(errors, ddof=1)
    assert abs(np.mean(errors)) <= 4 * spread / 200**0.5
    assert spread == pytest.approx(1 / 3 / 100**0.5, rel=0.2)


def test_gradients_are_projected():
    # kills: the mean left in, weights left out. One parameter: the noise is that of the targets
    y = torch.from_numpy(np.random.default_rng(3).standard_t(2, 2000))
    model = nn.Linear(1, 1, bias=False).double()
    x = torch.ones(2000, 1, dtype=torch.float64)
    problem = td.Objective(model, nn.MSELoss(), (x, y[:, None]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TheodoliteWarning)
        found = td.gradient_tail_index(problem, directions=2, simulations=19)
    own = np.abs((y - y.mean()).numpy())
    assert float(found.hill_index_of_norms) == pytest.approx(hill_index(own, 100), rel=1e-9)
    assert found.stable_index.values[0] == pytest.approx(found.stable_index.values[1])


def test_what_has_no_tail_is_refused():
    for bad in (np.ones(3), np.full(100, np.nan), np.zeros(100)):
        with pytest.raises(InvalidArgument) as caught:
            td.tail_index(bad)
        assert caught.value.code == "E-Y16"
