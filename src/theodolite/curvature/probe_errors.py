"""Standard errors of what probes see of a spectrum, honest with few of them or with one.

No products, no torch. The spread of two draws says next to nothing of their error. But a rule
knows more: the quadratic form of a random sign vector has a variance that is itself a trace.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64
from scipy.special import stdtr, stdtrit

PRIOR = 8
"""Probes that the variance read from the rules counts for, beside the spread of the probes."""

SINGLE = 4.0
"""A node of less than so many mean weights may well stand for one eigenvalue, and counts as one."""

Rules = Float64[np.ndarray, "probe step"]


def probe_error(values: Rules, weight: Rules, size: int | None) -> float:
    r"""The standard error of the mean over probes of :math:`\sum_k w_k f(\theta_k)`.

    .. math:: s^2 = \frac1P \frac{8 v + (P - 1) s_P^2}{8 + P - 1}, \qquad
        v = \frac2n \overline{(f - \bar f)^2}

    `values` are :math:`f` at the nodes. :math:`s_P^2` is the sample variance over the P probes
    and v the variance of one: for sign vectors and a symmetric matrix B = f(A) it is
    :math:`2 (\|B\|_F^2 - \sum_i B_{ii}^2) / n^2`, at most v. An isolated eigenvalue has the
    weight 1/n and a probe sees a random multiple of it, small ones most of all; so in that
    mean a node of less than four such weights counts as one. For a 95 % interval use
    Student's t with `degrees_of_freedom`. Without `size` the spread alone, NaN for one probe.
    Not shown: the error of the rules themselves, which more probes do not lessen.

    Sources: Avron, Toledo (2011), J. ACM 58 (the variance); Smyth (2004), Stat. Appl. Genet.
    Mol. Biol. 3 (the weighting of a known and a sampled variance).

    >>> rule = np.array([[0.5, 0.5]])  # half of ten thousand eigenvalues are 1, the others 0
    >>> round(probe_error(np.array([[0.0, 1.0]]), rule, 10_000), 6)
    0.007071
    """
    sample = (weight * values).sum(1)
    count = len(sample)
    spread = float(sample.var(ddof=1)) if count > 1 else math.nan
    if not size:
        return math.sqrt(spread / count)
    counted = np.where((weight > 0) & (size * weight < SINGLE), 1 / size, weight)
    variance = 2 / size * float((counted * (values - sample.mean()) ** 2).sum(1).mean())
    if count > 1:
        variance = (PRIOR * variance + (count - 1) * spread) / (PRIOR + count - 1)
    return math.sqrt(variance / count)


def quantile_error(node: Rules, weight: Rules, q: float, size: int | None) -> float:
    """The standard error of the quantile `q` over probes, from that of the share below it.

    Half the way between the quantiles of the mean measure at one standard error of the share to
    either side, weighted with the spread of the probes' own quantiles as in `probe_error`. A
    quantile of fewer than one eigenvalue ends at the last node.

    >>> node, weight = np.array([[0.0, 1.0, 2.0, 3.0]]), np.full((1, 4), 0.25)
    >>> round(quantile_error(node, weight, 0.5, 8), 6)
    1.0
    """
    sample = quantiles(node, weight, q)
    count = len(sample)
    spread = float(sample.var(ddof=1)) if count > 1 else math.nan
    if not size:
        return math.sqrt(spread / count)
    share = math.sqrt(2 * q * (1 - q) / (size * count))
    flat = np.argsort(node, axis=None)
    pooled = node.ravel()[flat][None], weight.ravel()[flat][None] / count
    low, high = (float(quantiles(*pooled, at)[0]) for at in (q - share, q + share))
    variance = count * ((high - low) / 2) ** 2
    if count > 1:
        variance = (PRIOR * variance + (count - 1) * spread) / (PRIOR + count - 1)
    return math.sqrt(variance / count)


def quantiles(node: Rules, weight: Rules, q: float) -> Float64[np.ndarray, " probe"]:
    """For each probe the first node up to which at least `q` of the weight lies."""
    return np.asarray(node[np.arange(len(node)), first_reached(weight, q)])


def first_reached(weight: Rules, q: float) -> np.ndarray:
    """For each probe the rank of the node up to which at least `q` of the weight lies."""
    reached = np.cumsum(weight, axis=1) >= q - 1e-12
    return np.asarray(np.where(reached.any(1), reached.argmax(1), weight.shape[1] - 1))


def degrees_of_freedom(probes: int) -> int:
    """Of Student's t for an interval from `probe_error`.

    >>> degrees_of_freedom(2)
    9
    """
    return PRIOR + probes - 1


def beyond_two_errors(probes: int) -> float:
    """The chance that the truth is more than two of these errors away.

    >>> round(beyond_two_errors(2), 3)
    0.077
    """
    return 2 * float(stdtr(degrees_of_freedom(probes), -2.0))


def interval_factor(probes: int, level: float = 0.95) -> float:
    """How many of these errors an interval reaches to either side.

    >>> round(interval_factor(2), 2)
    2.26
    """
    return float(stdtrit(degrees_of_freedom(probes), (1 + level) / 2))
