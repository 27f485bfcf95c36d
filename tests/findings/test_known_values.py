"""Means over what is known. Oracle: the mean and Student's interval of the finite values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from theodolite.findings.known_values import known_mean, named
from theodolite.intervals.statistics import Estimate, mean_interval


def test_only_finite_values_count() -> None:
    # kills: infinity taken for a number, the count of all values.
    found = known_mean(np.array([[1.0, math.nan], [3.0, math.inf]]))
    assert found == mean_interval([1.0, 3.0])
    assert known_mean([1.0, 3.0], level=0.5).level == 0.5


@pytest.mark.parametrize("values", [[], [math.nan, 2.0]])
def test_fewer_than_two_say_nothing(values: list[float]) -> None:
    found = known_mean(values)
    assert math.isnan(found.value)
    assert (found.low, found.high, found.count) == (-math.inf, math.inf, len(values[1:]))


def test_a_sentence_quotes_value_and_interval() -> None:
    assert named(Estimate(0.5, 0.25, 1.0, 0.95, 9, ""), scale=100) == "50 [25, 100]"
