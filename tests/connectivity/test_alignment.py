"""Linear CKA. Oracles: the estimator with whole kernels, invariances, and a known population."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from theodolite.connectivity.alignment import (
    alignment_error,
    biased_alignment,
    debiased_alignment,
    reach,
)


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_kernels(x: torch.Tensor, y: torch.Tensor) -> float:
    """Song et al. (2012), equation 5, on kernels whose diagonals are zero."""
    n, one = len(x), torch.ones(len(x), dtype=torch.float64)

    def hsic(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        k, m = a @ a.T, b @ b.T
        k.fill_diagonal_(0)
        m.fill_diagonal_(0)
        sums = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
        return torch.trace(k @ m) + sums - 2 / (n - 2) * (one @ k @ m @ one)

    return float(hsic(x, y) / (hsic(x, x) * hsic(y, y)).sqrt())


@pytest.mark.parametrize("features", [3, 40])
def test_features_give_what_kernels_give(features):
    # kills: a diagonal left in, a wrong factor; one of the two ways to take products
    x = normal(0, 12, features) + 2
    y = x @ normal(1, features, 5) + normal(2, 12, 5)
    assert debiased_alignment(x, y) == pytest.approx(with_kernels(x, y), rel=1e-9)


def test_rotation_scale_and_shift_do_not_matter():
    # kills: no centering, no normalization
    x, y = normal(0, 30, 6), normal(1, 30, 6)
    turn = torch.linalg.qr(normal(2, 6, 6)).Q
    for measure in (biased_alignment, debiased_alignment):
        assert measure(3 * x @ turn + 5, y) == pytest.approx(measure(x, y), abs=1e-12)
        assert measure(x, 2 * x @ turn - 1) == pytest.approx(1.0)


def test_of_many_random_features_only_the_debiased_is_near_zero():
    # kills: the biased estimator under the name of the other
    pairs = [(normal(2 * k, 20, 100), normal(2 * k + 1, 20, 100)) for k in range(100)]
    values = np.array([debiased_alignment(*pair) for pair in pairs])
    assert abs(values.mean()) <= 4 * values.std(ddof=1) / 10
    assert min(biased_alignment(*pair) for pair in pairs) > 0.7


def test_intervals_hold_the_alignment_of_the_population():
    # kills: a factor of the groups' number in the error; one left out of n
    held, mix = [], normal(0, 3, 4)
    own = torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    cross, other = own @ mix, mix.T @ own @ mix + torch.eye(4, dtype=torch.float64)
    truth = float(cross.square().sum() / (own.norm() * other.norm()))
    for seed in range(200):
        x = normal(3 * seed + 1, 200, 3) @ own.sqrt()
        y = x @ mix + normal(3 * seed + 2, 200, 4)
        order = torch.randperm(200, generator=torch.Generator().manual_seed(seed))
        half = reach(alignment_error(x, y, order), 0.9, 200)
        held.append(abs(debiased_alignment(x, y) - truth) <= half)
    assert abs(np.mean(held) - 0.9) <= 4 * (0.09 / 200) ** 0.5


def test_too_few_examples_and_constant_features_have_no_alignment():
    x = normal(0, 3, 2)
    assert np.isnan(debiased_alignment(x, x))
    assert np.isnan(biased_alignment(torch.ones(9, 2).double(), normal(1, 9, 2)))
    assert np.isnan(alignment_error(x, x, torch.arange(3)))
