"""The interval of a ratio of two means, which may be unbounded."""

from __future__ import annotations

import math

import numpy as np


def ratio_interval(
    top: float, bottom: float, covariance: np.ndarray, factor: float
) -> tuple[float, float]:
    r"""Fieller's interval of ``top / bottom``: all r with

    .. math:: |t - r b| \le c \sqrt{V_{tt} - 2 r V_{tb} + r^2 V_{bb}}

    `covariance` is the 2 x 2 matrix of the errors and `factor` the quantile c. Where the
    denominator may be zero, no finite interval holds at its level: the upper end is infinite,
    and where nothing can be said, both ends are. The denominator is taken to be positive.

    >>> ratio_interval(6.0, 2.0, np.diag([0.0625, 0.0]), 2.0)
    (2.75, 3.25)
    """
    if bottom > 0 and (factor == 0 or not covariance.any()):
        return top / bottom, top / bottom
    square = factor * factor
    a = bottom * bottom - square * float(covariance[1, 1])
    half = top * bottom - square * float(covariance[0, 1])
    c = top * top - square * float(covariance[0, 0])
    inside = half * half - a * c
    if a > 0 and bottom > 0:
        width = math.sqrt(max(inside, 0.0))
        return (half - width) / a, (half + width) / a
    if a == 0 and bottom == 0:
        return -math.inf, math.inf
    if inside > 0 and c > 0:  # the roots have opposite signs, and r = 0 is not among them
        ends = sorted(((half - math.sqrt(inside)) / a, (half + math.sqrt(inside)) / a))
        if ends[0] <= 0 <= ends[1] and top > 0:
            return ends[1], math.inf
    return -math.inf, math.inf
