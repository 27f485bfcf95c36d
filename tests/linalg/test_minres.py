"""MINRES against SciPy step by step, the pseudoinverse, and the Krylov space it minimizes over."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse.linalg
import torch
from torch import Tensor

from theodolite.errors import InvalidArgument, NotFinite
from theodolite.linalg.minres import MinimumResidual, minimum_residual
from theodolite.linalg.operator import Operator
from theodolite.testing import oracles

SIZE = 30
REGULAR = torch.cat([torch.linspace(-2, -0.5, 12), torch.linspace(0.5, 3, 18)]).double()
SINGULAR: dict[str, Tensor] = {
    "indefinite": torch.cat([torch.linspace(-2, 3, 24).double(), torch.zeros(6).double()]),
    "clustered": torch.cat([oracles.spectra(24)["clustered"], torch.zeros(6).double()]),
    "repeated": torch.tensor([5.0] * 4 + [-5.0] * 3 + [1.0] * 3 + [0.0] * 20).double(),
    "rank one": oracles.spectra(SIZE)["rank one"],
    "negative rank one": -oracles.spectra(SIZE)["rank one"],
    "identity": oracles.spectra(SIZE)["identity"],
}


def vector(seed: int = 0, size: int = SIZE) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, generator=generator, dtype=torch.float64)


def pseudoinverse(eigenvalues: Tensor) -> Tensor:
    inverse = torch.where(eigenvalues == 0, 0.0, 1 / eigenvalues)
    return oracles.matrix_with_eigenvalues(inverse)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 15])
def test_iterates_are_those_of_scipy(steps: int) -> None:
    # kills: a rotation with another sign, search vectors of the wrong step, epsilon left out.
    operator, right = oracles.operator_with_eigenvalues(REGULAR), vector()
    found = minimum_residual(operator, right, tolerance=0.0, max_products=steps)
    theirs, _ = scipy.sparse.linalg.minres(
        operator.dense().numpy(), right.numpy(), rtol=0.0, maxiter=steps
    )
    np.testing.assert_allclose(found.solution, theirs, rtol=0, atol=1e-12)
    assert (found.products, found.outcome) == (steps, "stopped")


@pytest.mark.parametrize("steps", [1, 4, 9])
def test_an_iterate_is_the_best_of_its_krylov_space(steps: int) -> None:
    # kills: the same, without SciPy; a residual recurrence that drifts from b - A x.
    operator, right = oracles.operator_with_eigenvalues(REGULAR), vector(1)
    dense = operator.dense()
    space = [right]
    for _ in range(steps - 1):
        space.append(dense @ space[-1])
    basis = torch.linalg.qr(torch.stack(space, 1))[0]
    best = torch.linalg.lstsq(dense @ basis, right[:, None]).solution[:, 0]
    found = minimum_residual(operator, right, tolerance=0.0, max_products=steps)
    np.testing.assert_allclose(found.solution, basis @ best, rtol=0, atol=1e-11)
    np.testing.assert_allclose(found.residual, right - dense @ found.solution, rtol=0, atol=1e-12)
    assert found.residual_norm == pytest.approx(float(found.residual.norm()), rel=1e-10)


def promised(eigenvalues: Tensor, found: MinimumResidual) -> float:
    """The bound of the docstring on the distance from the shortest solution."""
    least = float(eigenvalues[eigenvalues != 0].abs().min())
    left = float((oracles.matrix_with_eigenvalues(eigenvalues) @ found.residual).norm())
    if found.outcome == "solved":
        return float(found.residual.norm()) / least
    return left * (1 / least**2 + float(found.solution.norm()) / (least * found.residual_norm))


@pytest.mark.parametrize("compatible", [True, False])
@pytest.mark.parametrize("name", SINGULAR)
def test_a_singular_system_gets_its_shortest_least_squares_solution(
    name: str, compatible: bool
) -> None:
    # kills: the null part left in, steps that go on in rounding, "solved" without a solution,
    # a step divided by zero.
    eigenvalues = SINGULAR[name]
    operator, right = oracles.operator_with_eigenvalues(eigenvalues), vector(2)
    if compatible:
        right = operator.matvec(right)
    exact = pseudoinverse(eigenvalues) @ right
    found = minimum_residual(operator, right, tolerance=1e-12)
    error, bound = float((found.solution - exact).norm()), promised(eigenvalues, found)
    assert error <= bound + 1e-11 < 1e-4 * float(exact.norm())
    null = right - operator.matvec(exact)
    assert float((found.residual - null).norm()) <= 1e-6 * float(right.norm())
    assert found.products <= SIZE
    consistent = compatible or name == "identity"
    assert found.outcome == ("solved" if consistent else "least squares")


def test_the_iterate_itself_has_a_null_part() -> None:
    # Negative control of the above: without the lift, the solution is not the shortest.
    eigenvalues = SINGULAR["repeated"]
    operator, right = oracles.operator_with_eigenvalues(eigenvalues), vector(2)
    steps = minimum_residual(operator, right, tolerance=1e-12).products - 1
    raw = minimum_residual(operator, right, tolerance=0.0, max_products=steps)
    exact = pseudoinverse(eigenvalues) @ right
    assert raw.outcome == "stopped"
    assert float((raw.solution - exact).norm()) > 0.1
    assert float((raw.residual - (right - operator.matvec(exact))).norm()) < 1e-9


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_the_scale_of_the_matrix_does_not_matter(scale: float) -> None:
    # kills: an absolute test for breakdown or for a null residual.
    operator = oracles.operator_with_eigenvalues(SINGULAR["indefinite"] * scale)
    found = minimum_residual(operator, vector(2), tolerance=1e-12)
    exact = pseudoinverse(SINGULAR["indefinite"]) @ vector(2)
    assert float((found.solution * scale - exact).norm()) < 1e-5 * float(exact.norm())
    assert found.outcome == "least squares"


@pytest.mark.parametrize("right", [vector(), torch.zeros(SIZE, dtype=torch.float64)])
def test_zero_matrix_and_zero_vector(right: Tensor) -> None:
    # kills: a division by the norm of zero.
    operator = oracles.operator_with_eigenvalues(oracles.spectra(SIZE)["zero"])
    found = minimum_residual(operator, right)
    assert float(found.solution.norm()) == 0
    assert torch.equal(found.residual, right)
    assert found.outcome == ("least squares" if bool(right.any()) else "solved")
    assert found.products == int(bool(right.any()))


def test_a_vector_of_the_kernel_is_known_by_the_norm_of_the_operator() -> None:
    # kills: rounding inverted where the Krylov space sees nothing else.
    eigenvalues = SINGULAR["indefinite"]
    operator = oracles.operator_with_eigenvalues(eigenvalues)
    kernel = oracles.orthogonal_matrix(SIZE)[:, -1]
    found = minimum_residual(operator, kernel, operator_norm=3.0)
    assert (found.outcome, found.products) == ("least squares", 1)
    assert float(found.solution.norm()) == 0


def test_residuals_never_grow() -> None:
    # kills: phi multiplied by the cosine.
    operator, right = oracles.operator_with_eigenvalues(SINGULAR["indefinite"]), vector(3)
    norms = [
        minimum_residual(operator, right, tolerance=0.0, max_products=k).residual_norm
        for k in range(1, 20)
    ]
    assert np.all(np.diff([float(right.norm()), *norms]) <= 0)


@pytest.mark.parametrize("steps", [1, 2, 6, 12])
def test_curvature_is_the_lowest_quotient_of_the_residuals(steps: int) -> None:
    # kills: a sign, the wrong residual as direction, the highest quotient for the lowest.
    operator, right = oracles.operator_with_eigenvalues(REGULAR), vector(4)
    dense = operator.dense()
    residuals = [right] + [
        minimum_residual(operator, right, tolerance=0.0, max_products=k).residual
        for k in range(1, steps)
    ]
    quotients = [float(r @ dense @ r / (r @ r)) for r in residuals]
    found = minimum_residual(operator, right, tolerance=0.0, max_products=steps)
    assert found.curvature == pytest.approx(min(quotients), abs=1e-10)
    assert float(found.direction @ dense @ found.direction) == pytest.approx(
        found.curvature, abs=1e-10
    )
    assert float(found.direction.norm()) == pytest.approx(1)


def test_one_negative_eigenvalue_is_noticed_and_none_is_not_invented() -> None:
    # kills: negative curvature reported for a definite matrix, or missed in an indefinite one.
    positive = torch.linspace(0.1, 3, SIZE, dtype=torch.float64)
    hidden = torch.cat([torch.tensor([-0.01]).double(), positive[1:]])
    plain = minimum_residual(oracles.operator_with_eigenvalues(positive), vector(5))
    assert plain.curvature > 0
    assert minimum_residual(oracles.operator_with_eigenvalues(hidden), vector(5)).curvature < 0


def test_it_stops_early_where_asked() -> None:
    # kills: `early` ignored; taken relative to the residual instead of the first product.
    operator, right = oracles.operator_with_eigenvalues(REGULAR), vector(6)
    found = minimum_residual(operator, right, early=0.1)
    dense = operator.dense()
    share = float((dense @ found.residual).norm() / (dense @ right).norm())
    before = minimum_residual(operator, right, tolerance=0.0, max_products=found.products - 2)
    assert found.outcome == "early"
    assert share <= 0.1 < float((dense @ before.residual).norm() / (dense @ right).norm())


def test_float32_products_give_float32_solutions() -> None:
    operator = oracles.operator_with_eigenvalues(REGULAR, dtype=torch.float32)
    found = minimum_residual(operator, vector(7).float(), tolerance=1e-5)
    exact = torch.linalg.solve(oracles.matrix_with_eigenvalues(REGULAR), vector(7))
    assert found.solution.dtype == torch.float32
    np.testing.assert_allclose(found.solution, exact, rtol=0, atol=1e-3)


def test_the_cost_is_one_product_a_step() -> None:
    operator, made = oracles.counted(oracles.operator_with_eigenvalues(REGULAR))
    found = minimum_residual(operator, vector(8))
    assert found.products == sum(made)
    assert not math.isnan(found.curvature)


def test_what_it_refuses() -> None:
    operator = oracles.operator_with_eigenvalues(REGULAR)
    with pytest.raises(InvalidArgument, match=r"right must have shape \(30,\); got \(29,\)"):
        minimum_residual(operator, vector(size=29))
    with pytest.raises(InvalidArgument, match="right must be finite"):
        minimum_residual(operator, vector() / 0)
    wrong: tuple[Callable[[], object], ...] = (
        lambda: minimum_residual(operator, vector(), tolerance=1.0),
        lambda: minimum_residual(operator, vector(), early=-0.1),
        lambda: minimum_residual(operator, vector(), operator_norm=math.inf),
        lambda: minimum_residual(operator, vector(), max_products=0),
    )
    for call in wrong:
        with pytest.raises(InvalidArgument, match="must be at least 0 and below 1") as caught:
            call()
        assert caught.value.code == "E-K23"


def test_an_asymmetric_or_infinite_product_is_refused() -> None:
    # kills: the check of neighbors in the recurrence removed.
    lopsided = oracles.matrix_with_eigenvalues(REGULAR) + torch.triu(torch.ones(SIZE, SIZE), 1)
    operator = Operator(lambda v: lopsided @ v, SIZE, torch.float64, "lopsided")
    with pytest.raises(InvalidArgument, match="'lopsided' must be symmetric"):
        minimum_residual(operator, vector())
    with pytest.raises(NotFinite, match="product 1"):
        minimum_residual(Operator(lambda v: v / 0, SIZE, torch.float64, "broken"), vector())
