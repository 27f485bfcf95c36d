"""The checks on every product, and sums that do not lose digits."""

from __future__ import annotations

import pytest
import torch

from theodolite.errors import InvalidArgument, NotFinite
from theodolite.linalg.lanczos import tridiagonalize
from theodolite.linalg.operator import Operator
from theodolite.linalg.products import inner, norm, product, working_dtype
from theodolite.testing import oracles


def test_sums_over_a_float32_vector_are_accumulated_in_float64() -> None:
    # Kills: float32 accumulation, which ends at 16777216 when ones follow it.
    vector = torch.ones(65, dtype=torch.float32)
    vector[0] = 2.0**12
    assert inner(vector, vector) == 2.0**24 + 64
    assert norm(vector) == pytest.approx((2.0**24 + 64) ** 0.5, rel=1e-15)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_product_that_is_not_finite_is_refused_with_its_number(bad: float) -> None:
    # Kills: the check removed (Lanczos would return NaN), the step counted from zero.
    good, made = oracles.counted(oracles.operator_with_eigenvalues(torch.linspace(1, 5, 8)))

    def matvec(v: torch.Tensor) -> torch.Tensor:
        image = good.matvec(v)
        if len(made) == 3:
            image = image.clone()
            image[5] = bad
        return image

    operator = Operator(matvec, 8, torch.float64, "breaks down")
    with pytest.raises(NotFinite, match=r"product 3 of 'breaks down' is not finite in 1 of 8"):
        tridiagonalize(operator, torch.arange(1.0, 9.0, dtype=torch.float64), steps=8)


def test_a_product_of_another_shape_is_refused() -> None:
    # Kills: silent broadcasting of a scalar.
    operator = Operator(lambda v: v.sum(), 3, torch.float64, "scalar")
    with pytest.raises(InvalidArgument, match=r"must have shape \(3,\); got \(\)"):
        product(operator, torch.ones(3, dtype=torch.float64), step=1)


def test_products_do_not_carry_a_graph() -> None:
    # Kills: detach removed: a Krylov basis would keep every graph alive.
    weight = torch.ones(3, dtype=torch.float64, requires_grad=True)
    operator = Operator(lambda v: weight * v, 3, torch.float64, "weight")
    assert not product(operator, torch.ones(3, dtype=torch.float64), step=1).requires_grad


def test_half_precision_operators_get_their_own_dtype_and_float32_vectors() -> None:
    # Kills: a basis kept in bfloat16, a vector handed over in float32.
    seen = []

    def matvec(v: torch.Tensor) -> torch.Tensor:
        seen.append(v.dtype)
        return 2 * v

    operator = Operator(matvec, 3, torch.bfloat16, "half")
    assert working_dtype(operator) == torch.float32
    image = product(operator, torch.ones(3, dtype=torch.float32), step=1)
    assert (seen, image.dtype) == ([torch.bfloat16], torch.float32)
