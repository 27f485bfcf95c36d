"""XTrace against its definition, one QR factorization a sample, and against known traces."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from theodolite.errors import InvalidArgument
from theodolite.linalg.exchangeable import _pairs, _parts, _samples, xtrace
from theodolite.linalg.operator import Operator
from theodolite.linalg.sketch import Tally, probe_columns
from theodolite.testing import oracles

SPECTRA = oracles.spectra(40)
MATRICES = ["distinct", "one outlier", "indefinite", "decaying", "threefold bottom"]


def by_definition(
    matrix: np.ndarray, omega: np.ndarray, sample: int, *without: int, resphered: bool = False
) -> float:
    """Sample `sample` from a basis of the images of all vectors but itself and `without`."""
    size, count = omega.shape
    others = [j for j in range(count) if j != sample and j not in without]
    q = np.linalg.qr(matrix @ omega[:, others])[0]
    rest = omega[:, sample] - q @ (q.T @ omega[:, sample])
    scale = (size - len(others)) / float(rest @ rest) if resphered else 1.0
    return float(np.trace(q.T @ matrix @ q) + scale * (rest @ matrix @ rest))


@pytest.mark.parametrize("resphered", [False, True])
@pytest.mark.parametrize("name", MATRICES)
def test_samples_and_pairs_are_those_of_the_definition(name: str, resphered: bool) -> None:
    # Kills: the rank-one change of the basis (the wrong column, not normalized, not removed from
    # the trace), half of the cross term, a sign in the pairs, the norm or the rank of the rest.
    operator = oracles.operator_with_eigenvalues(SPECTRA[name], seed=3)
    matrix = operator.dense().numpy()
    omega = probe_columns(operator, 5, "trace", 6, spherical=resphered).numpy()
    parts = _parts(operator, 5, "trace", 6, resphered, Tally(12))
    one = [by_definition(matrix, omega, j, resphered=resphered) for j in range(6)]
    scale = np.abs(matrix).sum()
    np.testing.assert_allclose(_samples(parts), one, rtol=0, atol=1e-11 * scale)
    two = _pairs(parts)
    for i in range(6):
        for j in range(6):
            if i != j:
                exact = by_definition(matrix, omega, j, i, resphered=resphered)
                assert two[i, j] == pytest.approx(exact, abs=1e-11 * scale)


def test_a_matrix_that_is_not_symmetric_has_its_trace_too() -> None:
    # Kills: Q'A Omega taken for Q'A' Omega, which is the same for symmetric matrices only.
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(40, 40, generator=generator, dtype=torch.float64)
    operator = Operator(lambda v: matrix @ v, 40, torch.float64, "not symmetric")
    omega = probe_columns(operator, 0, "trace", 5).numpy()
    exact = [by_definition(matrix.numpy(), omega, j) for j in range(5)]
    np.testing.assert_allclose(xtrace(operator, probes=5).samples, exact, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["rank one", "zero"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_rank_below_the_probes_is_exact(name: str, dtype: torch.dtype) -> None:
    # Kills: a division by the zero diagonal of R; a left-out vector removed although the others
    # span its image.
    operator = oracles.operator_with_eigenvalues(SPECTRA[name], seed=2, dtype=dtype)
    estimate = xtrace(operator, probes=5, seed=1)
    rounding = 50 * float(torch.finfo(dtype).eps)
    assert estimate.trace == pytest.approx(float(SPECTRA[name].sum()), abs=7 * rounding)
    assert estimate.standard_error <= 7 * rounding
    assert estimate.products == 10


def test_rank_one_less_than_the_probes_has_no_error() -> None:
    # Kills: vectors removed from the basis although the others span their images. Leaving two
    # vectors out loses a dimension here, and leaving one out does not.
    eigenvalues = torch.cat([torch.linspace(1, 2, 7), torch.zeros(33)]).to(torch.float64)
    operator = oracles.operator_with_eigenvalues(eigenvalues)
    estimate = xtrace(operator, probes=8)
    assert estimate.trace == pytest.approx(10.5, abs=1e-12)
    assert estimate.standard_error < 1e-12


def test_a_small_operator_is_multiplied_by_unit_vectors() -> None:
    # Kills: more test vectors than rows, more products than rows.
    operator, made = oracles.counted(oracles.operator_with_eigenvalues(SPECTRA["indefinite"]))
    calls: list[tuple[int, int]] = []
    estimate = xtrace(operator, probes=20, progress=lambda *done: calls.append(done))
    assert sum(made) == estimate.products == 40
    assert estimate.exact
    assert estimate.standard_error == 0
    assert estimate.trace == pytest.approx(float(SPECTRA["indefinite"].sum()), rel=1e-12)
    assert len(estimate.samples) == 20
    assert calls[-1] == (40, 40)


def test_resphering_is_exact_for_a_multiple_of_the_identity() -> None:
    # Kills: the rank of the basis off by one. Negative control: signs alone are not exact.
    operator = oracles.operator_with_eigenvalues(SPECTRA["identity"])
    estimate = xtrace(operator, probes=6, resphered=True)
    assert estimate.trace == pytest.approx(40, rel=1e-12)
    assert estimate.standard_error < 1e-11
    assert xtrace(operator, probes=6).standard_error > 0.1


def test_products_are_counted_and_told() -> None:
    operator, made = oracles.counted(oracles.operator_with_eigenvalues(SPECTRA["distinct"]))
    calls: list[tuple[int, int]] = []
    estimate = xtrace(operator, probes=9, progress=lambda *done: calls.append(done))
    assert sum(made) == estimate.products == 18
    assert calls[-1] == (18, 18)
    assert [done for done, _ in calls] == sorted({done for done, _ in calls})


def test_seeds_and_streams_decide_the_probes() -> None:
    # Kills: a seed or stream that is not used.
    operator = oracles.operator_with_eigenvalues(SPECTRA["distinct"])
    one = xtrace(operator, probes=5, seed=1)
    np.testing.assert_array_equal(one.samples, xtrace(operator, probes=5, seed=1).samples)
    other_stream = xtrace(operator, probes=5, seed=1, stream="b")
    for other in (xtrace(operator, probes=5, seed=2), other_stream):
        assert not np.isclose(one.samples, other.samples).any()


def test_too_few_probes_are_refused() -> None:
    operator = oracles.operator_with_eigenvalues(SPECTRA["distinct"])
    with pytest.raises(InvalidArgument, match="probes must be at least 2; got 1"):
        xtrace(operator, probes=1)
