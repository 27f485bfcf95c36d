"""Whether shares fall exponentially with a size, or by a power law: binomial fits of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy import ndarray
from scipy import stats
from scipy.optimize import brentq, minimize_scalar

from theodolite.intervals.statistics import LEVEL, Estimate

SCALES: dict[str, Callable[[ndarray], ndarray]] = {
    "exponential": lambda excess: excess,
    "power law": lambda excess: np.log1p(excess),
}
STEEPEST = 50.0


@dataclass(frozen=True)
class Decay:
    """A fitted decay: its rate, the log-likelihood, how surely it fits, and what it predicts."""

    rate: Estimate
    log_likelihood: float
    fit: float
    shares: tuple[float, ...]


def fitted_decay(
    excess: ndarray, successes: ndarray, trials: ndarray, *, law: str, level: float = LEVEL
) -> Decay:
    r"""The binomial fit of a share that falls from some value at the smallest excess.

    .. math:: p(x) = \exp(-c - r x) \quad\text{or}\quad p(x) = e^{-c} (1 + x)^{-r},
        \qquad p(\min x) \le 1

    by maximum likelihood, with the profile likelihood interval of r (between 0 and `STEEPEST`;
    Venzon, Moolgavkar 1988), and the probability of a deviance as large by chance (chi-square
    with as many degrees of freedom as sizes less 2). Sizes where nothing is left count, as the
    likelihood knows no logarithm of zero. Not checked: that trials are independent.

    >>> trials = np.full(4, 1600)
    >>> stuck = np.array([800, 400, 200, 100])
    >>> decay = fitted_decay(np.arange(4), stuck, trials, law="exponential")
    >>> round(decay.rate.value, 4), round(decay.fit, 4)  # ln 2
    (0.6931, 1.0)
    """
    x = SCALES[law](np.asarray(excess, dtype=float))
    x = x - x.min()
    hits, draws = np.asarray(successes, dtype=float), np.asarray(trials, dtype=float)

    def likelihood(rate: float, offset: float) -> float:
        share = np.clip(np.exp(-offset - rate * x), 1e-300, 1 - 1e-12)
        return float((hits * np.log(share) + (draws - hits) * np.log1p(-share)).sum())

    def profile(rate: float) -> tuple[float, float]:
        found = minimize_scalar(
            lambda offset: -likelihood(rate, offset), bounds=(0.0, 30.0), method="bounded"
        )
        ends = [(likelihood(rate, c), c) for c in (0.0, float(found.x))]
        return max(ends)

    rates = np.concatenate([[0.0], np.geomspace(1e-3, STEEPEST, 60)])
    heights = [profile(r)[0] for r in rates]
    best = int(np.argmax(heights))
    around = (rates[max(best - 1, 0)], rates[min(best + 1, len(rates) - 1)])
    peak = minimize_scalar(
        lambda r: -profile(r)[0], bounds=around, method="bounded", options={"xatol": 1e-8}
    )
    rate, top = float(peak.x), -float(peak.fun)
    if heights[0] >= top:
        rate, top = 0.0, heights[0]
    drop = float(stats.chi2.ppf(level, 1)) / 2

    def crossing(end: float) -> float:
        if profile(end)[0] >= top - drop:
            return end
        return float(brentq(lambda r: profile(r)[0] - top + drop, *sorted((rate, end))))

    shares = np.exp(-profile(rate)[1] - rate * x)
    deviance = max(2 * (_saturated(hits, draws) - top), 0.0)
    estimate = Estimate(
        rate, crossing(0.0), crossing(STEEPEST), level, len(x), "profile likelihood"
    )
    fit = float(stats.chi2.sf(deviance, len(x) - 2))
    return Decay(estimate, top, fit, tuple(float(s) for s in np.clip(shares, 0, 1)))


def _saturated(hits: ndarray, draws: ndarray) -> float:
    """The log-likelihood of the shares themselves."""
    share = np.clip(hits / draws, 1e-300, 1 - 1e-16)
    return float((hits * np.log(share) + (draws - hits) * np.log1p(-share)).sum())
