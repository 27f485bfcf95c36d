"""Hutch++ against its definition and known traces."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from theodolite.errors import InvalidArgument
from theodolite.linalg.deflation import hutch_plus_plus
from theodolite.linalg.operator import Operator
from theodolite.linalg.sketch import probe_columns
from theodolite.testing import oracles

SPECTRA = oracles.spectra(40)


@pytest.mark.parametrize("name", ["distinct", "one outlier", "indefinite", "decaying"])
def test_samples_are_those_of_the_definition(name: str) -> None:
    # Kills: the basis from the probes themselves, the rest not projected, the known part left
    # out, the error not that of independent samples.
    operator, made = oracles.counted(oracles.operator_with_eigenvalues(SPECTRA[name], seed=3))
    calls: list[tuple[int, int]] = []
    estimate = hutch_plus_plus(
        operator, probes=6, seed=4, progress=lambda *done: calls.append(done)
    )
    assert sum(made) == estimate.products == 18
    assert calls[-1] == (18, 18)
    matrix = operator.dense().numpy()
    q = np.linalg.qr(matrix @ probe_columns(operator, 4, "trace_sketch", 6).numpy())[0]
    z = probe_columns(operator, 4, "trace", 6).numpy()
    rest = z - q @ (q.T @ z)
    exact = np.trace(q.T @ matrix @ q) + (rest * (matrix @ rest)).sum(0)
    np.testing.assert_allclose(estimate.samples, exact, rtol=1e-11)
    assert estimate.trace == pytest.approx(exact.mean(), rel=1e-12)
    error = math.sqrt(((exact - exact.mean()) ** 2).sum() / 5 / 6)
    assert estimate.standard_error == pytest.approx(error, rel=1e-6)


@pytest.mark.parametrize("name", ["rank one", "zero"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_rank_of_at_most_the_probes_is_exact(name: str, dtype: torch.dtype) -> None:
    # Kills: a projection that leaves rounding of the size of the part removed.
    operator = oracles.operator_with_eigenvalues(SPECTRA[name], seed=2, dtype=dtype)
    estimate = hutch_plus_plus(operator, probes=2, seed=1)
    rounding = 50 * float(torch.finfo(dtype).eps)
    assert estimate.trace == pytest.approx(float(SPECTRA[name].sum()), abs=7 * rounding)
    assert estimate.standard_error <= 7 * rounding


def test_a_small_operator_is_multiplied_by_unit_vectors() -> None:
    # Kills: more products than rows.
    operator, made = oracles.counted(oracles.operator_with_eigenvalues(SPECTRA["indefinite"]))
    estimate = hutch_plus_plus(operator, probes=14)
    assert sum(made) == estimate.products == 40
    assert estimate.exact
    assert estimate.standard_error == 0
    assert estimate.trace == pytest.approx(float(SPECTRA["indefinite"].sum()), rel=1e-12)


def test_too_few_probes_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="probes must be at least 2; got 1"):
        hutch_plus_plus(Operator.from_matrix(torch.eye(4)), probes=1)
