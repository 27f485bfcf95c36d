"""Means over the repetitions where a value is known."""

from __future__ import annotations

from typing import Any

import numpy as np

from theodolite.intervals.statistics import LEVEL, Estimate, mean_interval


def known_mean(values: Any, *, level: float = LEVEL) -> Estimate:
    """`mean_interval` over the values that are finite; fewer than two say nothing.

    >>> known_mean([1.0, float("nan"), 3.0]).count
    2
    """
    known = np.asarray(values, dtype=np.float64).reshape(-1)
    known = known[np.isfinite(known)]
    if len(known) < 2:
        return Estimate(np.nan, -np.inf, np.inf, level, len(known), "none")
    return mean_interval(known, level=level)


def named(estimate: Estimate, *, scale: float | int = 1) -> str:
    """A value with its interval, as a sentence quotes it.

    >>> named(Estimate(0.0123, 0.01, 0.02, 0.95, 3, ""), scale=100)
    '1.23 [1, 2]'
    """
    value, low, high = (scale * v for v in (estimate.value, estimate.low, estimate.high))
    return f"{value:.3g} [{low:.3g}, {high:.3g}]"
