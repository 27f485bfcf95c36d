r"""What residuals and gaps say about the error of eigenpairs, beyond the residual itself.

For orthonormal rows `V` with Ritz values :math:`\theta_i` and residuals :math:`r_i`, an
eigenvalue lies within :math:`r_i` of :math:`\theta_i`. If `k` of the values lie in ``[a, b]``,
their residuals have the root sum of squares :math:`\rho`, and the rest of the spectrum keeps a
distance :math:`g > \rho` from ``[a, b]``, then `k` eigenvalues belong to them, in order, with

.. math:: |\lambda_i - \theta_i| \le \frac{\rho^2}{g} \; (k = 1), \qquad
    |\lambda_i - \theta_i| \le \frac{\rho^2}{g - \rho} \; (k > 1), \qquad
    \sin \angle(V_k, X_k) \le \frac{\rho}{g}.

References: Temple (1928); Kato (1949), J. Phys. Soc. Japan 4; Davis, Kahan (1970), SIAM J.
Numer. Anal. 7; Parlett (1998), The Symmetric Eigenvalue Problem, chapters 10 and 11; Mathias
(1998), SIAM J. Matrix Anal. Appl. 19, for the bound with the gap to the projected rest, which is
at most :math:`\rho` smaller than `g`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

Interval = tuple[float, float]


@dataclass(frozen=True, eq=False)
class PairBounds:
    """By pair, in the order given; NaN where the gap does not allow a bound.

    ``gap`` is the distance from the pair's cluster to everything else, ``error`` bounds that of
    the eigenvalue and ``sine`` the sine of the (largest) angle between computed and true vectors.
    """

    gap: Float64[np.ndarray, " pair"]
    error: Float64[np.ndarray, " pair"]
    sine: Float64[np.ndarray, " pair"]


def pair_bounds(
    values: Float64[np.ndarray, " pair"],
    residuals: Float64[np.ndarray, " pair"],
    *,
    unseen: Interval | None,
    rounding: float = 0.0,
) -> PairBounds:
    """Bounds from the gaps between Ritz values.

    `unseen` is an interval that holds every eigenvalue none of these pairs stands for, None
    where there is no other. It is taken as a fact: where it is not, the gaps are estimates and so
    are the bounds. `rounding` is how far rounding alone may move an eigenvalue; it is added.

    >>> found = pair_bounds(np.array([5.0, 1.0]), np.array([0.1, 0.1]), unseen=None)
    >>> found.gap.round(3).tolist(), found.error.round(5).tolist()
    ([3.9, 3.9], [0.00256, 0.00256])
    """
    gap, error, sine = (np.full(len(values), np.nan) for _ in range(3))
    groups = _clusters(values, residuals)
    inflated = [_inflated(values, residuals, g) for g in groups]
    for k, group in enumerate(groups):
        low, high = float(values[group].min()), float(values[group].max())
        others = [span for j, span in enumerate(inflated) if j != k]
        if unseen is not None:
            others.append(unseen)
        rho = _length(residuals, group)
        distance = min((_between((low, high), span) for span in others), default=np.inf)
        if distance <= rho:
            continue
        gap[group] = distance
        left = distance if len(group) == 1 else distance - rho
        error[group] = min(rho**2 / left + rounding, rho)
        sine[group] = min(1.0, rho / distance)
    return PairBounds(gap, error, sine)


def _clusters(
    values: Float64[np.ndarray, " pair"], residuals: Float64[np.ndarray, " pair"]
) -> list[list[int]]:
    """Pairs that their residuals cannot tell apart, merged until no two groups overlap."""
    groups = [[int(k)] for k in np.argsort(values, kind="stable")]
    spans = [_inflated(values, residuals, g) for g in groups]
    k = 0
    while k + 1 < len(groups):
        if spans[k][1] < spans[k + 1][0]:
            k += 1
            continue
        groups[k : k + 2] = [groups[k] + groups[k + 1]]
        spans[k : k + 2] = [_inflated(values, residuals, groups[k])]
        k = max(0, k - 1)
    return groups


def _inflated(
    values: Float64[np.ndarray, " pair"],
    residuals: Float64[np.ndarray, " pair"],
    group: list[int],
) -> Interval:
    """An interval with as many eigenvalues in it as the group has pairs (Kahan)."""
    rho = _length(residuals, group)
    return float(values[group].min()) - rho, float(values[group].max()) + rho


def _length(residuals: Float64[np.ndarray, " pair"], group: list[int]) -> float:
    return float(np.linalg.norm(residuals[group]))


def _between(one: Interval, other: Interval) -> float:
    """The distance between two intervals, negative where they overlap."""
    return max(other[0] - one[1], one[0] - other[1])
