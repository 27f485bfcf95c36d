"""Families of curves between two points: which mix of control points lies at a place."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float64

KINDS = ("bezier", "polychain")

FINE = 2001
"""Places at which lengths are summed."""

Array = Float64[np.ndarray, "..."]


def coefficients(kind: str, controls: int, t: Array) -> Float64[np.ndarray, "... control"]:
    r"""The weights of all control points, the ends among them, at places `t`; they add up to one.

    .. math:: c_k(t) = \binom nk (1 - t)^{n - k} t^k \quad\text{or}\quad
        c_k(t) = \max(0, 1 - |n t - k|), \qquad n = \text{controls} - 1

    >>> coefficients("bezier", 3, np.array(0.5)).tolist()
    [0.25, 0.5, 0.25]
    >>> coefficients("polychain", 3, np.array(0.25)).tolist()
    [0.5, 0.5, 0.0]
    """
    n, k = controls - 1, np.arange(controls)
    at = np.asarray(t, dtype=np.float64)[..., None]
    if kind == "polychain":
        return np.maximum(0.0, 1.0 - np.abs(n * at - k))
    choose = np.array([math.comb(n, j) for j in range(controls)], dtype=np.float64)
    made: Array = choose * (1 - at) ** (n - k) * at**k
    return made


def rate_scale(kind: str, controls: int) -> float:
    r"""What makes a step move no place by more than a step of SGD would: 1 over the largest sum.

    .. math:: s = 1 / \max_t \sum_{0 < k < n} c_k(t)^2

    The gradient of an inner control point is :math:`c_k` times that of the place drawn, and moves
    that place by :math:`c_k` times its own move.

    >>> round(rate_scale("bezier", 3), 3), rate_scale("polychain", 3)
    (4.0, 1.0)
    """
    inner = coefficients(kind, controls, np.linspace(0.0, 1.0, FINE))[:, 1:-1]
    return float(1.0 / (inner**2).sum(1).max())


def arc_lengths(
    kind: str, gram: Float64[np.ndarray, "control control"], t: Float64[np.ndarray, " t"]
) -> Float64[np.ndarray, " t"]:
    """The length of the curve up to each place, from the inner products of the control points."""
    places = np.linspace(0.0, 1.0, FINE)
    mixed = np.diff(coefficients(kind, len(gram), places), axis=0)
    steps = np.sqrt(np.maximum(np.einsum("pk,kl,pl->p", mixed, gram, mixed), 0.0))
    made: Array = np.interp(t, places, np.concatenate([[0.0], np.cumsum(steps)]))
    return made
