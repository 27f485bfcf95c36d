"""Gradient-flatness against matrices whose range and kernel were chosen."""

from __future__ import annotations

import math

import pytest
import torch

from theodolite.curvature.gradient_flatness import gradient_flatness
from theodolite.testing import oracles

SPECTRUM = torch.cat([torch.linspace(-2, 3, 20).double(), torch.zeros(10).double()])
BASIS = oracles.orthogonal_matrix(30)
OPERATOR = oracles.operator_with_eigenvalues(SPECTRUM)
THETA = torch.ones(30, dtype=torch.float64)


def in_range(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return BASIS[:, :20] @ torch.randn(20, generator=generator, dtype=torch.float64)


def in_kernel(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return BASIS[:, 20:] @ torch.randn(10, generator=generator, dtype=torch.float64)


def test_a_gradient_in_the_range_is_not_flat() -> None:
    # kills: residuals of the gradient itself, a solver that gives up on negative eigenvalues.
    found = gradient_flatness(OPERATOR, 1e-6 * in_range(), THETA)
    assert found.residual_share < 1e-7
    assert found.relative_residual < 1e-7
    assert (found.flat, found.solved, found.vanishes) == (False, True, False)
    assert found.reason == ""


def test_a_gradient_in_the_kernel_is_flat() -> None:
    # kills: the test turned around.
    found = gradient_flatness(OPERATOR, 1e-6 * in_kernel(), THETA)
    assert found.residual_share == pytest.approx(1)
    assert found.relative_residual == pytest.approx(1)
    assert found.flat
    assert found.reason.startswith("the gradient is flat: the Newton system leaves 1 of it")


@pytest.mark.parametrize("share", [0.5, 0.85, 0.95])
def test_a_mixed_gradient_has_both_residuals_of_their_definitions(share: float) -> None:
    # kills: the spectral for the Frobenius norm, a root, the length of p left out, another limit.
    kernel, image = (v / v.norm() for v in (in_kernel(1), in_range(1)))
    gradient = share * kernel + math.sqrt(1 - share**2) * image
    found = gradient_flatness(OPERATOR, gradient, THETA)
    p = torch.linalg.pinv(OPERATOR.dense(), rtol=1e-10) @ -gradient
    left = float((OPERATOR.dense() @ p + gradient).norm())
    frobenius = float(SPECTRUM.norm())
    assert found.residual_share == pytest.approx(share, rel=1e-6)
    assert found.relative_residual == pytest.approx(
        left / (frobenius * float(p.norm()) + 1), rel=1e-6
    )
    assert found.flat == (share > 0.9)


def test_a_gradient_of_rounding_is_not_judged() -> None:
    # kills: a direction that is noise called flat. Negative control: it is, above rounding.
    tiny = 1e-16 * in_kernel()
    found = gradient_flatness(OPERATOR, tiny, THETA)
    assert found.vanishes
    assert math.isnan(found.relative_residual)
    assert not found.flat
    assert gradient_flatness(OPERATOR, 1e4 * tiny, THETA).flat
    assert gradient_flatness(OPERATOR, torch.zeros(30).double(), 0 * THETA).vanishes


def test_a_zero_hessian_makes_any_gradient_flat() -> None:
    # kills: a division by the norm of the Hessian.
    zero = oracles.operator_with_eigenvalues(torch.zeros(30))
    assert gradient_flatness(zero, in_kernel(), THETA).relative_residual == 1


def test_products_are_counted() -> None:
    operator, made = oracles.counted(OPERATOR)
    found = gradient_flatness(operator, in_range(), THETA)
    assert found.products == sum(made)
