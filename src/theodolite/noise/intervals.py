"""Numbers with the ends of their intervals, and how results hold them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from theodolite import results

Interval = tuple[float, float, float]
"""A value, the lower and the upper end of its interval."""

ENDS = {"": "", "_low": "lower end of ", "_high": "upper end of "}


def around(value: float, variance: float, c: float) -> Interval:
    """The symmetric interval of `c` standard errors."""
    reach = c * math.sqrt(variance)
    return value, value - reach, value + reach


def by_factor(value: float, variance: float, c: float) -> Interval:
    """The interval of a positive number by its logarithm: samples of squares are skewed."""
    reach = math.exp(c * math.sqrt(variance) / value) if value > 0 else 1.0
    return value, value / reach, value * reach


def with_ends(
    values: Mapping[str, Interval], told: Mapping[str, tuple[str, str]]
) -> dict[str, results.Variable]:
    """Three variables a number: ``name``, ``name_low`` and ``name_high``.

    `told` gives the long name and the units of each, which may be empty.
    """
    made: dict[str, results.Variable] = {}
    for name, numbers in values.items():
        long_name, units = told[name]
        noted = {"units": units} if units else {}
        for (end, word), number in zip(ENDS.items(), numbers, strict=True):
            made[name + end] = ((), number, {"long_name": word + long_name, **noted})
    return made
