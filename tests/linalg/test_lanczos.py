"""Lanczos against the identity that defines it, on matrices whose spectrum was chosen."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from theodolite.errors import InvalidArgument
from theodolite.linalg.lanczos import Tridiagonalization, tridiagonalize
from theodolite.linalg.operator import Operator
from theodolite.testing import oracles

SPECTRA = oracles.spectra(30)
DISTINCT = {"one outlier": 2, "rank one": 2, "zero": 1, "identity": 1, "distinct": 30}


def start(size: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, generator=generator, dtype=torch.float64).to(dtype)


def matrix(section: Tridiagonalization) -> Tensor:
    off = section.off_diagonal
    return torch.diag(section.diagonal) + torch.diag(off, 1) + torch.diag(off, -1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("steps", [1, 7, 30])
@pytest.mark.parametrize("eigenvalues", SPECTRA.values(), ids=SPECTRA.keys())
def test_products_of_the_rows_are_combinations_of_neighbors(
    eigenvalues: Tensor, steps: int, dtype: torch.dtype
) -> None:
    # Kills: a wrong recurrence, an unnormalized start, a residual of the wrong step, a norm taken
    # before orthogonalization, float32 coefficients returned for float32 operators.
    operator = oracles.operator_with_eigenvalues(eigenvalues, dtype=dtype)
    section = tridiagonalize(operator, 5 * start(30, dtype), steps=steps)
    rows, k = section.basis.double(), len(section.basis)
    identity = torch.eye(k, dtype=torch.float64)
    products = rows @ operator.dense().double()
    last = identity[-1][:, None] * section.residual.double()
    allowed = 50 * float(torch.finfo(dtype).eps) * max(float(eigenvalues.abs().max()), 1e-300)
    assert float((products - matrix(section) @ rows - last).abs().max()) <= allowed
    assert float((rows @ rows.T - identity).abs().max()) <= 50 * float(torch.finfo(dtype).eps)
    assert section.residual_norm == pytest.approx(float(section.residual.double().norm()))
    assert section.diagonal.dtype == section.off_diagonal.dtype == torch.float64
    assert section.basis.dtype == dtype


def test_float32_rows_stay_orthogonal_for_100_steps_with_converged_outliers() -> None:
    # Kills: reorthogonalization removed; orthogonalizing against the last two rows only.
    bulk = torch.linspace(0, 1, 295, dtype=torch.float64)
    outliers = torch.tensor([100.0, 80.0, 60.0, 50.0, 40.0], dtype=torch.float64)
    operator = oracles.operator_with_eigenvalues(torch.cat([outliers, bulk]), dtype=torch.float32)
    section = tridiagonalize(operator, start(300, torch.float32), steps=100)
    rows = section.basis.double()
    assert len(rows) == 100
    assert float((rows @ rows.T - torch.eye(100)).abs().max()) < 1e-5
    found = torch.linalg.eigvalsh(matrix(section))
    assert torch.allclose(found[-5:], outliers.flip(0), rtol=0, atol=1e-3)
    assert int((found > 2).sum()) == 5


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize(("name", "distinct"), DISTINCT.items())
def test_it_stops_at_an_invariant_subspace_whatever_the_scale(
    name: str, distinct: int, scale: float
) -> None:
    # Kills: an absolute breakdown test; no breakdown test (30 rows of noise for the identity).
    operator = oracles.operator_with_eigenvalues(SPECTRA[name] * scale)
    section = tridiagonalize(operator, start(30), steps=30)
    assert (len(section.diagonal), section.products) == (distinct, distinct)
    assert section.invariant
    found = torch.linalg.eigvalsh(matrix(section))
    exact = SPECTRA[name].unique() * scale
    assert torch.allclose(found, exact, rtol=0, atol=1e-12 * float(exact.abs().max()))


def test_a_space_that_is_not_exhausted_is_not_called_invariant() -> None:
    operator = oracles.operator_with_eigenvalues(SPECTRA["distinct"])
    assert not tridiagonalize(operator, start(30), steps=5).invariant


def test_a_single_dimension() -> None:
    operator = Operator.from_matrix(torch.tensor([[-3.0]], dtype=torch.float64))
    section = tridiagonalize(operator, torch.tensor([2.0], dtype=torch.float64), steps=1)
    assert section.diagonal.tolist() == [-3.0]
    assert section.off_diagonal.shape == (0,)
    assert section.invariant


def test_the_start_is_left_alone_and_its_length_does_not_matter() -> None:
    # Kills: normalizing in place, an unnormalized first row.
    operator = oracles.operator_with_eigenvalues(SPECTRA["indefinite"])
    vector = start(30)
    before = vector.clone()
    one = tridiagonalize(operator, vector, steps=6)
    other = tridiagonalize(operator, 4 * vector, steps=6)
    assert torch.equal(vector, before)
    assert torch.equal(one.diagonal, other.diagonal)


@pytest.mark.parametrize("steps", [0, -1, 31])
def test_impossible_step_counts_are_refused_by_name(steps: int) -> None:
    operator = oracles.operator_with_eigenvalues(SPECTRA["distinct"])
    with pytest.raises(InvalidArgument, match=rf"steps must lie between .* size 30; got {steps}\."):
        tridiagonalize(operator, start(30), steps=steps)


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        (torch.zeros(30), "start must be finite and not zero; its norm is 0"),
        (torch.full((30,), float("nan")), "start must be finite and not zero; its norm is nan"),
        (torch.ones(29), r"start must have shape \(30,\); got \(29,\)"),
    ],
)
def test_useless_starts_are_refused_by_name(vector: Tensor, message: str) -> None:
    operator = oracles.operator_with_eigenvalues(SPECTRA["distinct"])
    with pytest.raises(InvalidArgument, match=message):
        tridiagonalize(operator, vector, steps=3)
