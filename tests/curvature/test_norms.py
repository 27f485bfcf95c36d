"""Frobenius norms as labelled results, against chosen eigenvalues."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import t as student

import theodolite as td
from theodolite.linalg.frobenius import squared_norm_estimate
from theodolite.testing import oracles

EIGENVALUES = oracles.trained_network_spectrum(80)
OPERATOR = oracles.operator_with_eigenvalues(EIGENVALUES)
NORM = float(torch.linalg.vector_norm(EIGENVALUES))


def test_values_settings_and_cost_are_recorded() -> None:
    # Kills: the plain and the combined estimate exchanged, an error of the square passed off as
    # that of the norm.
    operator, made = oracles.counted(OPERATOR)
    found = td.frobenius_norm(operator, probes=9, seed=3)
    plain = squared_norm_estimate(OPERATOR, probes=9, seed=3)
    assert float(found.squared_norm) == pytest.approx(plain.squared_norm, rel=1e-12)
    assert float(found.standard_error) == pytest.approx(plain.standard_error, rel=1e-6)
    np.testing.assert_allclose(found["sample"], plain.samples, rtol=1e-12)
    np.testing.assert_allclose(found["plain_sample"], plain.plain, rtol=1e-12)
    assert float(found.plain_squared_norm) == pytest.approx(plain.plain.mean(), rel=1e-12)
    spread = plain.plain.std(ddof=1) / 3
    assert float(found.plain_error) == pytest.approx(spread, rel=1e-12)
    assert float(found.frobenius_norm) == pytest.approx(plain.squared_norm**0.5, rel=1e-12)
    norm_error = ((plain.squared_norm + 1e-6 * plain.standard_error) ** 0.5) - (
        plain.squared_norm**0.5
    )
    assert float(found.norm_error) == pytest.approx(1e6 * norm_error, rel=1e-3)
    expected = {"seed": 3, "probes": 9, "size": 80, "products": sum(made)}
    assert expected.items() <= found.attrs.items()


def test_intervals_of_the_norm_and_of_the_plain_mean_cover() -> None:
    # Kills: the chain rule of the root, an error of the plain mean that is not its own.
    runs = [td.frobenius_norm(OPERATOR, probes=16, seed=s) for s in range(200)]
    quantile = float(student.ppf(0.975, 15))
    for value, error, exact in (
        ("frobenius_norm", "norm_error", NORM),
        ("plain_squared_norm", "plain_error", NORM**2),
    ):
        covered = [abs(float(r[value]) - exact) <= quantile * float(r[error]) for r in runs]
        assert 0.90 <= np.mean(covered) <= 0.99


def test_the_zero_operator_has_no_norm_and_no_error() -> None:
    # Kills: a division by the norm.
    found = td.frobenius_norm(oracles.operator_with_eigenvalues(0 * EIGENVALUES), probes=4)
    assert (float(found.frobenius_norm), float(found.norm_error)) == (0.0, 0.0)
