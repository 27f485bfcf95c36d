"""Starts that are stuck: the rule on planted losses, and real students at small cost.

Oracle: counts planted by width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

from theodolite.findings import bad_minima_get_rare_with_width as claim
from theodolite.findings.catalog import judged, replicated
from theodolite.findings.verdict import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED

SEEDS, STARTS = 4, 250
FALLING = {4: 1000, 6: 1000, 8: 200, 9: 40, 10: 5, 16: 0}


def planted(counts: Mapping[int, int]) -> xr.Dataset:
    """How many of 1,000 starts are stuck just above the threshold, by width; the rest below."""
    loss = np.full((SEEDS, len(counts), STARTS), claim.STUCK)
    for i, count in enumerate(counts.values()):
        flat = np.full(SEEDS * STARTS, claim.STUCK * 0.999)
        flat[:count] = claim.STUCK * 1.001
        loss[:, i] = flat.reshape(SEEDS, STARTS)
    dims = ("seed", "width", "start")
    return xr.Dataset(
        {
            "loss": (dims, loss),
            "gradient": (dims, np.full_like(loss, 1e-6)),
            "teacher": (("seed",), np.full(SEEDS, 8)),
        },
        {"width": list(counts)},
    )


def test_a_planted_fall_is_reproduced() -> None:
    # kills: widths below the teacher's in the claim, the fall's sign, one seed alone, starts
    # below the threshold counted.
    verdict = claim.judge(planted(FALLING))
    assert (verdict.outcome, verdict.effect) == (REPRODUCED, pytest.approx(0.2))
    assert verdict.negative_control.outcome == NOT_REPRODUCED
    assert verdict.negative_control.effect == 0.0
    assert "not tested" in verdict.explanation
    low, high = verdict.interval
    # 97.5 % Clopper-Pearson of 200 and of 0 in 1,000
    assert low == pytest.approx(0.17245 - (1 - 0.0125 ** (1 / 1000)), abs=5e-4)
    assert high == pytest.approx(0.2299, abs=5e-4)


@pytest.mark.parametrize(
    ("narrowest", "widest", "outcome"),
    [
        (80, 0, REPRODUCED),
        (45, 0, INCONCLUSIVE),
        (20, 0, NOT_REPRODUCED),
        (0, 0, INCONCLUSIVE),
        (500, 440, INCONCLUSIVE),
        (100, 300, NOT_REPRODUCED),
    ],
)
def test_the_rule_at_its_edges(narrowest: int, widest: int, outcome: str) -> None:
    verdict = claim.judge(planted(FALLING | {8: narrowest, 16: widest}))
    assert verdict.outcome == outcome
    assert ("nothing could get rarer" in verdict.explanation) == (narrowest == 0)


def test_a_fall_below_the_teacher_blocks_the_claim() -> None:
    # kills: the negative control left out.
    verdict = claim.judge(planted(FALLING | {6: 500}))
    assert verdict.outcome == INCONCLUSIVE
    assert verdict.negative_control.outcome == REPRODUCED


def test_widths_in_any_order() -> None:
    # kills: the first and last width of the data in place of the narrowest and widest.
    backwards = planted(dict(reversed(FALLING.items())))
    assert claim.judge(backwards).effect == pytest.approx(0.2)


def test_a_loss_that_is_not_a_number_is_stuck() -> None:
    measured = planted(FALLING)
    measured.loss[0, 5, :7] = np.nan
    assert claim.stuck(measured, 16).value == pytest.approx(0.007)
    found = claim.estimates(measured)
    assert found["loss of the others, 16 units"].value == pytest.approx(claim.STUCK * 0.999)
    assert found["loss of those that are stuck, 4 units"].value > claim.STUCK


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({8: 400, 9: 200, 10: 100, 11: 50}, "consistent with 'exponentially'"),
        ({8: 800, 9: 600, 10: 300, 11: 20}, "not exponential"),
        ({8: 200, 9: 210, 10: 190, 11: 205}, "no fall is seen"),
        ({8: 400, 9: 200, 10: 100, 11: 0}, "not tested"),
        ({8: 1000, 9: 200, 10: 100, 11: 50}, "not tested"),
    ],
)
def test_exponentially_needs_four_widths_and_a_line(counts: dict[int, int], said: str) -> None:
    # kills: three widths, a logarithm of zero, a slope of the wrong sign.
    measured = planted({4: 1000, 6: 1000, **counts})
    assert said in claim.judge(measured).explanation
    fit = claim.exponential_fit(measured)
    assert (fit is None) == (said == "not tested")
    if said.startswith("consistent"):
        assert fit is not None
        assert fit[0].value == pytest.approx(-np.log(2))
        assert fit[0].low < fit[0].value < fit[0].high < 0
        assert fit[1] == pytest.approx(1.0)
        assert claim.estimates(measured)[
            "change of the logarithm of the share stuck, a unit more"
        ].value == pytest.approx(-np.log(2))


def test_a_share_that_is_hardly_known_counts_for_little() -> None:
    # kills: a fit without weights, which has a slope of -1.87.
    fit = claim.exponential_fit(planted({8: 400, 9: 200, 10: 100, 11: 1}))
    assert fit is not None
    assert -0.8 < fit[0].value < -np.log(2)


def test_measured_at_small_cost() -> None:
    small = replace(
        claim.Settings(), seeds=2, teacher=3, widths=(3, 6), narrow=(1, 2), starts=6, steps=400
    )
    measured = replicated(claim.FINDING, small)
    judged(claim.FINDING, measured)
    assert measured.width.values.tolist() == [1, 2, 3, 6]
    assert (claim.unable(measured), claim.able(measured)) == ([1, 2], [3, 6])
    assert claim.stuck(measured, 1).value == claim.stuck(measured, 2).value == 1.0
    assert claim.stuck(measured, 6).value == 0.0
    assert len(np.unique(measured.loss)) > 40
    assert np.array_equal(claim.measure(small, 1).loss, measured.loss[1])
