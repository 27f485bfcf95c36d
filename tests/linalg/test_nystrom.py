"""XNysTrace against its definition, one approximation a sample, and against known traces."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from theodolite.errors import InvalidArgument
from theodolite.linalg.nystrom import _pairs, _parts, _samples, xnystrace
from theodolite.linalg.operator import Operator
from theodolite.linalg.sketch import probe_columns
from theodolite.testing import oracles

SPECTRA = oracles.spectra(40)
MATRICES = ["distinct", "one outlier", "decaying", "identity"]


def by_definition(
    matrix: np.ndarray, omega: np.ndarray, sample: int, *without: int, resphered: bool = False
) -> float:
    """Sample `sample` by the approximation from all vectors but itself and `without`."""
    size, count = omega.shape
    others = omega[:, [j for j in range(count) if j != sample and j not in without]]
    half = matrix @ others
    nystrom = half @ np.linalg.solve(others.T @ half, half.T)
    mine = omega[:, sample]
    q = np.linalg.qr(others)[0]
    free = mine - q @ (q.T @ mine)
    scale = (size - q.shape[1]) / float(free @ free) if resphered else 1.0
    return float(np.trace(nystrom) + scale * (mine @ (matrix - nystrom) @ mine))


@pytest.mark.parametrize("resphered", [False, True])
@pytest.mark.parametrize("name", MATRICES)
def test_samples_and_pairs_are_those_of_the_definition(name: str, resphered: bool) -> None:
    # Kills: the shift not subtracted, a wrong Schur complement, what a vector explains not
    # divided by its own diagonal, indices of the pairs exchanged, the dimension of the rest.
    operator = oracles.operator_with_eigenvalues(SPECTRA[name], seed=3)
    matrix = operator.dense().numpy()
    omega = probe_columns(operator, 5, "trace", 6, spherical=resphered)
    parts = _parts(operator, omega, operator.dense() @ omega, resphered)
    vectors = omega.numpy()
    one = [by_definition(matrix, vectors, j, resphered=resphered) for j in range(6)]
    scale = np.abs(matrix).sum()
    np.testing.assert_allclose(_samples(parts), one, rtol=0, atol=1e-10 * scale)
    two = _pairs(parts)
    for i in range(6):
        for j in range(6):
            if i != j:
                exact = by_definition(matrix, vectors, j, i, resphered=resphered)
                assert two[i, j] == pytest.approx(exact, abs=1e-10 * scale)


@pytest.mark.parametrize("name", ["rank one", "zero"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_rank_below_the_probes_is_exact(name: str, dtype: torch.dtype) -> None:
    # Kills: a shift not subtracted; the zero operator not caught (a shift of zero never helps).
    operator = oracles.operator_with_eigenvalues(SPECTRA[name], seed=2, dtype=dtype)
    estimate = xnystrace(operator, probes=5, seed=1)
    rounding = 200 * float(torch.finfo(dtype).eps)
    assert estimate.trace == pytest.approx(float(SPECTRA[name].sum()), abs=7 * rounding)
    assert estimate.standard_error <= 7 * rounding
    assert estimate.products == 5


def test_single_precision_gives_the_answer_of_double() -> None:
    # Kills: a shift far above the rounding of the products.
    for name in ("distinct", "decaying", "one outlier"):
        wide, narrow = (
            xnystrace(oracles.operator_with_eigenvalues(SPECTRA[name], dtype=d), probes=12)
            for d in (torch.float64, torch.float32)
        )
        assert narrow.trace == pytest.approx(wide.trace, rel=2e-5)
        assert narrow.samples.dtype == np.float64


def test_rank_one_less_than_the_probes_has_no_error() -> None:
    # Kills: the covariance not bounded by the variance of one sample.
    eigenvalues = torch.cat([torch.linspace(1, 2, 7), torch.zeros(33)]).to(torch.float64)
    estimate = xnystrace(oracles.operator_with_eigenvalues(eigenvalues), probes=8)
    assert estimate.trace == pytest.approx(10.5, abs=1e-9)
    assert estimate.standard_error < 1e-9


def test_equal_test_vectors_do_no_harm() -> None:
    # Kills: the ridge, without which the form is singular whatever the shift: no end.
    # Of eight sign vectors in five dimensions, two are often equal up to sign.
    operator = oracles.operator_with_eigenvalues(torch.linspace(1, 2, 5, dtype=torch.float64))
    found = [xnystrace(operator, probes=4, seed=s).trace for s in range(200)]
    assert np.isfinite(found).all()
    assert abs(np.mean(found) - 7.5) <= 4 * np.std(found, ddof=1) / 200**0.5


def test_a_small_operator_is_multiplied_by_unit_vectors() -> None:
    # Kills: more test vectors than rows.
    operator, made = oracles.counted(oracles.operator_with_eigenvalues(SPECTRA["distinct"]))
    estimate = xnystrace(operator, probes=40)
    assert sum(made) == estimate.products == 40
    assert estimate.exact
    assert estimate.standard_error == 0
    assert estimate.trace == pytest.approx(120, rel=1e-12)


def test_resphering_is_exact_for_a_multiple_of_the_identity() -> None:
    # Kills: the dimension of the rest off by one. Negative control: signs alone are not exact.
    operator = oracles.operator_with_eigenvalues(SPECTRA["identity"])
    estimate = xnystrace(operator, probes=6, resphered=True)
    assert estimate.trace == pytest.approx(40, rel=1e-9)
    assert estimate.standard_error < 1e-9
    assert xnystrace(operator, probes=6).standard_error > 0.1


@pytest.mark.parametrize("name", ["indefinite", "negative", "threefold bottom"])
def test_an_indefinite_operator_is_refused(name: str) -> None:
    # Kills: the check left out, or made of the diagonal of the form only.
    operator = oracles.operator_with_eigenvalues(SPECTRA[name])
    with pytest.raises(InvalidArgument, match="must be positive semidefinite for xnystrace"):
        xnystrace(operator, probes=12)


def test_rounding_below_zero_is_not_refused() -> None:
    # Kills: a check without slack, where a Gauss-Newton matrix in float32 has such eigenvalues;
    # a shift that is not subtracted again (here it must grow to about 1e-5).
    eigenvalues = torch.cat([torch.ones(5), -1e-5 * torch.ones(35)]).to(torch.float64)
    operator = oracles.operator_with_eigenvalues(eigenvalues)
    found = [xnystrace(operator, probes=12, seed=s) for s in range(20)]
    errors = np.array([e.trace - float(eigenvalues.sum()) for e in found])
    assert abs(errors.mean()) <= 4 * errors.std(ddof=1) / 20**0.5
    assert np.abs(errors).max() < 1e-3


def test_products_and_seeds() -> None:
    # Kills: a seed or stream that is not used, products counted twice.
    operator, made = oracles.counted(oracles.operator_with_eigenvalues(SPECTRA["distinct"]))
    calls: list[tuple[int, int]] = []
    one = xnystrace(operator, probes=9, seed=1, progress=lambda *done: calls.append(done))
    assert sum(made) == one.products == 9
    assert calls[-1] == (9, 9)
    np.testing.assert_array_equal(one.samples, xnystrace(operator, probes=9, seed=1).samples)
    other_stream = xnystrace(operator, probes=9, seed=1, stream="b")
    for other in (xnystrace(operator, probes=9, seed=2), other_stream):
        assert not np.isclose(one.samples, other.samples).any()


def test_too_few_probes_are_refused() -> None:
    operator = Operator.from_matrix(torch.eye(4))
    with pytest.raises(InvalidArgument, match="probes must be at least 2; got 1"):
        xnystrace(operator, probes=1)
