"""Bounds beyond residuals, on matrices of chosen spectrum. Oracle: their exact eigenpairs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from theodolite.linalg.pair_bounds import PairBounds, pair_bounds

SPECTRA = {
    "apart": [9.0, 6.0, 4.0, 1.0, 0.5, 0.0, -1.0, -3.0],
    "cluster": [5.0, 4.999, 4.998, 2.0, 1.9999, 0.0, -1.0, -1.001],
    "repeated": [5.0, 5.0, 5.0, 2.0, 2.0, 0.0, 0.0, 0.0],
    "rank one": [7.0] + [0.0] * 7,
    "zero": [0.0] * 8,
}


def ritz(
    spectrum: list[float], count: int, turn: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ritz values, residuals and vectors (in the eigenbasis) of a turned space of `count`."""
    random = np.random.default_rng(seed)
    exact = np.array(spectrum)
    rows = np.eye(len(exact))[:, :count] + turn * random.normal(size=(len(exact), count))
    basis = np.linalg.qr(rows)[0]
    values, inner = np.linalg.eigh(basis.T @ (exact[:, None] * basis))
    vectors = basis @ inner
    residuals = np.linalg.norm(exact[:, None] * vectors - vectors * values, axis=0)
    order = np.argsort(-values)
    return values[order], residuals[order], vectors[:, order]


def check(spectrum: list[float], count: int, turn: float, seed: int) -> PairBounds:
    """Bounds from the true interval of what is not found, checked against the exact pairs."""
    values, residuals, vectors = ritz(spectrum, count, turn, seed)
    exact = np.array(spectrum)
    unseen = (float(exact[count:].min()), float(exact[count:].max()))
    found = pair_bounds(values, residuals, unseen=unseen)
    slack = 1e-12
    for k in np.flatnonzero(np.isfinite(found.gap)):
        assert abs(values[k] - exact[k]) <= found.error[k] + slack
        near = np.abs(exact - values[k]) < found.gap[k]
        sine = np.linalg.norm(vectors[~near, k])
        assert sine <= found.sine[k] + slack
        assert found.error[k] <= np.linalg.norm(residuals) + slack
    return found


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("turn", [1e-6, 1e-3, 0.03, 0.2])
def test_bounds_hold_whenever_they_are_stated(name: str, turn: float) -> None:
    # Kills: a gap to the others' values rather than to their inflated intervals, clusters that
    # are not merged, the larger of two gaps, a squared residual over twice the gap.
    for count in (1, 2, 3, 4):
        for seed in range(20):
            check(SPECTRA[name], count, turn, seed)


def test_bounds_are_stated_where_pairs_stand_apart() -> None:
    # Kills: NaN for everything. The zero matrix has no gap at all.
    for name, count in (("apart", 3), ("cluster", 3), ("repeated", 3), ("rank one", 1)):
        assert np.isfinite(check(SPECTRA[name], count, 1e-3, 0).error).all(), name
    assert np.isnan(check(SPECTRA["zero"], 3, 1e-3, 0).error).all()


def test_one_pair_has_temples_bound_with_equality() -> None:
    """A vector at the angle phi to the first eigenvector of diag(g, 0).

    Kills: the gap between Ritz values halved or doubled, the residual not squared, the sine's
    residual over the value instead of the gap.
    """
    g, phi = 3.0, 0.1
    value, residual = g * math.cos(phi) ** 2, g * math.sin(phi) * math.cos(phi)
    found = pair_bounds(np.array([value]), np.array([residual]), unseen=(0.0, 0.0))
    assert found.gap[0] == pytest.approx(value, rel=1e-14)
    assert found.error[0] == pytest.approx(g - value, rel=1e-12)
    assert found.sine[0] == pytest.approx(math.tan(phi), rel=1e-12)


def test_a_cluster_is_bounded_as_one() -> None:
    # Kills: a cluster's gap without its own residual, residuals of a cluster not added up.
    values, residuals = np.array([5.0, 4.95, 1.0]), np.array([0.03, 0.04, 0.0])
    found = pair_bounds(values, residuals, unseen=None)
    gap, rho = 3.95, 0.05
    np.testing.assert_allclose(found.gap, [gap, gap, gap - rho])
    np.testing.assert_allclose(found.error, [rho**2 / (gap - rho)] * 2 + [0.0])
    np.testing.assert_allclose(found.sine, [rho / gap] * 2 + [0.0])


def test_rounding_is_added_and_no_bound_exceeds_the_residuals() -> None:
    # Kills: rounding left out, a quadratic bound worse than the residual.
    values, residuals = np.array([5.0, 1.0]), np.array([0.1, 1e-9])
    found = pair_bounds(values, residuals, unseen=None, rounding=1e-9)
    assert found.error[0] == pytest.approx(0.01 / 4 + 1e-9, rel=1e-6)
    assert found.error[1] == 1e-9


def test_nothing_is_said_without_a_gap() -> None:
    # Kills: a negative gap, a gap smaller than the residual taken as one.
    one = np.array([1.0])
    for unseen in ((-np.inf, np.inf), (0.5, 1.5), (0.0, 1.0), (0.0, 0.95)):
        found = pair_bounds(one, np.array([0.1]), unseen=unseen)
        assert np.isnan([found.gap[0], found.error[0], found.sine[0]]).all()
