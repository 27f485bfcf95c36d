"""Where a rising function passes a level, on a geometric lattice of arguments."""

from __future__ import annotations

import math
from collections.abc import Callable

RATIO = 2 ** (1 / 8)
"""Neighbors on the lattice differ by this factor; between them the crossing is interpolated."""

FARTHEST = 8 * 40
"""The search goes so many places up or down: a factor of 2^40."""


def crossing(function: Callable[[int], float], level: float) -> float | None:
    """The place (in steps of the lattice, interpolated) where `function` passes `level`.

    Brackets from place 0 with growing strides, then bisects: where the function is not monotone
    this is one crossing from below to above, the first bracketed. An infinite value counts as
    above the level, NaN as well. None where there is no crossing within reach.
    """
    bracket = _bracketed(function, level)
    if bracket is None:
        return None
    low, high = bracket
    while high - low > 1:
        middle = (low + high) // 2
        if function(middle) <= level:
            low = middle
        else:
            high = middle
    below, above = function(low), function(high)
    if not math.isfinite(above) or above == below:
        return float(low)
    return low + (level - below) / (above - below)


def _bracketed(function: Callable[[int], float], level: float) -> tuple[int, int] | None:
    """Two places, below or at the level, and above it."""
    up = function(0) <= level
    place, stride = 0, 8
    while True:
        after = place + (stride if up else -stride)
        if abs(after) > FARTHEST:
            return None
        if (function(after) <= level) != up:
            return (place, after) if up else (after, place)
        place, stride = after, min(2 * stride, 64)
