"""The noise scale from two batch sizes. Oracles: exact numbers of the data; closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import theodolite as td
from noise.regression import OFFSET, gradients, objective, population, sample
from theodolite.errors import InvalidArgument

SMALL, LARGE = 4, 32


def drawn(seed: int, draws: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared norms of fresh small and large batches of the distribution."""
    x, y = sample(draws * (SMALL + LARGE), seed)
    g = gradients(x, y)
    small = g[: draws * SMALL].reshape(draws, SMALL, -1).mean(1).square().sum(1)
    large = g[draws * SMALL :].reshape(draws, LARGE, -1).mean(1).square().sum(1)
    return small, large


def test_estimates_are_unbiased_and_their_intervals_hold():
    # kills: batch sizes swapped, a mean of ratios, intervals of another width
    truth, names = population(), ("simple", "covariance_trace", "gradient_norm_squared")
    made = [
        td.two_batch_noise_scale(*drawn(s, 100), small_batch=SMALL, large_batch=LARGE)
        for s in range(200)
    ]
    for name in names:
        value, low, high = (
            np.array([float(m[name + end]) for m in made]) for end in ("", "_low", "_high")
        )
        if name != "simple":
            error = value.std(ddof=1) / len(value) ** 0.5
            assert abs(value.mean() - truth[name]) <= 4 * error, name
        held = ((low <= truth[name]) & (truth[name] <= high)).mean()
        assert 0.90 <= held <= 0.99, (name, held)


def test_batches_of_the_data_tell_the_numbers_of_the_data():
    # kills: a batch's mean over another weight
    x, y = sample(40, 0)
    problem = objective(x, y, batch_size=16)
    exact = td.gradient_noise_scale(problem, theta=OFFSET, curvature=False)
    norms = [
        td.batch_gradient_norms(problem, batch_size=b, draws=60, theta=OFFSET, seed=b)
        for b in (2, 20)
    ]
    found = td.two_batch_noise_scale(
        *(n.squared_norm.values for n in norms), small_batch=2, large_batch=20, examples=40
    )
    for name in ("covariance_trace", "gradient_norm_squared"):
        value, high = float(found[name]), float(found[f"{name}_high"])
        assert abs(value - float(exact[name])) <= 2 * (high - value), name
    whole = td.batch_gradient_norms(problem, batch_size=40, draws=2, theta=OFFSET)
    assert whole.squared_norm.values == pytest.approx(float(exact.gradient_norm_squared))


def test_expectations_without_replacement_give_the_numbers_themselves():
    # kills: 1 / N left out, or taken off
    squared, spread, n = 3.0, 8.0, 40
    norms = [[squared + spread * (1 / b - 1 / n)] * 2 for b in (2, 20)]
    found = td.two_batch_noise_scale(*norms, small_batch=2, large_batch=20, examples=n)
    assert float(found.gradient_norm_squared) == pytest.approx(squared)
    assert float(found.covariance_trace) == pytest.approx(spread)


def test_workers_are_averaged_and_a_gradient_of_zero_has_no_upper_end():
    # kills: a flattened axis of workers, an interval that ends
    found = td.two_batch_noise_scale(
        [[4.0, 6.0], [6.0, 8.0]], [2.0, 4.0], small_batch=1, large_batch=4
    )
    assert float(found.simple) == 2.0
    noise = td.two_batch_noise_scale(
        [8.0, 9.0, 7.0, 8.0], [1.9, 2.1, 2.0, 2.0], small_batch=1, large_batch=4
    )
    assert math.isinf(float(noise.simple_high))
    assert math.isfinite(float(noise.simple_low))


@pytest.mark.parametrize(
    ("small", "large", "settings", "code"),
    [
        ([1.0, 2.0], [1.0], {}, "E-Y10"),
        ([1.0], [1.0], {}, "E-Y10"),
        ([1.0, -2.0], [1.0, 1.0], {}, "E-Y10"),
        ([1.0, math.nan], [1.0, 1.0], {}, "E-Y10"),
        ([1.0, 2.0], [1.0, 1.0], {"large_batch": 1}, "E-Y04"),
        ([1.0, 2.0], [1.0, 1.0], {"examples": 3}, "E-Y04"),
    ],
)
def test_what_is_no_pair_of_batches_is_refused(small, large, settings, code):
    with pytest.raises(InvalidArgument) as caught:
        td.two_batch_noise_scale(small, large, **({"small_batch": 1, "large_batch": 4} | settings))
    assert caught.value.code == code
