"""Squared Frobenius norms against their definition and chosen eigenvalues."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
import torch
from scipy.stats import t as student

from theodolite.errors import InvalidArgument
from theodolite.linalg.exchangeable import alone
from theodolite.linalg.frobenius import NormEstimate, _samples, squared_norm_estimate
from theodolite.linalg.operator import Operator
from theodolite.linalg.sketch import probe_columns
from theodolite.testing import oracles

SIZE = 100
RANK = torch.arange(1, SIZE + 1, dtype=torch.float64)
SPECTRA = {
    "flat": torch.linspace(0.5, 1.5, SIZE, dtype=torch.float64),
    "falling": 1 / RANK**0.5,
    "indefinite": torch.linspace(-1, 1, SIZE, dtype=torch.float64),
    "trained network": oracles.trained_network_spectrum(SIZE),
}


@cache
def estimates(name: str) -> list[NormEstimate]:
    operator = oracles.operator_with_eigenvalues(SPECTRA[name], seed=1)
    return [squared_norm_estimate(operator, probes=12, seed=s) for s in range(200)]


@pytest.mark.parametrize("name", SPECTRA)
def test_intervals_cover_and_both_means_are_unbiased(name: str) -> None:
    # Kills: the covariance left out, what the basis holds counted twice or not at all, the
    # square missing on either part, products in place of images.
    exact = float((SPECTRA[name] ** 2).sum())
    found = estimates(name)
    quantile = float(student.ppf(0.975, 11))
    covered = [abs(e.squared_norm - exact) <= quantile * e.standard_error for e in found]
    assert 0.90 <= np.mean(covered) <= 0.99
    for mean in ([e.squared_norm for e in found], [e.plain.mean() for e in found]):
        error = np.std(mean, ddof=1) / math.sqrt(200)
        assert abs(np.mean(mean) - exact) <= 4 * error


def test_the_basis_pays_where_a_few_eigenvalues_carry_the_norm() -> None:
    # Kills: a basis that is measured and not used. Against as many products without one.
    exact = float((SPECTRA["trained network"] ** 2).sum())
    found = estimates("trained network")
    with_basis = np.mean([(e.squared_norm - exact) ** 2 for e in found])
    without = np.mean([(e.plain.mean() - exact) ** 2 for e in found]) / 2
    assert with_basis < without / 4


@pytest.mark.parametrize("name", SPECTRA)
def test_samples_and_pairs_are_those_of_the_definition(name: str) -> None:
    # Kills: a sample that keeps its own vector in the basis, or a pair the rest of the other.
    operator, made = oracles.counted(oracles.operator_with_eigenvalues(SPECTRA[name], seed=1))
    found = squared_norm_estimate(operator, probes=5, seed=3)
    assert sum(made) == found.products == 10
    matrix = operator.dense().numpy()
    images = matrix @ probe_columns(operator, 3, "frobenius", 5).numpy()
    np.testing.assert_allclose(found.plain, (images**2).sum(0), rtol=1e-12)

    def by_definition(sample: int, *without: int) -> float:
        q = np.linalg.qr(np.delete(images, [sample, *without], axis=1))[0]
        rest = images[:, sample] - q @ (q.T @ images[:, sample])
        return float(((matrix @ q) ** 2).sum() + rest @ rest)

    q, upper = np.linalg.qr(images)
    _, pairs = _samples(alone(upper, 1e-16), upper, q.T @ matrix @ matrix @ q)
    for i in range(5):
        assert found.samples[i] == pytest.approx(by_definition(i), rel=1e-10)
        for j in range(5):
            if i != j:
                assert pairs[i, j] == pytest.approx(by_definition(j, i), rel=1e-10)


def test_low_rank_zero_and_small_operators_are_exact() -> None:
    # Kills: a division by zero, more products than rows.
    low = torch.cat([torch.tensor([3.0, -4.0]), torch.zeros(38)]).to(torch.float64)
    found = squared_norm_estimate(oracles.operator_with_eigenvalues(low), probes=6)
    assert found.squared_norm == pytest.approx(25, rel=1e-12)
    assert found.standard_error < 1e-11
    zero = squared_norm_estimate(oracles.operator_with_eigenvalues(0 * low), probes=6)
    assert (zero.squared_norm, zero.standard_error) == (0.0, 0.0)
    operator, made = oracles.counted(oracles.operator_with_eigenvalues(low))
    dense = squared_norm_estimate(operator, probes=20)
    assert sum(made) == dense.products == 40
    assert dense.exact
    assert (dense.squared_norm, dense.standard_error) == (pytest.approx(25, rel=1e-12), 0.0)


def test_too_few_probes_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="probes must be at least 2; got 1"):
        squared_norm_estimate(Operator.from_matrix(torch.eye(4)), probes=1)
