"""Gram-Schmidt against its definition, on vectors chosen to make one pass fail."""

from __future__ import annotations

import pytest
import torch

from theodolite.linalg.orthogonal import orthogonalize
from theodolite.testing import oracles


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_vector_almost_inside_the_span_leaves_an_orthogonal_remainder(
    dtype: torch.dtype,
) -> None:
    # Kills: one pass instead of two (the remainder is then inside the span by 1e-6 of it).
    eps = float(torch.finfo(dtype).eps)
    q = oracles.orthogonal_matrix(60, seed=1).to(dtype)
    rows, outside = q[:40], q[40]
    vector = rows.sum(0) * 100 + outside * 1e3 * eps**0.5
    rest, _ = orthogonalize(rows, vector)
    assert float((rows @ rest).norm() / rest.norm()) < 20 * eps


def test_remainder_and_coefficients_put_the_vector_together_again() -> None:
    # Kills: coefficients of the second pass dropped or subtracted.
    q = oracles.orthogonal_matrix(30, seed=2).to(torch.float32)
    rows = q[:10]
    vector = torch.randn(30, generator=torch.Generator().manual_seed(3))
    before = vector.clone()
    rest, inside = orthogonalize(rows, vector)
    assert inside.dtype == torch.float64
    exact = rows.double() @ vector.double()
    assert float((inside - exact).abs().max()) < 3e-7
    assert float((rest.double() + rows.double().T @ inside - vector.double()).abs().max()) < 5e-7
    assert torch.equal(vector, before)


def test_against_no_rows_everything_remains() -> None:
    vector = torch.tensor([3.0, 4.0])
    rest, inside = orthogonalize(torch.empty(0, 2), vector)
    assert torch.equal(rest, vector)
    assert inside.shape == (0,)
