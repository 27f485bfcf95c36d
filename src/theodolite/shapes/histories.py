"""What a value does over the steps of a training: its rise to a level, and where it settles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy.stats import t as student

from theodolite.errors import InvalidArgument

BATCHES, FEWEST = 10, 2
"""A mean over time rests on so many batches of values in a row, of at least so many values."""

WINDOWS = 40
"""A loss is looked at over so many stretches of time."""


@dataclass(frozen=True)
class Settled:
    """The mean of the late values, its standard error and interval; NaN where there are none."""

    mean: float
    error: float
    low: float
    high: float
    values: int


def settled(values: Any, *, level: float = 0.95, batches: int = BATCHES) -> Settled:
    r"""The mean of values in a row, with an interval that knows they are alike.

    .. math:: \bar x \pm t_{b-1}\, \frac{s(\bar x_1, \dots, \bar x_b)}{\sqrt b}

    with the means of b batches of values in a row (method of batch means). Values next to each
    other in a training are correlated, so that their standard deviation over the root of their
    number would be too small; means of batches longer than that correlation are not. Not checked:
    that the series is stationary, and that batches are long enough: the interval is too short
    where the correlation reaches over more than a few hundredths of the series. Fewer than four
    values have no interval (NaN). Raises `InvalidArgument` (E-U41) for fewer than two batches.

    References: Schmeiser (1982), Operations Research 30.

    >>> found = settled([1.0, 3.0, 1.0, 3.0, 1.0, 3.0], batches=3)
    >>> found.mean, found.error  # every batch has the mean 2
    (2.0, 0.0)
    """
    if batches < 2:
        raise InvalidArgument(f"batches must be at least 2; got {batches!r}.", code="E-U41")
    x = np.asarray(values, np.float64)
    if not len(x) or not np.isfinite(x).all():
        return Settled(math.nan, math.nan, math.nan, math.nan, len(x))
    mean, count = float(x.mean()), min(batches, len(x) // FEWEST)
    if count < 2:
        return Settled(mean, math.nan, math.nan, math.nan, len(x))
    means = np.array([part.mean() for part in np.array_split(x, count)])
    error = float(means.std(ddof=1) / math.sqrt(count))
    reach = float(student.ppf((1 + level) / 2, count - 1)) * error
    return Settled(mean, error, mean - reach, mean + reach, len(x))


def first_reached(times: Any, values: Any, level: float) -> float:
    """When a series first reaches a level, by straight lines between its values; NaN if never.

    >>> first_reached([0, 10, 20], [0.0, 1.0, 3.0], 2.0)
    15.0
    """
    t, x = np.asarray(times, np.float64), np.asarray(values, np.float64)
    over = np.flatnonzero(x >= level)
    if not len(over):
        return math.nan
    k = int(over[0])
    if k == 0 or not math.isfinite(x[k - 1]):
        return float(t[k])
    return float(t[k - 1] + (level - x[k - 1]) / (x[k] - x[k - 1]) * (t[k] - t[k - 1]))


@dataclass(frozen=True)
class Rise:
    """The climb of a series from its lowest value: factor, slope of a straight line, R^2."""

    factor: float
    slope: float
    explained: float
    values: int


def rise(times: Any, values: Any) -> Rise:
    """The climb from the lowest value of a series to its end, with a least-squares line.

    ``explained`` is the share of the variance that the line explains. The line is NaN for fewer
    than three values from the lowest one on, the factor for a single one.

    >>> found = rise([0, 1, 2, 3], [2.0, 1.0, 3.0, 5.0])
    >>> found.factor, round(found.slope, 6), round(found.explained, 6)
    (5.0, 2.0, 1.0)
    """
    t, x = np.asarray(times, np.float64), np.asarray(values, np.float64)
    if not len(x) or not np.isfinite(x).all():
        return Rise(math.nan, math.nan, math.nan, 0)
    low = int(np.argmin(x))
    t, x = t[low:], x[low:]
    factor = float(x[-1] / x[0]) if x[0] > 0 and len(x) > 1 else math.nan
    if len(x) < 3:
        return Rise(factor, math.nan, math.nan, len(x))
    slope, base = np.polyfit(t, x, 1)
    left, whole = x - slope * t - base, x - x.mean()
    spread = float(whole @ whole)
    explained = 1 - float(left @ left) / spread if spread > 0 else math.nan
    return Rise(factor, float(slope), explained, len(x))


def rising_share(values: Float64[np.ndarray, " step"]) -> float:
    """The share of steps at which a series goes up; NaN without a step.

    >>> rising_share(np.array([3.0, 2.0, 2.5, 1.0]))
    0.3333333333333333
    """
    gaps = np.diff(values)
    return float((gaps > 0).mean()) if len(gaps) else math.nan


def falling_share(values: Float64[np.ndarray, " step"], *, windows: int = WINDOWS) -> float:
    """The share of stretches of time whose mean lies below that of the stretch before.

    NaN where stretches would be shorter than two values.

    >>> falling_share(np.array([4.0, 5.0, 3.0, 4.0, 2.0, 3.0]), windows=3)
    1.0
    """
    count = min(windows, len(values) // 2)
    if count < 2:
        return math.nan
    means = np.array([part.mean() for part in np.array_split(values, count)])
    return float((np.diff(means) < 0).mean())
