"""The rules from interval to outcome, and what controls forbid.

Oracle: the definitions of the three outcomes, by hand.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
import xarray as xr

from theodolite.errors import InvalidArgument, InvalidData
from theodolite.findings import Estimate, Verdict, verdict_of
from theodolite.findings import verdict as rules

YES, NO, MAYBE = rules.OUTCOMES


def estimate(low: float, value: float, high: float) -> Estimate:
    return Estimate(value, low, high, 0.95, 5, "planted")


def verdict(outcome: str, **parts: Any) -> Verdict:
    return Verdict(outcome, 1.0, (0.5, 1.5), 0.95, 5, "planted.", **parts)


AT_LEAST = [
    ((0.1, 1.0, 2.0), {"minimum": 0.5}, YES),
    ((0.1, 0.4, 0.7), {"minimum": 0.5}, MAYBE),  # there, but smaller than claimed
    ((-0.1, 1.0, 2.0), {"minimum": 0.5}, MAYBE),  # large, but zero is possible
    ((0.1, 0.2, 0.4), {"minimum": 0.5}, NO),  # there, but surely smaller than claimed
    ((-2.0, -1.0, -0.1), {"minimum": 0.0}, NO),
    ((2.4, 2.6, 2.65), {"minimum": 2.7, "null": 2.5, "fails_below": 2.5}, MAYBE),
    ((2.2, 2.3, 2.4), {"minimum": 2.7, "null": 2.5, "fails_below": 2.5}, NO),
    ((math.nan, math.nan, math.nan), {"minimum": 0.5}, MAYBE),
    ((-math.inf, 1.0, math.inf), {"minimum": 0.5}, MAYBE),
]


@pytest.mark.parametrize(("numbers", "rule", "outcome"), AT_LEAST)
def test_at_least(numbers: tuple[float, ...], rule: dict[str, float], outcome: str) -> None:
    # Kills: value for low against null, low for high against the floor.
    assert rules.at_least(estimate(*numbers), **rule) == outcome


@pytest.mark.parametrize(
    ("numbers", "outcome"),
    [
        ((0.0, 0.5, 1.0), YES),
        ((0.5, 0.9, 1.1), MAYBE),
        ((1.5, 1.7, 2.1), MAYBE),
        ((3.0, 4.0, 5.0), NO),
    ],
)
def test_at_most(numbers: tuple[float, ...], outcome: str) -> None:
    # Kills: value for high against the maximum, fails_above ignored.
    assert rules.at_most(estimate(*numbers), maximum=1.0, fails_above=2.0) == outcome


def test_at_most_fails_above_its_maximum_by_default() -> None:
    assert rules.at_most(estimate(1.5, 1.7, 2.1), maximum=1.0) == NO


@pytest.mark.parametrize(
    ("numbers", "outcome"),
    [
        ((0.95, 1.0, 1.05), YES),
        ((0.85, 0.95, 1.05), MAYBE),
        ((0.95, 1.05, 1.15), MAYBE),
        ((0.7, 0.8, 0.85), NO),
        ((1.15, 1.2, 1.3), NO),
        ((0.5, 1.0, 1.5), MAYBE),
    ],
)
def test_within(numbers: tuple[float, ...], outcome: str) -> None:
    # Kills: one side of the margin forgotten, for either outcome.
    assert rules.within(estimate(*numbers), 0.9, 1.1) == outcome


def test_all_of_is_the_worst_part() -> None:
    assert rules.all_of(YES, YES) == YES
    assert rules.all_of(YES, MAYBE) == MAYBE
    assert rules.all_of(MAYBE, NO, YES) == NO


@pytest.mark.parametrize("control", [YES, MAYBE])
def test_a_claim_whose_negative_control_does_not_fail_is_not_reproduced(control: str) -> None:
    # Kills: the check left out; "inconclusive" taken for a failure of the control.
    made = rules.controlled(verdict(YES), negative=verdict(control))
    assert made.outcome == MAYBE
    assert "negative control came out" in made.explanation
    assert control in made.explanation


@pytest.mark.parametrize("control", [NO, MAYBE])
def test_a_claim_whose_positive_control_does_not_hold_is_not_refuted(control: str) -> None:
    made = rules.controlled(verdict(NO), negative=verdict(NO), positive=verdict(control))
    assert made.outcome == MAYBE
    assert "positive control came out" in made.explanation


@pytest.mark.parametrize("outcome", rules.OUTCOMES)
def test_good_controls_change_nothing(outcome: str) -> None:
    made = rules.controlled(verdict(outcome), negative=verdict(NO), positive=verdict(YES))
    assert (made.outcome, made.explanation) == (outcome, "planted.")


def test_a_verdict_against_its_controls_cannot_be_made() -> None:
    with pytest.raises(InvalidArgument, match="E-F22"):
        verdict(YES, negative_control=verdict(YES))
    with pytest.raises(InvalidArgument, match="E-F22"):
        verdict(NO, positive_control=verdict(NO))


def test_a_verdict_has_one_of_three_outcomes_and_an_interval() -> None:
    with pytest.raises(InvalidArgument, match="got 'holds'"):
        verdict("holds")
    with pytest.raises(InvalidArgument, match="from low to high"):
        replace(verdict(YES), interval=(2.0, 1.0))


def test_a_verdict_survives_json() -> None:
    # Kills: a part dropped; infinity written as JSON that other readers refuse.
    corrected = rules.controlled(verdict(YES), negative=verdict(NO))
    open_ended = replace(verdict(NO), interval=(-math.inf, math.inf))
    made = rules.controlled(
        verdict(MAYBE), negative=open_ended, positive=verdict(YES), corrected=corrected
    )
    text = json.dumps(made.as_dict(), allow_nan=False)
    assert rules.verdict_from(json.loads(text)) == made
    assert verdict_of(xr.Dataset(attrs={"verdict": text})) == made


def test_an_undefined_effect_survives_json() -> None:
    made = replace(verdict(MAYBE), effect=math.nan)
    assert math.isnan(rules.verdict_from(made.as_dict()).effect)


def test_a_result_without_a_verdict_is_refused() -> None:
    with pytest.raises(InvalidData, match="E-F23"):
        verdict_of(xr.Dataset())
