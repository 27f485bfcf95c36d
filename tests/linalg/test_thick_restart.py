"""Extreme eigenpairs against dense solvers, and what they may cost."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from theodolite.errors import InvalidArgument, NotConverged, NotFinite
from theodolite.linalg import thick_restart
from theodolite.linalg.operator import Operator
from theodolite.linalg.thick_restart import RitzPairs, ritz_pairs
from theodolite.testing import oracles

SPECTRA = oracles.spectra(60)
BASIS = dict.fromkeys(SPECTRA, 30) | {"decaying": 60}
"""Half the size, so that restarts happen; values that crowd at 1e-6 of the largest need it all."""

ENDS = ("largest", "smallest", "both", "magnitude")


def wanted(values: Tensor, which: str, count: int) -> Tensor:
    """What a dense solver and a sort say, in descending order."""
    up = values.sort().values
    if which == "largest":
        chosen = up[-count:]
    elif which == "smallest":
        chosen = up[:count]
    elif which == "both":
        chosen = torch.cat([up[: count // 2], up[len(up) - (count - count // 2) :]])
    else:
        chosen = up[up.abs().argsort()[-count:]]
    return chosen.sort(descending=True).values


def true_residuals(operator: Operator, pairs: RitzPairs) -> Tensor:
    vectors = pairs.vectors.double()
    return (vectors @ operator.dense().double() - pairs.values[:, None] * vectors).norm(dim=1)


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("which", ENDS)
@pytest.mark.parametrize("name", SPECTRA)
def test_pairs_agree_with_a_dense_solver(name: str, which: str, count: int) -> None:
    # Kills: the sign of `which`, ghosts, copies left out, values in a wrong order, vectors that
    # belong to other values, restarts that lose what they keep.
    for dtype in (torch.float64, torch.float32):
        operator = oracles.operator_with_eigenvalues(SPECTRA[name], seed=3, dtype=dtype)
        dense = torch.linalg.eigvalsh(operator.dense().double())
        eps = float(torch.finfo(dtype).eps)
        scale = max(float(dense.abs().max()), 1e-300)
        pairs = ritz_pairs(operator, count=count, which=which, tolerance=0.0, basis=BASIS[name])
        exact = wanted(dense, which, count)
        assert pairs.converged
        assert float((pairs.values - exact).abs().max()) <= 3000 * eps * scale
        assert bool((pairs.values.diff() <= 0).all())
        gram = pairs.vectors.double() @ pairs.vectors.double().T
        assert float((gram - torch.eye(count)).abs().max()) <= 1000 * eps
        true = true_residuals(operator, pairs)
        assert bool((true <= 2 * pairs.residuals + 1e-300).all())


@pytest.mark.parametrize("which", ENDS)
def test_the_residual_reported_is_the_residual(which: str) -> None:
    # Kills: residuals of other pairs, of the squared operator, before normalization.
    operator = oracles.operator_with_eigenvalues(torch.linspace(-2, 3, 300), seed=1)
    pairs = ritz_pairs(operator, count=5, which=which, tolerance=1e-2, basis=30)
    true = true_residuals(operator, pairs)
    assert torch.allclose(pairs.residuals, true, rtol=1e-6, atol=1e-12)
    assert float(true.max()) <= 1e-2 * 3
    assert float(true.max()) > 1e-6


@pytest.mark.parametrize("which", ["largest", "magnitude"])
def test_ten_eigenvalues_of_a_trained_network_cost_30_to_40_products(which: str) -> None:
    # Kills: restarting from nothing, a block where one vector will do, products hidden from the
    # count, a residual demanded that nobody asked for. Power iteration with deflation needs
    # about 360, and unrestarted Lanczos that is told when to stop about 26.
    spectrum = oracles.trained_network_spectrum(1930)
    diagonal = Operator(lambda v: spectrum * v, 1930, torch.float64, "trained network")
    exact = spectrum.sort(descending=True).values[:10]
    for seed in range(5):
        operator, made = oracles.counted(diagonal)
        pairs = ritz_pairs(operator, count=10, which=which, tolerance=1e-4, seed=seed)
        assert pairs.products == sum(made)
        assert 25 <= pairs.products <= 40
        assert float((pairs.values / exact - 1).abs().max()) < 1e-4
        assert pairs.miss_probability <= 1e-3


def test_a_dense_matrix_costs_the_same_as_a_diagonal_one() -> None:
    # Kills: anything that profits from coordinates. Products depend on the spectrum alone.
    spectrum = oracles.trained_network_spectrum(400)
    costs = []
    for operator in (
        Operator(lambda v: spectrum * v, 400, torch.float64, "diagonal"),
        oracles.operator_with_eigenvalues(spectrum),
    ):
        costs.append(np.mean([ritz_pairs(operator, count=5, seed=s).products for s in range(6)]))
    assert abs(costs[0] - costs[1]) <= 3


def test_converged_float32_outliers_have_no_ghosts() -> None:
    # Kills: lost orthogonality: copies of the largest value would fill the list.
    bulk = torch.linspace(0, 1, 292, dtype=torch.float64)
    outliers = torch.tensor([100.0, 90, 80, 70, 60, 50, 40, 30], dtype=torch.float64)
    operator = oracles.operator_with_eigenvalues(torch.cat([outliers, bulk]), dtype=torch.float32)
    pairs = ritz_pairs(operator, count=5, tolerance=1e-6, basis=40)
    assert torch.allclose(pairs.values, outliers[:5], rtol=0, atol=1e-3)


@pytest.mark.parametrize(("size", "most"), [(1e-7, 20), (5e-5, 20), (2e-4, 29)])
def test_a_warm_start_costs_its_own_products_and_the_search(size: float, most: int) -> None:
    # Kills: the start ignored, or multiplied and thrown away. The larger the change, the less
    # the old vectors help.
    spectrum = oracles.trained_network_spectrum(400)
    before = oracles.matrix_with_eigenvalues(spectrum)
    change = oracles.matrix_with_eigenvalues(size * torch.linspace(-1, 1, 400), seed=9)
    cold = ritz_pairs(Operator.from_matrix(before), count=10)
    after, made = oracles.counted(Operator.from_matrix(before + change))
    warm = ritz_pairs(after, count=10, start=cold.vectors)
    again = ritz_pairs(after, count=10, seed=1)
    exact = torch.linalg.eigvalsh(before + change).flip(0)[:10]
    assert sum(made) == warm.products + again.products
    assert 10 < warm.products <= most < again.products
    assert float((warm.values - exact).abs().max()) <= 1e-4 * float(exact[0])


def test_after_a_warm_start_products_go_to_the_pair_that_needs_them() -> None:
    # Kills: pending directions multiplied in turn, nine of which are of no use (49 products).
    spectrum = oracles.trained_network_spectrum(400).sort(descending=True).values
    operator = Operator(lambda v: spectrum * v, 400, torch.float64, "diagonal")
    error = torch.randn(10, 400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    error[:9] *= 1e-5
    start = torch.eye(400, dtype=torch.float64)[:10] + 0.005 * error
    pairs = ritz_pairs(operator, count=10, start=start)
    assert torch.allclose(pairs.values, spectrum[:10], rtol=0, atol=1e-5)
    assert pairs.products <= 28


def test_a_warm_start_does_not_hide_a_new_largest_eigenvalue() -> None:
    # Kills: trusting the start: Rayleigh-Ritz on an invariant subspace sees nothing else.
    spectrum = torch.linspace(0, 1, 100, dtype=torch.float64)
    spectrum[7] = 5.0
    operator = Operator(lambda v: spectrum * v, 100, torch.float64, "diagonal")
    start = torch.eye(100, dtype=torch.float64)[-3:]
    pairs = ritz_pairs(operator, count=3, start=start)
    assert float(pairs.values[0]) == pytest.approx(5, abs=1e-6)


def test_running_out_of_products_carries_what_was_reached() -> None:
    # Kills: pairs lost, `converged` wrong, the cap exceeded.
    operator, made = oracles.counted(
        oracles.operator_with_eigenvalues(torch.linspace(0, 1, 200, dtype=torch.float64))
    )
    with pytest.raises(NotConverged, match=r"8 eigenpairs .* 0 converged in 20 products") as caught:
        ritz_pairs(operator, count=8, tolerance=1e-8, max_products=20)
    assert sum(made) == 20
    pairs = caught.value.result
    assert isinstance(pairs, RitzPairs)
    assert not pairs.converged
    assert torch.allclose(true_residuals(operator, pairs), pairs.residuals, rtol=1e-6, atol=1e-12)
    assert len(pairs.values) == 8


def test_a_small_basis_is_enough_and_restarts_lose_little() -> None:
    # Kills: a restart that keeps the wanted vectors only, or the wrong ones (three times as dear).
    spectrum = torch.linspace(0, 1, 300, dtype=torch.float64)
    operator = Operator(lambda v: spectrum * v, 300, torch.float64, "diagonal")
    small, large = (
        ritz_pairs(operator, count=4, tolerance=1e-6, basis=basis) for basis in (20, 200)
    )
    assert small.products <= 1.2 * large.products
    for pairs in (small, large):
        assert torch.allclose(pairs.values, spectrum.flip(0)[:4], rtol=0, atol=1e-6)


def test_the_same_seed_gives_the_same_numbers_and_progress_is_reported() -> None:
    operator = oracles.operator_with_eigenvalues(SPECTRA["clustered"])
    calls: list[tuple[int, int]] = []
    one = ritz_pairs(operator, count=3, seed=4, progress=lambda *done: calls.append(done))
    torch.rand(5)
    other = ritz_pairs(operator, count=3, seed=4)
    assert torch.equal(one.vectors, other.vectors)
    assert calls[-1] == (3, 3)
    assert calls[0][0] < 3


def test_half_precision_operators_are_handled_in_float32() -> None:
    spectrum = torch.tensor([64.0, 32.0, *([1.0] * 30)], dtype=torch.bfloat16)
    operator = Operator(lambda v: spectrum * v, 32, torch.bfloat16, "half")
    pairs = ritz_pairs(operator, count=2, tolerance=1e-2)
    assert pairs.vectors.dtype == torch.float32
    assert torch.allclose(pairs.values, torch.tensor([64.0, 32.0]).double(), rtol=1e-2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "count must lie between 1 and the operator's size 60; got 0"),
        ({"count": 61}, "count must lie between 1 and the operator's size 60; got 61"),
        ({"which": "LM"}, "which must be one of 'largest'"),
        ({"tolerance": -1.0}, "tolerance must be at least 0 and below 1; got -1"),
        ({"basis": 12}, "basis must be at least 13 for 2 pairs; got 12"),
        ({"max_products": 1}, "max_products must be at least 2 here; got 1"),
        ({"miss_probability": 0.0}, "miss_probability must be above 0 and at most 1; got 0"),
        ({"start": torch.ones(2, 59)}, r"start must have shape \(k, 60\) .* got \(2, 59\)"),
        ({"start": torch.full((1, 60), float("inf"))}, "start must be finite"),
    ],
)
def test_bad_arguments_are_refused_by_name(arguments: dict[str, object], message: str) -> None:
    operator = oracles.operator_with_eigenvalues(SPECTRA["distinct"])
    unchecked = getattr(ritz_pairs, "__wrapped__", ritz_pairs)
    with pytest.raises(InvalidArgument, match=message):
        unchecked(operator, **{"count": 2, **arguments})


def test_a_product_that_is_not_finite_is_named() -> None:
    operator = Operator(lambda v: v / 0.0, 9, torch.float64, "poles")
    with pytest.raises(NotFinite, match="product 1 of 'poles' is not finite in 9 of 9"):
        ritz_pairs(operator, count=1)


def test_a_large_basis_takes_at_most_half_of_the_free_memory(monkeypatch):
    # kills: the limit left out, the limit on small ones too, fewer vectors than the method needs
    operator = Operator.from_matrix(torch.diag(torch.linspace(1, 2, 60, dtype=torch.float64)))
    full = ritz_pairs(operator, count=2)
    assert full.basis == 60
    monkeypatch.setattr(thick_restart, "free_bytes", lambda device: 2 * 20 * 60 * 8)
    assert ritz_pairs(operator, count=2).basis == 60
    monkeypatch.setattr(thick_restart, "CAREFREE", 0)
    tight = ritz_pairs(operator, count=2)
    assert tight.basis == 20
    torch.testing.assert_close(tight.values, full.values, rtol=1e-6, atol=0)
    monkeypatch.setattr(thick_restart, "free_bytes", lambda device: 0)
    assert ritz_pairs(operator, count=2).basis == 13
