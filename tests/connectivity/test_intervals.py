"""Bootstrap intervals of heights. Oracles: coverage over samples, and closed forms of errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import theodolite as td
from connectivity.paths import at, double_well
from theodolite.connectivity.heights import intervals
from theodolite.objective.stratification import Design

ALPHAS = np.linspace(0, 1, 11)
BUMP = 4 * ALPHAS * (1 - ALPHAS)


def drawn(examples: int, seed: int) -> np.ndarray:
    """Losses of examples whose mean rises by one: with heights and levels of their own."""
    generator = np.random.default_rng(seed)
    height = generator.exponential(1.0, examples)
    level = 5 * generator.normal(size=examples)
    return level + BUMP[:, None] * height


def ends(values: np.ndarray, *, seed: int = 0, design: Design | None = None, resamples: int = 400):
    return intervals(
        values,
        np.ones(values.shape[1]),
        ALPHAS,
        design=design,
        level=0.9,
        resamples=resamples,
        rng=np.random.default_rng(seed),
    )


def test_intervals_hold_the_barrier_as_often_as_they_say():
    # kills: examples resampled apart at every place (intervals ten times as wide); one tail; the
    # level of the interval. Each example's level is 5 times its height: only pairs cancel it.
    held = []
    for seed in range(200):
        low, high = ends(drawn(80, seed), seed=seed, resamples=200)
        held.append([lo <= 1 <= hi for lo, hi in zip(low[:3], high[:3], strict=True)])
    assert np.all(abs(np.mean(held, axis=0) - 0.9) <= 4 * (0.9 * 0.1 / 200) ** 0.5)


def test_the_width_is_that_of_the_paired_error():
    # kills: unpaired examples; a wrong scale. The barrier is the mean of the heights.
    values = drawn(400, 3)
    low, high = ends(values, resamples=2000)
    heights = values[5] - values[0]
    error = heights.std(ddof=1) / 20
    assert high[0] - low[0] == pytest.approx(2 * 1.645 * error, rel=0.08)


def test_a_sample_of_a_population_has_the_error_of_its_rest():
    # kills: no finite population correction; strata that are mixed
    values = drawn(100, 4)
    whole = Design(np.zeros(100, dtype=int), np.array([100]), "all")
    low, high = ends(values, design=whole)
    assert np.allclose(low, high, atol=1e-12)
    half = Design(np.zeros(100, dtype=int), np.array([200]), "half")
    free, part = ends(values), ends(values, design=half)
    assert (part[1] - part[0])[0] == pytest.approx((free[1] - free[0])[0] / 2**0.5, rel=1e-6)
    strata = np.repeat([0, 1], 50)
    apart = BUMP[:, None] * np.where(strata, 3.0, 1.0)  # all the spread lies between the strata
    low, high = ends(apart, design=Design(strata, np.array([10**6, 10**6]), "by class"))
    assert np.allclose(low, high, atol=1e-9)


def test_examples_that_do_not_count_do_not_matter():
    # kills: weights left out of the resamples
    values = drawn(60, 5)
    weights = np.concatenate([np.ones(40), np.zeros(20)])
    values[:, 40:] = np.nan
    how = {"design": None, "level": 0.9, "resamples": 500}
    found = intervals(values, weights, ALPHAS, rng=np.random.default_rng(0), **how)
    alone = intervals(values[:, :40], np.ones(40), ALPHAS, rng=np.random.default_rng(0), **how)
    assert np.allclose(found, alone)
    heights = values[5, :40] - values[0, :40]
    heavy = np.where(heights > np.median(heights), 5.0, 1.0)
    low, high = intervals(values[:, :40], heavy, ALPHAS, rng=np.random.default_rng(0), **how)
    assert low[0] <= heights @ heavy / heavy.sum() <= high[0]


def test_one_example_has_no_interval_and_equal_ones_have_none_to_tell():
    single = td.barrier(double_well(torch.ones(1).double()), at(-1.0), at(1.0), steps=5)
    assert np.isnan(float(single.barrier_low))
    same = td.barrier(double_well(), at(-1.0), at(1.0), steps=5, resamples=50)
    assert float(same.barrier_low) == float(same.barrier_high) == 1.0
    unlike = double_well(torch.tensor([1.0, 2.0, 3.0, 4.0]).double())
    found = td.barrier(unlike, at(-1.0), at(1.0), steps=5, resamples=200)
    assert 1.0 <= float(found.barrier_low) < float(found.barrier) == 2.5


def test_a_single_resample_gives_no_interval_and_no_noise() -> None:
    # kills: an interval of width zero, NumPy's warnings let through (they are errors here)
    well = double_well(torch.linspace(0.5, 4.0, 40).double())
    for found in (
        td.barrier(well, at(-1.0), at(1.0), resamples=1),
        td.curve(well, at(-1.0), at(1.0), steps=4, learning_rate=0.01, resamples=1),
    ):
        assert float(found.barrier) > 0.5
        assert np.isnan([found.barrier_low, found.barrier_high]).all()
    low, high = (td.barrier(well, at(-1.0), at(1.0), resamples=2)[f"barrier_{k}"] for k in END)
    assert float(low) <= float(high)


END = ("low", "high")


def test_the_level_asked_for_is_that_of_the_barrier() -> None:
    # kills: another level than the one asked for
    well = double_well(torch.linspace(0.5, 4.0, 40).double())
    narrow, wide = (
        td.barrier(well, at(-1.0), at(1.0), refine=0, level=level, resamples=600)
        for level in (0.5, 0.95)
    )
    ratio = float(
        (narrow.barrier_high - narrow.barrier_low) / (wide.barrier_high - wide.barrier_low)
    )
    assert ratio == pytest.approx(0.6745 / 1.96, rel=0.15)  # quantiles of a normal distribution
