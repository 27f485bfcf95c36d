"""Diagonals against matrices whose entries are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import t as student

from theodolite.errors import InvalidArgument
from theodolite.linalg.diagonals import DiagonalEstimate, diagonal_estimate
from theodolite.linalg.operator import Operator
from theodolite.linalg.probes import signs
from theodolite.testing import oracles

OPERATORS = {
    name: oracles.operator_with_eigenvalues(oracles.spectra(60)[name], seed=2)
    for name in ("distinct", "indefinite", "decaying", "one outlier")
}


@pytest.fixture(scope="module", params=OPERATORS)
def runs(request: pytest.FixtureRequest) -> tuple[torch.Tensor, list[DiagonalEstimate]]:
    operator = OPERATORS[request.param]
    found = [diagonal_estimate(operator, probes=12, seed=s) for s in range(200)]
    return operator.dense().diagonal(), found


def test_intervals_of_the_entries_cover_on_average(
    runs: tuple[torch.Tensor, list[DiagonalEstimate]],
) -> None:
    # Kills: ddof=0, the deviation not divided by the root of the count, the error of the trace
    # spread over the entries.
    exact, found = runs
    quantile = float(student.ppf(0.975, 11))
    covered = [(f.diagonal - exact).abs() <= quantile * f.standard_error for f in found]
    assert 0.90 <= np.mean([c.double().mean() for c in covered]) <= 0.99


def test_entries_are_unbiased(
    runs: tuple[torch.Tensor, list[DiagonalEstimate]],
) -> None:
    # Kills: z times A z divided by anything, A z without z.
    exact, found = runs
    values = torch.stack([f.diagonal for f in found])
    error = values.std(0) / math.sqrt(200)
    bias = (values.mean(0) - exact).abs()
    assert bool((bias <= 4 * error).all())
    assert float((bias <= 2 * error).double().mean()) > 0.8


def test_the_squared_error_is_the_rest_of_the_row_over_the_probes() -> None:
    # Kills: a variance off by any factor. Oracle: the matrix.
    operator = OPERATORS["indefinite"]
    matrix = operator.dense()
    rows = ((matrix**2).sum(1) - matrix.diagonal() ** 2) / 20
    stated = torch.stack(
        [diagonal_estimate(operator, probes=20, seed=s).standard_error ** 2 for s in range(60)]
    ).mean(0)
    np.testing.assert_allclose(stated / rows, 1, atol=4 * (2 / 19 / 60) ** 0.5)


def test_running_sums_are_the_mean_and_deviation_of_the_samples() -> None:
    # Kills: the update of the squares with the old mean twice, probes lost between batches.
    operator = OPERATORS["distinct"]
    found = diagonal_estimate(operator, probes=11, seed=4)
    z = torch.stack([signs(operator, 4, "diagonal", i) for i in range(11)])
    samples = z * (z @ operator.dense())
    np.testing.assert_allclose(found.diagonal, samples.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.standard_error, samples.std(0) / 11**0.5, rtol=1e-10)


def test_a_diagonal_matrix_is_exact_and_so_is_a_small_one() -> None:
    # Kills: an error of rounding, more products than rows.
    entries = torch.arange(1.0, 31.0, dtype=torch.float64)
    found = diagonal_estimate(Operator.from_matrix(torch.diag(entries)), probes=4)
    assert torch.equal(found.diagonal, entries)
    assert not found.standard_error.any()
    operator, made = oracles.counted(OPERATORS["distinct"])
    dense = diagonal_estimate(operator, probes=60)
    assert sum(made) == dense.products == 60
    assert dense.exact
    np.testing.assert_allclose(dense.diagonal, operator.dense().diagonal(), rtol=1e-13)


def test_products_are_counted_and_seeds_used() -> None:
    operator, made = oracles.counted(OPERATORS["distinct"])
    calls: list[tuple[int, int]] = []
    found = diagonal_estimate(
        operator, probes=10, seed=1, progress=lambda *done: calls.append(done)
    )
    assert sum(made) == found.products == 10
    assert calls == [(8, 10), (10, 10)]
    assert torch.equal(found.diagonal, diagonal_estimate(operator, probes=10, seed=1).diagonal)
    assert not torch.equal(found.diagonal, diagonal_estimate(operator, probes=10, seed=2).diagonal)


def test_sums_are_kept_in_float64() -> None:
    operator = oracles.operator_with_eigenvalues(
        oracles.spectra(60)["distinct"], dtype=torch.float32
    )
    found = diagonal_estimate(operator, probes=3)
    assert found.diagonal.dtype == found.standard_error.dtype == torch.float64


def test_too_few_probes_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="probes must be at least 2; got 1"):
        diagonal_estimate(OPERATORS["distinct"], probes=1)
