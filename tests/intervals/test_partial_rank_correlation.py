"""Partial rank correlations and their intervals.

Oracles: scipy's tau-b, the partial correlation written out, and coverage of a known tau.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from theodolite.errors import InvalidData
from theodolite.intervals.partial_rank_correlation import kendall, kendall_interval, within_cells


def draws(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def test_tau_b_is_scipys_with_ties_and_averaged_over_seeds() -> None:
    # kills: tau-a, ties counted as agreement, seeds pooled before ranking.
    x = np.round(draws(3, 30))
    y = np.round(x + draws(3, 30, seed=1)) + np.array([[0.0], [100.0], [-100.0]])
    oracle = np.mean([stats.kendalltau(a, b).statistic for a, b in zip(x, y, strict=True)])
    assert kendall(x, y) == pytest.approx(oracle)


def test_partial_tau_is_the_formula() -> None:
    # kills: the sign of a term, a root left out, one of the held columns ignored.
    x, y, z, w = draws(4, 1, 40)
    x, y = x + z + w, y + z - w

    def tau(a: np.ndarray, b: np.ndarray) -> float:
        return float(stats.kendalltau(a, b).statistic)

    def once(xy: float, xz: float, yz: float) -> float:
        return (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))

    given_z = once(tau(x, y), tau(x, z), tau(y, z))
    assert kendall(x, y, [z]) == pytest.approx(given_z)
    x_w, y_w = (once(tau(a, w), tau(a, z), tau(w, z)) for a in (x, y))
    assert kendall(x, y, [z, w]) == pytest.approx(once(given_z, x_w, y_w))
    assert abs(kendall(x, y, [z, w]) - given_z) > 0.1


def test_what_is_held_explains_an_association_away() -> None:
    z = np.tile(np.repeat([0.0, 1.0, 2.0], 60), (1, 1))
    x, y = z + 0.3 * draws(1, 180), z + 0.3 * draws(1, 180, seed=1)
    assert kendall(x, y) > 0.6
    assert abs(kendall(x, y, [z])) < 0.1
    assert kendall(x, x, [z]) == pytest.approx(1.0)
    assert kendall(x, z, [z]) == 0.0
    assert kendall(x, np.zeros_like(x)) == 0.0


def test_missing_cells_are_left_out_of_their_seed_alone() -> None:
    x, y = draws(2, 20), draws(2, 20, seed=1)
    x[0, 3] = np.nan
    y[0, 5] = np.nan
    kept = np.setdiff1d(np.arange(20), [3, 5])
    first = stats.kendalltau(x[0, kept], y[0, kept]).statistic
    second = stats.kendalltau(x[1], y[1]).statistic
    assert kendall(x, y) == pytest.approx((first + second) / 2)


def test_intervals_over_cells_hold_the_truth() -> None:
    # kills: cells resampled for each column apart, one end alone, another level. Normal pairs of
    # correlation rho have tau = 2 / pi asin rho.
    truth, held = 2 / np.pi * np.arcsin(0.5), 0
    for seed in range(150):
        x, e = draws(2, 1, 40, seed=seed)
        found = kendall_interval(x, 0.5 * x + np.sqrt(0.75) * e, seed=seed)
        held += found.low <= truth <= found.high
    assert 0.89 <= held / 150 <= 0.99


def test_seeds_of_a_cell_are_no_more_evidence_than_one() -> None:
    # kills: seeds resampled as if each were a cell of its own.
    x, y = draws(1, 40), draws(1, 40, seed=1)
    one, many = (kendall_interval(np.tile(x, (k, 1)), np.tile(y, (k, 1))) for k in (1, 9))
    assert many.high - many.low == pytest.approx(one.high - one.low)


def test_within_cells_sees_what_is_left_in_each() -> None:
    # kills: cells compared with each other, what a seed does to all cells left in.
    cell, season = 10 * draws(1, 30), 10 * draws(8, 1, seed=1)
    inner = draws(8, 30, seed=2)
    x = cell + season + inner
    assert within_cells(x, -cell + season - inner).value == pytest.approx(-1.0, abs=0.1)
    found = within_cells(x, cell + season + draws(8, 30, seed=3))
    assert found.low < 0 < found.high
    assert found.high - found.low < 0.2


@pytest.mark.parametrize("shapes", [((1, 9), (1, 9)), ((1, 12), (2, 12)), ((12,), (12,))])
def test_too_few_cells_or_other_shapes_are_refused(shapes: tuple) -> None:
    with pytest.raises(InvalidData, match="at least 10 cells"):
        kendall(np.zeros(shapes[0]), np.zeros(shapes[1]))
