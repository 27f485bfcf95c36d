"""The law of rarity: the rule on planted counts, and real students at small cost.

Oracle: counts planted by width from known laws.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from theodolite.findings import bad_minima_get_exponentially_rare_with_width as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

SEEDS, STARTS = 5, 200
FALLING = (400, 200, 100, 50, 25)


def planted(*stuck: int) -> xr.Dataset:
    """How many of 1,000 starts are stuck just above the threshold, by units beyond the teacher."""
    loss = np.full((SEEDS, len(stuck), STARTS), claim.STUCK)
    for i, count in enumerate(stuck):
        flat = np.full(SEEDS * STARTS, claim.STUCK * 0.999)
        flat[:count] = claim.STUCK * 1.001
        loss[:, i] = flat.reshape(SEEDS, STARTS)
    dims = ("seed", "excess", "start")
    return xr.Dataset(
        {"loss": (dims, loss), "gradient": (dims, np.full_like(loss, 1e-6))},
        {"excess": range(len(stuck))},
    )


def test_a_planted_exponential_is_reproduced() -> None:
    # kills: the sign of the rate, a law that swaps with the other, one seed alone.
    verdict = claim.judge(planted(*FALLING))
    assert (verdict.outcome, verdict.effect) == (REPRODUCED, pytest.approx(np.log(2), rel=0.01))
    low, high = verdict.interval
    assert 0.6 < low < np.log(2) < high < 0.8
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.positive_control.outcome == REPRODUCED
    assert "0: 400, 1: 200, 2: 100" in verdict.explanation


@pytest.mark.parametrize(
    ("stuck", "outcome"),
    [
        ((400, 100, 44, 25, 16), NOT_REPRODUCED),  # a power law
        ((130, 65, 39, 28, 23), NOT_REPRODUCED),  # both fit, the power law better
        ((900, 850, 500, 60, 2), NOT_REPRODUCED),  # faster than any exponential
        ((400, 390, 410, 400, 405), NOT_REPRODUCED),  # no fall
        ((50, 100, 200, 400, 800), NOT_REPRODUCED),  # a rise
        ((400, 200, 100, 100, 0), NOT_REPRODUCED),  # cut off
        ((8, 4, 2, 1, 0), INCONCLUSIVE),  # too few to tell
        ((200, 5, 0, 0, 0), INCONCLUSIVE),  # too few widths
    ],
)
def test_the_rule_at_its_edges(stuck: tuple[int, ...], outcome: str) -> None:
    assert claim.judge(planted(*stuck)).outcome == outcome


def test_too_few_widths_say_so_and_order_does_not_matter() -> None:
    # kills: widths without stuck starts counted, widths taken in the order of the data.
    assert "Only 2 widths" in claim.judge(planted(200, 5, 0, 0, 0)).explanation
    backwards = planted(*FALLING).isel(excess=slice(None, None, -1))
    assert claim.judge(backwards) == claim.judge(planted(*FALLING))


def test_a_loss_that_is_not_a_number_is_stuck() -> None:
    measured = planted(*FALLING)
    measured.loss[4, 4, -3:] = np.nan
    assert claim.counts(measured)[1].tolist() == [400, 200, 100, 50, 28]
    found = claim.estimates(measured)
    label = "share of starts stuck above 0.01, 0 units beyond the teacher's"
    assert found[label].value == pytest.approx(0.4)
    assert found["loss where stuck, 4 units more"].value == pytest.approx(claim.STUCK * 1.001)
    assert found["rate of the power law"].value > found["rate of the exponential"].value > 0


def test_starts_that_had_not_settled_are_not_stuck_and_many_block_the_verdict() -> None:
    # kills: slow training counted as bad minima, or passed over in silence.
    few, many = planted(*FALLING), planted(*FALLING)
    few.gradient[:, 0, :4] = 2 * claim.SETTLED  # 20 of 1,000, all stuck ones of the first seeds
    assert claim.counts(few)[1].tolist() == [392, 200, 100, 50, 25]
    assert claim.judge(few).outcome == REPRODUCED
    many.gradient[:, 1, :21] = 2 * claim.SETTLED
    verdict = claim.judge(many)
    assert verdict.outcome == INCONCLUSIVE
    assert "had not settled" in verdict.explanation


def test_starts_too_few_to_tell_the_laws_apart_block_the_claim() -> None:
    # kills: the negative control left out of the verdict.
    verdict = claim.judge(planted(8, 4, 2, 1, 0))
    assert verdict.negative_control.outcome == INCONCLUSIVE


def test_measured_at_small_cost() -> None:
    small = replace(claim.Settings(), seeds=2, teacher=3, excess=(0, 1, 3), starts=6, steps=400)
    measured = replicated(claim.FINDING, small)
    verdict = judged(claim.FINDING, measured)
    assert verdict.outcome == INCONCLUSIVE
    assert measured.loss.shape == (2, 3, 6)
    assert len(np.unique(measured.loss)) > 30
    assert float(measured.loss.sel(excess=3).median()) < claim.STUCK
    assert np.array_equal(claim.measure(small, 1).loss, measured.loss[1])
