"""Second differences along the axes of a plane: how much it bends, and where downward."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from theodolite.shapes.grids import Values

ROUNDING = 1e-6
"""Relative size of a second difference that single precision alone can make."""


def sags(along: Values, axis: Float[np.ndarray, " point"]) -> Values:
    """How far each point of the first dimension lies below the chord of its two neighbors."""
    x = axis.reshape(-1, *[1] * (along.ndim - 1))
    left, right = x[1:-1] - x[:-2], x[2:] - x[1:-1]
    chord = (along[:-2] * right + along[2:] * left) / (left + right)
    return np.asarray(chord - along[1:-1])


def finite_only(values: Values) -> Values:
    """NaN for what is not finite: no second difference reaches over a diverged point."""
    return np.where(np.isfinite(values), values, np.nan)


def bend_shares(
    values: Float[np.ndarray, "alpha beta"],
    alphas: Float[np.ndarray, " alpha"],
    betas: Float[np.ndarray, " beta"],
) -> list[float]:
    """Along each axis the share of places where the surface curves downward.

    A place is three neighboring points of a grid line. It counts when its second difference is
    below minus 1e-6 of the loss, which rounding cannot make; NaN where no place is finite.
    """
    shares = []
    for axis, x in enumerate((alphas, betas)):
        if x.size < 3:
            continue
        along = np.moveaxis(finite_only(values), axis, 0)
        second = sags(along, x)
        known = np.isfinite(second)
        bent = second[known] < -ROUNDING * np.abs(along[1:-1][known])
        shares.append(float(bent.mean()) if known.any() else math.nan)
    return shares


def mean_bending(
    values: Float[np.ndarray, "alpha beta"],
    alphas: Float[np.ndarray, " alpha"],
    betas: Float[np.ndarray, " beta"],
) -> float:
    r"""The mean of :math:`|\partial^2 L|` along both axes, by second differences.

    >>> x = np.linspace(-1, 1, 5)
    >>> mean_bending(np.add.outer(x**2, 3 * x**2), x, x)
    4.0
    """
    found = []
    for axis, x in enumerate((alphas, betas)):
        if x.size < 3:
            continue
        second = sags(np.moveaxis(finite_only(values), axis, 0), x)
        left, right = np.diff(x)[:-1], np.diff(x)[1:]
        curved = 2 * np.abs(second) / (left * right).reshape(-1, 1)
        found.append(curved[np.isfinite(curved)])
    every = np.concatenate(found) if found else np.empty(0)
    return float(every.mean()) if every.size else math.nan
