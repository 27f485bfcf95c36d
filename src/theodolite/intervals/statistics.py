"""Intervals for what a finding measures: paired by seed, bootstrapped, or counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from theodolite.errors import InvalidArgument, InvalidData
from theodolite.seeds import numpy_generator

LEVEL = 0.95
"""The share of runs whose interval holds the truth, unless a finding says otherwise."""

BOOTSTRAP_SEEDS = 10
"""With fewer samples a bootstrap interval is too narrow to judge by."""


@dataclass(frozen=True)
class Estimate:
    """A number with the two-sided interval ``[low, high]`` that holds it at ``level``.

    ``count`` samples (seeds, pairs or trials) went into it by ``method``. One sample says
    nothing about its own spread: its interval is the whole line.
    """

    value: float
    low: float
    high: float
    level: float
    count: int
    method: str


def mean_interval(samples: Any, *, level: float = LEVEL) -> Estimate:
    r"""The mean of independent samples and Student's interval.

    .. math:: \bar x \pm t_{(1+\text{level})/2,\,n-1}\; s / \sqrt{n}

    with ``s`` the standard deviation over ``n - 1``. Exact for normal samples; for others as
    good as the central limit theorem. Raises `InvalidData` for samples that are missing or not
    finite. Not checked: that samples are independent.

    Source: Student (1908), Biometrika 6.

    >>> e = mean_interval([1.0, 3.0])
    >>> e.value, round(e.low, 2), round(e.high, 2)
    (2.0, -10.71, 14.71)
    """
    x = _finite(samples, "samples")
    _check_level(level)
    value, half = float(x.mean()), math.inf
    if len(x) > 1:
        error = float(x.std(ddof=1)) / math.sqrt(len(x))
        half = float(stats.t.ppf((1 + level) / 2, len(x) - 1)) * error
    return Estimate(value, value - half, value + half, level, len(x), "Student's t")


def paired_interval(
    treated: Any, control: Any, *, ratio: bool = False, level: float = LEVEL
) -> Estimate:
    """The mean difference of pairs that share a seed, or with ``ratio`` the mean ratio.

    ``treated - control`` pair by pair, or the geometric mean of ``treated / control`` with the
    interval of the mean log-ratio. Pairing takes out what two runs of one seed have alike.
    Raises `InvalidData` for unequal lengths, missing values, or a ratio of values that are not
    positive.

    >>> paired_interval([2.0, 4.0], [1.0, 2.0], ratio=True).value
    2.0
    """
    a, b = _finite(treated, "treated"), _finite(control, "control")
    if len(a) != len(b):
        raise InvalidData(
            f"treated and control must be pairs; got {len(a)} and {len(b)} values.",
            fix="give one value of each for every seed, in the same order.",
            code="E-F11",
        )
    if not ratio:
        return replace(mean_interval(a - b, level=level), method="paired t")
    if min(a.min(), b.min()) <= 0:
        raise InvalidData(
            f"a ratio needs positive values; the smallest is {min(a.min(), b.min()):.3g}.",
            fix="compare differences (ratio=False).",
            code="E-F12",
        )
    return exponential(replace(mean_interval(np.log(a / b), level=level), method="paired t"))


def exponential(estimate: Estimate) -> Estimate:
    """The estimate of a logarithm as one of the number itself.

    >>> exponential(Estimate(0.0, -1.0, 1.0, 0.95, 3, "")).value
    1.0
    """
    low, value, high = (float(np.exp(v)) for v in (estimate.low, estimate.value, estimate.high))
    method = f"{estimate.method}, of the logarithm"
    return replace(estimate, value=value, low=low, high=high, method=method)


def bootstrap_interval(
    samples: Any,
    *,
    statistic: Callable[..., Any] = np.mean,
    level: float = LEVEL,
    resamples: int = 9999,
    seed: int = 0,
) -> Estimate:
    """Bias-corrected and accelerated bootstrap of a statistic of at least 10 samples.

    ``statistic(samples, axis)`` as in NumPy. Samples that are all equal have no spread to
    resample, and their interval is a point. Equivalent to ``scipy.stats.bootstrap`` with
    ``method="BCa"`` and a generator of its own. Raises `InvalidData` below 10 samples.

    Source: Efron (1987), Journal of the American Statistical Association 82.

    >>> bootstrap_interval([1.0] * 10).low
    1.0
    """
    x = _finite(samples, "samples")
    _check_level(level)
    if len(x) < BOOTSTRAP_SEEDS:
        raise InvalidData(
            f"a bootstrap interval needs at least {BOOTSTRAP_SEEDS} samples; got {len(x)}.",
            fix="use mean_interval, or more seeds.",
            code="E-F13",
        )
    value = low = high = float(statistic(x, axis=0))
    if float(np.ptp(x)) > 0:
        found = stats.bootstrap(
            (x,),
            statistic,
            n_resamples=resamples,
            confidence_level=level,
            method="BCa",
            rng=numpy_generator(seed, "bootstrap"),
        ).confidence_interval
        low, high = float(found.low), float(found.high)
    return Estimate(value, low, high, level, len(x), "BCa bootstrap")


def proportion_interval(
    successes: int, trials: int, *, level: float = LEVEL, method: str = "exact"
) -> Estimate:
    """The share of successes in independent trials with a binomial interval.

    ``"exact"`` (Clopper, Pearson 1934) holds the truth at least at ``level``; ``"wilson"``
    (Wilson 1927) does so on average and is shorter. Raises `InvalidArgument` unless
    ``0 <= successes <= trials`` and ``trials >= 1``.

    >>> round(proportion_interval(0, 10).high, 4)  # 1 - 0.025 ** (1 / 10)
    0.3085
    """
    _check_level(level)
    if method not in ("exact", "wilson"):
        raise InvalidArgument(f"method must be 'exact' or 'wilson'; got {method!r}.", code="E-F14")
    if trials < 1 or not 0 <= successes <= trials:
        raise InvalidArgument(
            "successes must lie between 0 and trials, of which there is at least 1; "
            f"got {successes} of {trials}.",
            code="E-F15",
        )
    found = stats.binomtest(successes, trials).proportion_ci(level, method)
    share = successes / trials
    return Estimate(share, float(found.low), float(found.high), level, trials, f"{method} binomial")


def needed_seeds(deviation: float, difference: float) -> int:
    r"""How many paired seeds it takes to see a mean difference.

    .. math:: n = \left\lceil (2.3\, s / \Delta)^2 + 2 \right\rceil

    for per-seed differences of standard deviation ``s`` and a mean ``Delta``: a 95 % t-interval
    of so many normal differences leaves out zero in 64 to 75 % of the runs (for ``s`` of half to
    three times ``Delta``). Raises `InvalidArgument` for a negative deviation or no difference.

    >>> needed_seeds(1.0, 1.0)
    8
    """
    if not (deviation >= 0 and difference != 0):
        raise InvalidArgument(
            f"deviation must be at least 0 and difference not 0; got {deviation} and {difference}.",
            code="E-F16",
        )
    return math.ceil((2.3 * deviation / difference) ** 2 + 2)


def simultaneous(level: float, count: int) -> float:
    """The level of each of `count` intervals that together hold at `level` (Bonferroni).

    >>> round(simultaneous(0.95, 5), 6)
    0.99
    """
    return 1 - (1 - level) / count


def _finite(values: Any, name: str) -> np.ndarray:
    listed = list(values) if isinstance(values, Iterable) else [values]
    x = np.asarray(listed, dtype=np.float64).reshape(-1)
    bad = int((~np.isfinite(x)).sum())
    if len(x) == 0 or bad:
        raise InvalidData(
            f"{name} must be one or more finite numbers; got {len(x)}, {bad} of them not finite.",
            code="E-F10",
        )
    return x


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise InvalidArgument(
            f"level must lie strictly between 0 and 1; got {level}.", code="E-F17"
        )
