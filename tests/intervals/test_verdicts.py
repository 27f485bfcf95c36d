"""Verdicts on pairs of minima. Oracle: heights chosen on either side of a threshold."""

from __future__ import annotations

import math

import pytest

from theodolite.intervals.verdicts import (
    DISTINCT,
    JOINED,
    PERMUTED,
    SAME,
    UNDECIDED,
    Evidence,
    Height,
    claim,
    sentence,
    threshold_of,
    verdict,
)

LOW, HIGH, OPEN = Height(0.04, 0.03, 0.05), Height(0.5, 0.4, 0.6), Height(0.1, 0.05, 0.2)
LEVEL = 0.1


@pytest.mark.parametrize(
    ("barrier", "aligned", "curve", "expected"),
    [
        (LOW, None, None, (SAME,)),
        (LOW, HIGH, HIGH, (SAME,)),
        (HIGH, LOW, HIGH, (PERMUTED,)),
        (HIGH, HIGH, LOW, (JOINED,)),
        (HIGH, HIGH, HIGH, (DISTINCT,)),
        (OPEN, LOW, HIGH, (SAME, PERMUTED)),
        (OPEN, OPEN, OPEN, (SAME, PERMUTED, JOINED, DISTINCT)),
        (HIGH, OPEN, LOW, (PERMUTED, JOINED)),
        (HIGH, HIGH, OPEN, (JOINED, DISTINCT)),
        (HIGH, None, LOW, (PERMUTED, JOINED)),
        (HIGH, HIGH, None, (JOINED, DISTINCT)),
    ],
)
def test_the_closest_relation_that_holds_is_the_verdict(barrier, aligned, curve, expected):
    """Kills: the ends of an interval exchanged, an open measure taken for one that fails."""
    found = verdict(Evidence(LEVEL, barrier, aligned=aligned, curve=curve))
    assert found.candidates == expected
    assert found.word == (expected[0] if len(expected) == 1 else UNDECIDED)
    assert bool(found.open) == (len(expected) > 1)


def test_a_model_without_units_to_match_is_not_left_open():
    """Kills: "no symmetries" read as "not tried"."""
    found = verdict(Evidence(LEVEL, HIGH, unaligned="all is frozen", curve=LOW))
    assert found.word == JOINED


def test_the_better_of_two_curves_counts_and_a_stopped_one_proves_nothing():
    """Kills: only the first curve read; a runaway training taken as proof of a wall."""
    assert verdict(Evidence(LEVEL, HIGH, HIGH, curve=HIGH, aligned_curve=LOW)).word == JOINED
    found = verdict(Evidence(LEVEL, HIGH, HIGH, curve=HIGH, unfinished="too long"))
    assert found.candidates == (JOINED, DISTINCT)
    assert "too long" in found.open[0]
    assert verdict(Evidence(LEVEL, HIGH, HIGH, curve=LOW, unfinished="too long")).word == JOINED


def test_what_diverged_lies_above_any_threshold_and_no_interval_is_the_value():
    """Kills: NaN compared, which is neither above nor below."""
    assert Height(math.nan).below(1e9) is False
    assert Height(math.inf, math.nan, math.nan).below(1e9) is False
    assert Height(0.2).below(0.3) is True
    assert Height(0.2).below(0.1) is False


def test_the_threshold_is_a_share_of_what_training_gained():
    """Kills: the better end, the loss of the idle network itself, a share of a negative gain."""
    assert threshold_of([0.1, 0.3], 2.3)[0] == pytest.approx(0.02 * 2.0)
    assert threshold_of([0.1, 0.3], math.inf)[0] == pytest.approx(0.02 * 0.3)
    assert threshold_of([-2.0, -1.0], -1.5)[0] == pytest.approx(0.02 * 1.0)
    assert threshold_of([0.1, 0.3], 2.3, 0.7) == (0.7, "given")


def test_sentences_say_the_verdict_first_and_every_number():
    """Kills: the raw barrier quoted as the aligned one, percent for shares."""
    parts = {"disagreement": Height(0.031), "normalized_disagreement": Height(0.62)}
    evidence = Evidence(
        LEVEL, HIGH, LOW, curve=Height(0.0, 0.0, 0.0), ensemble_gain=Height(0.004), **parts
    )
    told = sentence(evidence, "one", "two", "test examples")
    assert told.startswith("one and two are the same up to permutation.")
    for words in (
        "rises by 0.5 (0.4 to 0.6)",
        "up to 0.1 counts as none",
        "units matched the rise is 0.04 (0.03 to 0.05)",
        "nowhere above the worse end",
        "3.1 % of the test examples, 0.62 times",
        "gains 0.4 percentage points",
    ):
        assert words in told
    open_one = claim(Evidence(LEVEL, OPEN, LOW), "one", "two")
    assert open_one.startswith("It is undecided whether one and two are in the same basin or the")
