"""The error of exchangeable samples against a mean whose variance is known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from theodolite.linalg.leave_out import calibrated_error


def product_samples(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``t_i = x_i (1 + the sum of the others)``, and the same with one other left out.

    For independent signs the mean of `k` has variance ``1/k + 2 (k - 1) / k``.
    """
    others = 1 + x.sum() - x
    return x * others, x[None, :] * (others[None, :] - x[:, None])


def test_the_variance_is_unbiased_where_samples_interact() -> None:
    # Kills: the covariance left out (15/16 + 1/16 of 2 at most), halved, doubled, or of
    # the wrong pairs.
    generator = np.random.default_rng(0)
    count = 8
    exact = 1 / count + 2 * (count - 1) / count
    stated, seen = [], []
    for _ in range(4000):
        samples, pairs = product_samples(generator.choice([-1.0, 1.0], count))
        stated.append(calibrated_error(samples, pairs) ** 2)
        seen.append(samples.mean() ** 2)
    assert np.mean(seen) == pytest.approx(exact, abs=4 * np.std(seen) / math.sqrt(4000))
    assert np.mean(stated) == pytest.approx(exact, abs=4 * np.std(stated) / math.sqrt(4000))
    assert exact > 1.8  # and the naive variance is near 1


def test_independent_samples_have_the_usual_error() -> None:
    # Kills: ddof=0, the deviation not divided by the root of the count.
    samples = np.array([1.0, 2.0, 3.0, 6.0])
    pairs = np.tile(samples, (4, 1))
    exact = samples.std(ddof=1) / 2
    assert calibrated_error(samples, pairs) == pytest.approx(exact, rel=1e-14)


def test_the_diagonal_is_not_read() -> None:
    samples, pairs = product_samples(np.array([1.0, -1.0, 1.0, 1.0]))
    np.fill_diagonal(pairs, np.nan)
    assert math.isfinite(calibrated_error(samples, pairs))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_variance_stays_between_that_of_the_mean_and_of_one_sample(sign: float) -> None:
    # Kills: either bound left out: rounding in the pairs would become the error.
    samples = np.array([1.0, 1.0, 1.0, 3.0])
    change = 1e6 * np.ones((4, 4))
    change[np.tril_indices(4)] *= sign
    error = calibrated_error(samples, samples - change)
    assert error == pytest.approx(1.0 if sign > 0 else 0.5, rel=1e-12)
