"""Operators against the matrices they stand for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from theodolite.errors import InvalidArgument, NotFinite
from theodolite.linalg.operator import Operator
from theodolite.testing import oracles

SYMMETRIC = oracles.matrix_with_eigenvalues(torch.linspace(-2, 3, 7))


def by_columns_only() -> Operator:
    """An operator that knows products with single vectors only."""
    return Operator(lambda v: SYMMETRIC @ v, 7, torch.float64, "columns")


@pytest.mark.parametrize("operator", [Operator.from_matrix(SYMMETRIC), by_columns_only()])
def test_dense_gives_the_matrix_back(operator: Operator) -> None:
    # Kills: columns stacked as rows, a wrong column order.
    assert torch.allclose(operator.dense(), SYMMETRIC, rtol=0, atol=1e-15)


def test_products_with_many_columns_keep_their_order() -> None:
    # Kills: stacking along the wrong dimension, which a symmetric `dense` cannot show.
    columns = torch.randn(7, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    operator = by_columns_only()
    assert operator.matmat is not None
    assert torch.allclose(operator.matmat(columns), SYMMETRIC @ columns, rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_scipy_sees_the_same_map(dtype: torch.dtype) -> None:
    # Kills: a dtype NumPy does not have, columns flattened, a missing adjoint.
    operator = Operator.from_matrix(SYMMETRIC.to(dtype))
    there = operator.to_scipy()
    held = SYMMETRIC.to(dtype).double().numpy()
    allowed = 4 * float(torch.finfo(dtype).eps)
    for result in (there @ np.eye(7), there.T @ np.eye(7)):
        np.testing.assert_allclose(np.asarray(result, np.float64), held, rtol=0, atol=allowed)
    column = np.arange(7.0)[:, None]
    assert (there @ column).shape == (7, 1)
    assert (there @ column[:, 0]).shape == (7,)


def test_a_nearly_symmetric_matrix_is_taken_and_others_are_refused() -> None:
    # Kills: the symmetry check removed, or made absolute.
    tilt = torch.zeros(7, 7, dtype=torch.float64)
    tilt[0, 1] = 1.0
    Operator.from_matrix(1e-9 * (SYMMETRIC + 1e-7 * tilt))
    with pytest.raises(InvalidArgument, match=r"matrix must be symmetric; \|A - A'\| reaches"):
        Operator.from_matrix(1e-9 * (SYMMETRIC + 1e-2 * tilt))


def test_impossible_operators_are_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match="size must be at least 1; got 0"):
        Operator(lambda v: v, 0, torch.float64, "empty")
    with pytest.raises(InvalidArgument, match=r"dtype must be .* floating-point type; got torch.i"):
        Operator(lambda v: v, 3, torch.int64, "integers")
    with pytest.raises(InvalidArgument, match=r"matrix must be square; got shape \(2, 3\)"):
        Operator.from_matrix(torch.ones(2, 3))
    with pytest.raises(NotFinite, match="not finite in 1 of 4 entries"):
        Operator.from_matrix(torch.tensor([[1.0, 0.0], [0.0, float("nan")]]))
