"""The null of a random walk.

Oracles: walks really drawn in full; the closed form of many steps (shares of 1/k^2 about the
mean, of 1/(2k-1)^2 from the last point); measurements of 300 steps in 5,000 dimensions.
"""

from __future__ import annotations

import numpy as np
import pytest

from theodolite.errors import InvalidArgument
from theodolite.surfaces.trajectory_null import random_walks

LEADING = {"mean": (1 + 1 / 4) / (np.pi**2 / 6), "last": (1 + 1 / 9) / (np.pi**2 / 8)}


@pytest.mark.parametrize("center", ["last", "mean"])
def test_the_limit_tends_to_the_closed_form_of_many_steps(center: str) -> None:
    # Kills: sums of steps without their order; the wrong centering.
    found = random_walks([range(601)], params=10**6, center=center, walks=2).limit[:2].sum()
    assert abs(found - LEADING[center]) < 2e-3


@pytest.mark.parametrize(("center", "reported"), [("mean", 0.76), ("last", 0.90)])
def test_three_hundred_steps_in_five_thousand_dimensions(center: str, reported: float) -> None:
    # 76 % about the mean and 90 % from the last point were measured on walks drawn in full.
    # Kills: one definition taken for the other.
    walk = random_walks([range(300)], params=5000, center=center, walks=40)
    share, error = walk.leading(2)
    assert abs(share - reported) < 0.005 + 4 * error
    full = _drawn(300, 5000, center, walks=4)
    spread = np.hypot(full.std(ddof=1) / 2, error)
    assert abs(full.mean() - share) < 4 * spread


def test_walks_in_few_dimensions_follow_the_same_distribution_as_walks_drawn_in_full() -> None:
    # In 20 dimensions fewer than the steps, and in 60, more: both ways of drawing are used.
    # Kills: degrees of freedom off by one or not decreasing in Bartlett's decomposition; the
    # limit taken for the mean.
    for params in (20, 60):
        walk = random_walks([range(41)], params=params, center="last", walks=1500)
        share, error = walk.leading(2)
        full = _drawn(41, params, "last", walks=1500)
        assert abs(full.mean() - share) < 4 * np.hypot(error, full.std(ddof=1) / np.sqrt(1500))
    few = random_walks([range(41)], params=3, center="last", walks=400)
    assert few.leading(2)[0] > few.limit[:2].sum() + 4 * few.leading(2)[1]
    assert np.allclose(few.shares[:, 3:], 0)


def test_unequal_times_make_unequal_steps() -> None:
    # Kills: times ignored; variance taken for standard deviation.
    times = np.array([0.0, 1.0, 2.0, 30.0, 31.0])
    walk = random_walks([times], params=100, center="last", walks=2)
    full = _drawn_limit(times)
    assert np.allclose(walk.limit, full)


def test_several_runs_begin_at_one_point() -> None:
    # Two runs of equal length, about the mean: their covariance has blocks. Kills: one long walk.
    runs = [range(6), range(4)]
    size = 10
    covariance = np.zeros((size, size))
    covariance[:6, :6] = np.minimum.outer(np.arange(6), np.arange(6))
    covariance[6:, 6:] = np.minimum.outer(np.arange(4), np.arange(4))
    middle = np.eye(size) - 1 / size
    values = np.linalg.eigvalsh(middle @ covariance @ middle)[::-1][: size - 1]
    walk = random_walks(runs, params=50, center="mean", walks=2)
    assert np.allclose(walk.limit, values / values.sum())


def test_a_run_that_stays_where_it_began_is_a_point_of_the_walk() -> None:
    # Oracle: covariance with a block of zeros. Kills: all runs refused for the one that stood.
    covariance = np.zeros((8, 8))
    covariance[:5, :5] = np.minimum.outer(np.arange(5), np.arange(5))
    middle = np.eye(8) - 1 / 8
    values = np.linalg.eigvalsh(middle @ covariance @ middle)[::-1][:7]
    walk = random_walks([range(5), [0, 0, 0]], params=50, center="mean", walks=2)
    assert np.allclose(walk.limit, values / values.sum())


def test_counts_errors_and_seeds() -> None:
    walk = random_walks([range(30)], params=200, center="mean", walks=50, seed=3)
    again = random_walks([range(30)], params=200, center="mean", walks=50, seed=3)
    other = random_walks([range(30)], params=200, center="mean", walks=50, seed=4)
    assert np.array_equal(walk.shares, again.shares)
    assert not np.array_equal(walk.shares, other.shares)
    assert walk.as_large(0.0, 2) == 50
    assert walk.as_large(1.0, 2) == 0
    middle = float(np.median(walk.shares[:, :2].sum(axis=1)))
    assert walk.as_large(middle, 2) == 25
    assert np.allclose(walk.shares.sum(axis=1), 1)
    for times, walks in (
        ([[0, 0]], 5),
        ([[0, 0], [3, 3]], 5),
        ([[1, 0]], 5),
        ([[0, np.nan]], 5),
        ([[0, 1]], 1),
        ([[0, 1]], True),
    ):
        with pytest.raises(InvalidArgument) as caught:
            random_walks(times, params=5, center="mean", walks=walks)
        assert caught.value.code == "E-J06"


def _drawn(points: int, params: int, center: str, walks: int) -> np.ndarray:
    """The share of two components of walks with all their coordinates."""
    generator = np.random.default_rng(5)
    found = []
    for _ in range(walks):
        path = np.zeros((points, params))
        path[1:] = generator.standard_normal((points - 1, params)).cumsum(axis=0)
        moves = path - (path[-1] if center == "last" else path.mean(axis=0))
        values = np.linalg.eigvalsh(moves @ moves.T)[::-1]
        found.append(values[:2].sum() / values.sum())
    return np.array(found)


def _drawn_limit(times: np.ndarray) -> np.ndarray:
    """Shares from the covariance of Brownian motion, min(s, t), seen from the last point."""
    covariance = np.minimum.outer(times, times)
    move = np.eye(len(times))
    move[:, -1] -= 1
    values = np.linalg.eigvalsh(move @ covariance @ move.T)[::-1][: len(times) - 1]
    return values / values.sum()
