"""Batch size and generalization: the rule on planted errors, and real networks at small cost.

Oracle: errors planted as known functions of batch size, rate and labels.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from theodolite.findings import small_batches_generalize_better as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

RUNS = ((8, 0.01), (8, 0.02), (200, 0.02), (200, 0.32))


def planted(
    *,
    fixed: float = 0.02,
    tuned: float = 0.02,
    noisy: float = 0.02,
    half: float = 0.05,
    spread: float = 0.001,
) -> xr.Dataset:
    """What the large batch has more errors than the small one, three ways."""
    generator = np.random.default_rng(0)
    seeds = 10
    means = np.array([0.3, 0.2, 0.2 + fixed, 0.2 + tuned])
    error = means + spread * generator.normal(size=(seeds, 2, 4))
    validation = np.tile([0.3, 0.2, 0.25, 0.21], (seeds, 2, 1))
    batch_size, rate = zip(*RUNS, strict=True)
    words = {"long_name": "test error, wrong labels"}
    noise = np.array([0.3, 0.3 + noisy]) + spread * generator.normal(size=(seeds, 2))
    less = 0.2 + fixed + half + spread * generator.normal(size=seeds)
    return xr.Dataset(
        {
            "error": (("seed", "copy", "run"), error),
            "validation_error": (("seed", "copy", "run"), validation),
            "reached": (("seed", "copy", "run"), np.ones((seeds, 2, 4))),
            "noisy_error": (("seed", "batch"), noise, words),
            "noisy_fit": (("seed", "batch"), noise, {"long_name": "wrong labels learned"}),
            "less_error": ("seed", less),
            "one_rate": ("seed", np.full(seeds, 0.02)),
        },
        {
            "batch_size": ("run", list(batch_size)),
            "rate": ("run", list(rate)),
            "batch": ["small", "whole"],
        },
    )


def test_small_batches_that_are_better_every_way_are_reproduced() -> None:
    # kills: the sign, the controls exchanged, the small batch at another rate.
    verdict = claim.judge(planted())
    assert verdict.outcome == REPRODUCED
    assert verdict.effect == pytest.approx(0.02, abs=0.002)
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.positive_control.outcome == REPRODUCED
    assert verdict.positive_control.effect == pytest.approx(0.05, abs=0.002)
    assert verdict.corrected.outcome == REPRODUCED


@pytest.mark.parametrize("way", ["tuned", "noisy"])
def test_a_control_that_closes_the_gap_overturns_the_claim_and_not_what_is_left(way: str) -> None:
    # kills: tuned rates or wrong labels left out of the rule, chosen by test error, their mean.
    verdict = claim.judge(planted(**{way: 0.0}))
    assert (verdict.outcome, claim.FINDING.expected) == (NOT_REPRODUCED, NOT_REPRODUCED)
    assert verdict.effect == pytest.approx(0.0, abs=0.002)
    assert verdict.corrected.outcome == REPRODUCED
    assert claim.judge(planted(**{way: -0.05})).outcome == NOT_REPRODUCED


def test_no_gap_at_one_rate_fails_both_statements() -> None:
    verdict = claim.judge(planted(fixed=0.0))
    assert (verdict.outcome, verdict.corrected.outcome) == (NOT_REPRODUCED, NOT_REPRODUCED)


def test_data_that_could_not_have_shown_it_leave_it_open() -> None:
    # kills: the positive control left out, the interval left out.
    assert claim.judge(planted(fixed=0.0, half=0.0)).outcome == INCONCLUSIVE
    assert claim.judge(planted(fixed=0.005, spread=0.05)).outcome == INCONCLUSIVE


def test_a_network_that_missed_the_loss_leaves_it_open() -> None:
    measured = planted()
    measured.error[2, 0, 2] = np.nan
    verdict = claim.judge(measured)
    assert verdict.outcome == INCONCLUSIVE
    assert "only 9 of 10 pairs" in verdict.explanation


def test_measured_at_small_cost() -> None:
    # Oracle: with enough epochs small batches learn wrong labels, a full batch few of them.
    small = replace(
        claim.Settings(),
        seeds=2,
        small=5,
        rate=0.05,
        small_rates=(0.05,),
        large_rates=(0.05, 0.1),
        width=32,
        examples=60,
        target=0.1,
        epochs=60,
        data="digits",
    )
    measured = replicated(claim.FINDING, small)
    verdict = judged(claim.FINDING, measured)
    assert verdict.outcome in (NOT_REPRODUCED, INCONCLUSIVE)
    assert int(measured.reached.sum()) == 12
    fit = measured.noisy_fit
    assert (fit.sel(batch="small") > fit.sel(batch="whole") + 0.3).all()
    assert (measured.less_error > measured.error.isel(copy=0).min("run")).all()
    found = claim.estimates(measured)
    assert found["test error, 5 a batch, rate 0.05"].count == 2
