"""Rank correlation: whether one number is high where another is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats

from theodolite.errors import InvalidData
from theodolite.intervals.statistics import LEVEL, Estimate, mean_interval
from theodolite.seeds import numpy_generator

FEWEST = 10
SHUFFLES = 200


def spearman(x: Any, y: Any) -> float:
    """Spearman's correlation of ranks, ties sharing their mean rank; infinities rank as they are.

    0 where one side does not vary. Raises `InvalidData` for fewer than three pairs, unequal
    lengths or NaN.

    Source: Spearman (1904), American Journal of Psychology 15.

    >>> spearman([1, 2, 3], [1, 4, 9]), spearman([1, 2, 3], [np.inf, 2, 1])
    (1.0, -1.0)
    """
    a, b = (np.asarray(v, dtype=np.float64).reshape(-1) for v in (x, y))
    if len(a) != len(b) or len(a) < 3 or np.isnan(a).any() or np.isnan(b).any():
        raise InvalidData(
            f"a rank correlation needs at least 3 pairs of numbers; got {len(a)} and {len(b)} "
            f"values, {int(np.isnan(a).sum() + np.isnan(b).sum())} of them missing.",
            code="E-F34",
        )
    ranks = [stats.rankdata(v) for v in (a, b)]
    if min(np.ptp(r) for r in ranks) == 0:
        return 0.0
    return float(np.clip(np.corrcoef(*ranks)[0, 1], -1, 1))


def spearman_interval(x: Any, y: Any, *, level: float = LEVEL) -> Estimate:
    r"""Spearman's correlation of independent pairs with its approximate interval.

    .. math:: \tanh\Bigl(\operatorname{artanh}\rho \pm z \sqrt{(1 + \rho^2/2)/(n - 3)}\Bigr)

    (Bonett, Wright 2000, Psychometrika 65). Raises `InvalidData` below 10 pairs. Pairs that
    share data are not independent: correlate within each seed and take the interval over seeds.

    >>> e = spearman_interval(range(20), range(20))
    >>> e.value, e.high
    (1.0, 1.0)
    """
    rho, count = spearman(x, y), np.asarray(x).size
    if count < FEWEST:
        raise InvalidData(
            f"an interval of a rank correlation needs at least {FEWEST} pairs; got {count}.",
            fix="correlate within each seed and use mean_interval over the seeds.",
            code="E-F35",
        )
    low = high = rho
    if abs(rho) < 1:
        half = stats.norm.ppf((1 + level) / 2) * np.sqrt((1 + rho**2 / 2) / (count - 3))
        low, high = (float(np.tanh(np.arctanh(rho) + s * half)) for s in (-1, 1))
    return Estimate(rho, low, high, level, count, "Spearman, Bonett-Wright")


def mean_correlation(samples: Any, *, level: float = LEVEL) -> Estimate:
    """The mean of correlations, one a seed, with Student's interval cut to [-1, 1].

    >>> e = mean_correlation([0.9, 0.5])
    >>> round(e.value, 6), e.low, e.high
    (0.7, -1.0, 1.0)
    """
    found = mean_interval(samples, level=level)
    return replace(found, low=max(found.low, -1.0), high=min(found.high, 1.0))


def shuffled_spearman(x: Any, y: Any, *, seed: int) -> float:
    """Spearman's correlation after the partners were exchanged at random: no association.

    One shuffle says little, so this is the mean over 200 of them.

    >>> abs(shuffled_spearman(range(30), range(30), seed=0)) < 0.05
    True
    """
    generator, b = numpy_generator(seed, "shuffled partners"), np.asarray(y, dtype=np.float64)
    return float(np.mean([spearman(x, generator.permutation(b)) for _ in range(SHUFFLES)]))
