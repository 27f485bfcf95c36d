"""Means of correlated series, crossings and climbs.

Oracle: an autoregressive process with a known mean, whose intervals must cover it.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter

from theodolite.errors import InvalidArgument
from theodolite.shapes.histories import falling_share, first_reached, rise, rising_share, settled


def series(seed: int, length: int = 400, correlation: float = 0.8) -> np.ndarray:
    """A stationary autoregressive process of mean 1."""
    noise = np.random.default_rng([3, seed]).normal(size=length + 200)
    made: np.ndarray = 1 + lfilter([1.0], [1.0, -correlation], noise)[200:]
    return made


def test_intervals_cover_the_mean_of_a_correlated_series() -> None:
    # Kills: the standard deviation over the root of the number of values (covers 46 %); a normal
    # quantile for ten batches.
    held = [s.low <= 1 <= s.high for s in (settled(series(k)) for k in range(600))]
    naive = [
        abs(x.mean() - 1) < 1.96 * x.std(ddof=1) / np.sqrt(len(x))
        for x in (series(k) for k in range(600))
    ]
    assert 0.91 < np.mean(held) < 0.97, np.mean(held)
    assert np.mean(naive) < 0.6


def test_few_values_have_a_mean_and_no_interval() -> None:
    found = settled([1.0, 2.0, 3.0])
    assert found.mean == 2
    assert np.isnan(found.error)
    assert np.isnan(found.low)
    assert np.isnan(settled([1.0, np.nan]).mean)
    with pytest.raises(InvalidArgument, match="batches"):
        settled([1.0], batches=1)


def test_a_crossing_lies_between_two_values() -> None:
    # Kills: the step of the first value above; a crossing of a series that begins above.
    assert first_reached([0, 4], [1.0, 3.0], 2.5) == 3
    assert first_reached([5, 9], [3.0, 1.0], 2.5) == 5
    assert np.isnan(first_reached([0, 4], [1.0, 2.0], 2.5))
    assert first_reached([0, 4, 6], [np.nan, np.nan, 3.0], 2.5) == 6


def test_a_climb_begins_at_the_lowest_value() -> None:
    # Kills: a line through the fall before it; the factor of first and last value.
    t = np.arange(10.0)
    x = np.concatenate([[9.0, 5.0], 2 + 3 * np.arange(8.0)])
    found = rise(t, x)
    assert found.slope == pytest.approx(3)
    assert found.factor == pytest.approx(23 / 2)
    assert found.explained == pytest.approx(1)


def test_a_loss_may_swing_over_steps_and_fall_over_time() -> None:
    # Kills: shares of the wrong sign.
    steps = np.arange(400)
    loss = 10 * 0.99**steps * (1 + 0.2 * (-1.0) ** steps)
    assert rising_share(loss) == pytest.approx(0.5, abs=0.01)
    assert falling_share(loss) == 1
    assert falling_share(loss[::-1]) == 0
    assert np.isnan(rising_share(loss[:1]))
    assert np.isnan(falling_share(loss[:3]))
