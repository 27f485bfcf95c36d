"""Counts of positive definite matrices against eigenvalues, closed forms and independence.

Oracles: ``numpy.linalg.eigvalsh``; the exact probabilities of the Gaussian orthogonal ensemble.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

from theodolite.findings import random_matrices
from theodolite.findings.random_matrices import EXACT, positive_definite_count


def survives(matrix: np.ndarray) -> bool:
    """Whether one matrix passes every pivot."""
    factor = np.empty((1, 0, 0))
    for k in range(len(matrix)):
        factor = random_matrices._extended(factor, matrix[None, k, :k], matrix[None, k, k])
        if not len(factor):
            return False
    assert np.allclose(factor[0] @ factor[0].T, matrix)
    return True


def test_pivots_agree_with_eigenvalues() -> None:
    # Kills: a forgotten square in the pivot, a wrong row of the factor, < for >.
    generator = np.random.default_rng(0)
    seen = []
    for size in (1, 2, 3, 4, 5):
        for _ in range(60):
            half = generator.standard_normal((size, size))
            matrix = half + half.T + generator.uniform(0, 4) * np.eye(size)
            seen.append(survives(matrix))
            assert seen[-1] == bool((np.linalg.eigvalsh(matrix) > 0).all())
    assert 60 < sum(seen) < 240


def test_many_matrices_at_once_are_the_same_as_one_by_one() -> None:
    # Kills: survivors mixed up with one another when some are dropped.
    generator = np.random.default_rng(1)
    half = generator.standard_normal((300, 3, 3))
    matrices = half + half.transpose(0, 2, 1) + 2 * np.eye(3)
    factor, alive = np.empty((300, 0, 0)), np.arange(300)
    for k in range(3):
        grown = random_matrices._extended(factor, matrices[alive, k, :k], matrices[alive, k, k])
        kept = [survives(matrices[i, : k + 1, : k + 1]) for i in alive]
        alive = alive[kept]
        factor = grown
        assert len(factor) == len(alive)
    assert np.allclose(factor @ factor.transpose(0, 2, 1), matrices[alive])


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_ensemble_has_its_exact_probabilities(size: int) -> None:
    # Kills: n off by one, the variance of the diagonal (2) or of the rest (1), a chunk lost.
    draws = 300_000
    count = positive_definite_count(
        size, draws, coupling=1.0, generator=np.random.default_rng(size)
    )
    p = EXACT[size]
    assert abs(count / draws - p) <= 4 * math.sqrt(p * (1 - p) / draws)


@pytest.mark.parametrize("size", [2, 4])
def test_without_coupling_signs_are_independent(size: int) -> None:
    draws = 200_000
    count = positive_definite_count(
        size, draws, coupling=0.0, generator=np.random.default_rng(size)
    )
    p = 2.0**-size
    assert abs(count / draws - p) <= 4 * math.sqrt(p * (1 - p) / draws)


def test_size_four_agrees_with_eigenvalues_of_other_draws() -> None:
    # No closed form is stored for four: dense eigenvalues of independently made matrices.
    draws = 200_000
    half = np.random.default_rng(3).standard_normal((draws, 4, 4))
    dense = (half + half.transpose(0, 2, 1)) / math.sqrt(2)
    expected = int((np.linalg.eigvalsh(dense)[:, 0] > 0).sum())
    found = positive_definite_count(4, draws, coupling=1.0, generator=np.random.default_rng(4))
    assert abs(found - expected) <= 4 * math.sqrt(found + expected)


def test_exact_probabilities_are_those_of_the_literature() -> None:
    assert EXACT[2] == pytest.approx(0.1464, abs=5e-5)
    assert EXACT[3] == pytest.approx(0.0249, abs=5e-5)
