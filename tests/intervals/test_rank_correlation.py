"""Rank correlation.

Oracles: SciPy; hand-made ranks; the coverage of the interval on planted normal pairs.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from theodolite.errors import InvalidData
from theodolite.intervals.rank_correlation import (
    mean_correlation,
    shuffled_spearman,
    spearman,
    spearman_interval,
)


def test_agrees_with_scipy_also_with_ties() -> None:
    # kills: ranks broken by order, Pearson of the values.
    generator = np.random.default_rng(0)
    x, y = generator.integers(0, 5, 40), generator.normal(size=40)
    assert spearman(x, y) == pytest.approx(float(stats.spearmanr(x, y).statistic), abs=1e-12)


def test_infinite_values_rank_last_and_constants_say_nothing() -> None:
    assert spearman([1.0, 2.0, 3.0], [0.0, 5.0, np.inf]) == 1.0
    assert spearman([1.0, 2.0, 3.0, 4.0], [np.inf, np.inf, 2.0, 2.0]) < -0.8
    assert spearman([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]) == 0.0


def test_the_interval_holds_the_truth() -> None:
    # Oracle: for normal pairs of correlation r the rank correlation is (6 / pi) arcsin(r / 2).
    # kills: Pearson's variance 1 / (n - 3) at a high correlation, an ill-placed root.
    generator, r, runs = np.random.default_rng(0), 0.7, 1000
    truth, held = 6 / np.pi * np.arcsin(r / 2), 0
    for _ in range(runs):
        x = generator.normal(size=40)
        y = r * x + np.sqrt(1 - r**2) * generator.normal(size=40)
        e = spearman_interval(x, y)
        held += e.low <= truth <= e.high
    assert abs(held / runs - 0.95) < 4 * np.sqrt(0.95 * 0.05 / runs)


def test_shuffled_pairs_have_none_and_depend_on_the_seed_alone() -> None:
    # kills: the pairs left as they are. Standard error 1 / sqrt((n - 1) 200).
    x = np.arange(30.0)
    found = shuffled_spearman(x, x, seed=3)
    assert abs(found) < 4 / np.sqrt(29 * 200)
    assert found == shuffled_spearman(x, x, seed=3) != shuffled_spearman(x, x, seed=4)


def test_the_interval_of_a_mean_stays_within_its_bounds() -> None:
    e = mean_correlation([0.95, 0.7, 0.99])
    assert (e.value, e.high) == (pytest.approx(0.88), 1.0)
    assert e.low == pytest.approx(0.88 - 4.302653 * np.std([0.95, 0.7, 0.99], ddof=1) / np.sqrt(3))
    assert mean_correlation([-0.95, -0.7, -0.99]).low == -1.0


@pytest.mark.parametrize(
    "pair", [([1, 2], [1, 2]), ([1, 2, 3], [1, 2]), ([1, 2, np.nan], [1, 2, 3])]
)
def test_what_has_no_ranks_is_refused(pair: tuple[list[float], list[float]]) -> None:
    with pytest.raises(InvalidData, match="E-F34"):
        spearman(*pair)


def test_too_few_pairs_have_no_interval() -> None:
    with pytest.raises(InvalidData, match="E-F35"):
        spearman_interval(range(9), range(9))
