"""Intervals against SciPy's tests, the equations that define them, and their coverage.

Oracles: defining equations, exact sums over the binomial, seeded simulation (4 standard errors).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from theodolite.errors import TheodoliteError
from theodolite.intervals import statistics as st

SAMPLES = np.random.default_rng(0).normal(1.0, 2.0, (2, 7))


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
def test_mean_interval_is_that_of_the_t_test(level: float) -> None:
    # Kills: one-sided quantile (level for (1 + level) / 2), n for n - 1 in the deviation or in t.
    found = st.mean_interval(SAMPLES[0], level=level)
    low, high = stats.ttest_1samp(SAMPLES[0], 0.0).confidence_interval(level)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-12)
    assert found.value == pytest.approx(SAMPLES[0].mean())
    assert (found.level, found.count) == (level, 7)


def test_mean_interval_of_two_by_the_table() -> None:
    # Student's t for one degree of freedom at 97.5 % is 12.706 in every table.
    found = st.mean_interval([1.0, 3.0])
    assert found.high - found.value == pytest.approx(12.706, abs=1e-3)


def test_one_sample_says_nothing_about_spread() -> None:
    found = st.mean_interval([3.0])
    assert (found.value, found.low, found.high) == (3.0, -math.inf, math.inf)


def test_paired_interval_is_that_of_the_paired_t_test() -> None:
    # Kills: an unpaired variance, control minus treated.
    found = st.paired_interval(*SAMPLES)
    low, high = stats.ttest_rel(*SAMPLES).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-12)
    assert found.value == pytest.approx(float((SAMPLES[0] - SAMPLES[1]).mean()))


def test_paired_ratio_is_the_geometric_mean() -> None:
    # Kills: log of the other base, arithmetic mean of ratios, interval left in logarithms.
    found = st.paired_interval([2.0, 8.0, 4.0], [1.0, 1.0, 1.0], ratio=True)
    assert found.value == pytest.approx(4.0)
    half = stats.t.ppf(0.975, 2) * math.log(2) / math.sqrt(3)
    assert found.high == pytest.approx(4 * math.exp(half))
    assert found.low == pytest.approx(4 * math.exp(-half))


def test_t_intervals_hold_the_truth_as_often_as_they_say() -> None:
    # Kills: a one-sided interval (90 %), a normal quantile in place of Student's (88 %).
    draws = np.random.default_rng(1).normal(0.3, 1.0, (1500, 5))
    held = [(e.low <= 0.3 <= e.high) for e in map(st.mean_interval, draws)]
    assert abs(np.mean(held) - 0.95) <= 4 * math.sqrt(0.95 * 0.05 / 1500)


def bca(x: np.ndarray, level: float, resamples: int) -> tuple[float, float]:
    """Efron's interval for a mean, from his formulas."""
    draws = np.random.default_rng(7).choice(x, (resamples, len(x))).mean(1)
    z0 = stats.norm.ppf((draws < x.mean()).mean())
    left = np.array([np.delete(x, i).mean() for i in range(len(x))])
    d = left.mean() - left
    a = (d**3).sum() / (6 * (d**2).sum() ** 1.5)
    z = stats.norm.ppf([(1 - level) / 2, (1 + level) / 2])
    low, high = np.quantile(draws, stats.norm.cdf(z0 + (z0 + z) / (1 - a * (z0 + z))))
    return float(low), float(high)


def test_bootstrap_is_bias_corrected_and_accelerated() -> None:
    # Kills: percentile or basic intervals, which differ by far more than the tolerance here.
    x = np.arange(12.0) ** 3 / 300
    found = st.bootstrap_interval(x, resamples=40_000)
    low, high = bca(x, 0.95, 40_000)
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.04)
    plain = stats.bootstrap((x,), np.mean, method="percentile", rng=np.random.default_rng(0))
    assert abs(plain.confidence_interval.high - high) > 0.15


def test_bootstrap_repeats_and_moves_with_its_seed() -> None:
    x = SAMPLES.ravel()
    assert st.bootstrap_interval(x) == st.bootstrap_interval(x)
    assert st.bootstrap_interval(x) != st.bootstrap_interval(x, seed=1)


def test_bootstrap_takes_any_statistic() -> None:
    found = st.bootstrap_interval(SAMPLES.ravel(), statistic=np.median, resamples=999)
    assert found.value == np.median(SAMPLES)
    assert found.low < found.value < found.high


def test_bootstrap_coverage() -> None:
    # BCa undercovers in small samples; below 88 % it would be something else.
    draws = np.random.default_rng(3).normal(0.0, 1.0, (300, 15))
    held = [e.low <= 0 <= e.high for e in (st.bootstrap_interval(x, resamples=499) for x in draws)]
    error = math.sqrt(0.92 * 0.08 / 300)
    assert 0.92 - 4 * error <= np.mean(held) <= 0.95 + 4 * error


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (3, 10), (10, 10), (7, 200)])
def test_exact_interval_solves_its_equations(hits: int, trials: int) -> None:
    # Kills: a one-sided interval, ends swapped, hits off by one.
    found = st.proportion_interval(hits, trials)
    if hits:
        assert stats.binom.sf(hits - 1, trials, found.low) == pytest.approx(0.025)
    else:
        assert found.low == 0
    if hits < trials:
        assert stats.binom.cdf(hits, trials, found.high) == pytest.approx(0.025)
    else:
        assert found.high == 1


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (3, 10), (10, 10)])
def test_wilson_interval_solves_its_equation(hits: int, trials: int) -> None:
    # The ends are the shares p at which the observed share is z standard errors away.
    found = st.proportion_interval(hits, trials, method="wilson")
    z = stats.norm.ppf(0.975)
    for p in {found.low, found.high} - {0.0, 1.0}:
        assert (hits / trials - p) ** 2 == pytest.approx(z**2 * p * (1 - p) / trials)


def test_coverage_of_binomial_intervals_summed_exactly() -> None:
    # Kills: one-sided ends: the exact interval never falls below its level, Wilson's mean is near.
    trials, shares = 20, np.linspace(0.02, 0.98, 97)
    weights = stats.binom.pmf(np.arange(trials + 1), trials, shares[:, None])
    coverage = {}
    for method in ("exact", "wilson"):
        made = [st.proportion_interval(k, trials, method=method) for k in range(trials + 1)]
        held = np.array([[e.low <= p <= e.high for e in made] for p in shares])
        coverage[method] = (weights * held).sum(1)
    assert coverage["exact"].min() >= 0.95
    assert abs(coverage["wilson"].mean() - 0.95) < 0.01


def test_needed_seeds_by_hand_and_by_power() -> None:
    # Kills: a forgotten square, floor for ceiling; and checks the power the docstring states.
    assert [st.needed_seeds(s, 1.0) for s in (0.0, 0.5, 1.0, 3.0)] == [2, 4, 8, 50]
    assert st.needed_seeds(2.0, -1.0) == st.needed_seeds(2.0, 1.0) == 24
    for deviation in (0.5, 1.0, 2.0, 3.0):
        n = st.needed_seeds(deviation, 1.0)
        reach = stats.t.ppf(0.975, n - 1)
        power = stats.nct.sf(reach, n - 1, math.sqrt(n) / deviation)
        assert 0.635 <= power <= 0.76


def test_simultaneous_levels_add_up() -> None:
    assert 5 * (1 - st.simultaneous(0.95, 5)) == pytest.approx(0.05)


REFUSED: dict[str, tuple[Any, str]] = {
    "no samples": (lambda: st.mean_interval([]), "E-F10"),
    "a missing sample": (lambda: st.mean_interval([1.0, math.nan]), "1 of them not finite"),
    "an infinite sample": (lambda: st.bootstrap_interval([math.inf] * 10), "E-F10"),
    "no pairs": (lambda: st.paired_interval([1.0, 2.0], [1.0]), "got 2 and 1 values"),
    "a ratio to zero": (lambda: st.paired_interval([1.0], [0.0], ratio=True), "E-F12"),
    "few for a bootstrap": (lambda: st.bootstrap_interval([1.0] * 9), "at least 10 .* got 9"),
    "another method": (lambda: st.proportion_interval(1, 2, method="wald"), "'wald'"),
    "more hits than trials": (lambda: st.proportion_interval(3, 2), "got 3 of 2"),
    "no trials": (lambda: st.proportion_interval(0, 0), "E-F15"),
    "a negative deviation": (lambda: st.needed_seeds(-1.0, 1.0), "E-F16"),
    "no difference": (lambda: st.needed_seeds(1.0, 0.0), "E-F16"),
    "a level of one": (lambda: st.mean_interval([1.0, 2.0], level=1.0), "E-F17"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    call, match = REFUSED[case]
    with pytest.raises(TheodoliteError, match=match):
        call()
