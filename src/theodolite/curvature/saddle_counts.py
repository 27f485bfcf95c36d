"""How many directions surely curve down, how many may, and what that makes of a point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from theodolite.curvature.smoothing import bracketed
from theodolite.linalg.ends import LowEnd

MISS = 1e-3
"""A chance of having overlooked an eigenvalue above this leaves a count open."""

MINIMUM, MAXIMUM, UNDETERMINED = "minimum up to tau", "maximum", "undetermined"


@dataclass(frozen=True, eq=False)
class Counts:
    """Eigenvalues below each cut: at least ``certain``, at most ``possible`` (NaN: unknown)."""

    certain: Int[np.ndarray, " tau"]
    possible: Float64[np.ndarray, " tau"]


def counted_below(end: LowEnd, taus: Float64[np.ndarray, " tau"]) -> Counts:
    """Counts of eigenvalues below ``-tau`` times the largest in size.

    An eigenvalue within its error of the cut counts as possible only. Ritz vectors are
    orthonormal, so that as many eigenvalues lie below a cut as Ritz values do (Cauchy).
    """
    surely = end.values + end.errors < -taus[:, None] * (end.scale + end.scale_error)
    maybe = end.values - end.errors <= -taus[:, None] * end.scale  # all of a zero matrix
    certain, possible = surely.sum(1), maybe.sum(1).astype(np.float64)
    possible[end.missed > MISS] = np.nan
    return Counts(certain, possible)


def verdicts(counts: Counts, size: int) -> list[str]:
    """One sentence a cut; without a certain negative direction and without proof that there is
    none, "undetermined".

    >>> verdicts(Counts(np.array([0, 2, 0]), np.array([0.0, 2.0, 1.0])), 9)[1:]
    ['saddle with at least 2 directions', 'undetermined']
    """
    return [
        _verdict(int(k), float(p), size)
        for k, p in zip(counts.certain, counts.possible, strict=True)
    ]


def _verdict(certain: int, possible: float, size: int) -> str:
    if certain == size:
        return MAXIMUM
    if certain:
        return f"saddle with at least {certain} direction{'s' if certain > 1 else ''}"
    return MINIMUM if possible == 0 else UNDETERMINED


def masses_below(
    node: Float64[np.ndarray, "probe step"],
    weight: Float64[np.ndarray, "probe step"],
    cuts: Float64[np.ndarray, " tau"],
) -> tuple[Float64[np.ndarray, "probe tau"], ...]:
    """Weight below each cut, seen by each probe, and its bounds below and above.

    A node stands for eigenvalues on both sides of it: the bounds leave out the last node below
    the cut and take in the first one above (Chebyshev, Markov, Stieltjes).
    """
    below = (node[:, :, None] < -cuts).sum(1)
    by_cut = [bracketed(weight, k) for k in below.T]
    low, mass, high = (np.stack([found[k] for found in by_cut], axis=1) for k in range(3))
    return mass, low, high
