"""The grid: where along each direction the loss is measured."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float64

from theodolite.errors import InvalidArgument

MOST = 10_000_000
"""Points of an axis beyond which the number is taken for a mistake."""


def coordinates(span: Any, steps: Any, where: str = "") -> Float64[np.ndarray, " step"]:
    """`steps` evenly spaced float64 values from ``span[0]`` to ``span[1]``, both included.

    Ends are exact; zero is exact where it lies on the grid; a span symmetric about zero gives
    values symmetric about zero. `where` distinguishes the axes of a plane in messages.

    >>> coordinates((-1, 1), 5).tolist()
    [-1.0, -0.5, 0.0, 0.5, 1.0]
    """
    low, high = _ends(span, where)
    count = _count(steps, low, high, where)
    values = np.linspace(low, high, count, dtype=np.float64)
    if low == -high:
        values = (values - values[::-1]) / 2
    if count > 1:
        values[np.abs(values) < 1e-9 * (high - low) / (count - 1)] = 0.0
    return values


def _ends(span: Any, where: str) -> tuple[float, float]:
    try:
        low, high = (float(v) for v in span)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(
            f"span{where} must be two numbers (low, high); got {span!r}.", code="E-G01"
        ) from error
    if not math.isfinite(low) or not math.isfinite(high) or not math.isfinite(high - low):
        raise InvalidArgument(f"span{where} must be finite; got ({low:g}, {high:g}).", code="E-G01")
    if low > high:
        raise InvalidArgument(
            f"span{where} must increase; got ({low:g}, {high:g}).",
            fix=f"pass ({high:g}, {low:g}).",
            code="E-G01",
        )
    return low, high


def _count(steps: Any, low: float, high: float, where: str) -> int:
    whole = isinstance(steps, int | np.integer) and not isinstance(steps, bool)
    if not whole or steps < 1:
        raise InvalidArgument(
            f"steps{where} must be a whole number, at least 2; got {steps!r}.", code="E-G01"
        )
    if steps > MOST:
        raise InvalidArgument(
            f"steps{where} must be at most {MOST:,}; got {steps:,}.",
            why="every point is a pass over the data, and the coordinates must fit into memory.",
            fix="use fewer steps.",
            code="E-G10",
        )
    if (steps == 1) != (low == high):
        raise InvalidArgument(
            f"steps{where}={steps} does not fit the span ({low:g}, {high:g}).",
            why="one step is one point, and two ends need two.",
            fix="use at least 2 steps, or one step with a span whose ends are equal.",
            code="E-G01",
        )
    return int(steps)
