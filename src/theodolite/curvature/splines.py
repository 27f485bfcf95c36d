"""Derivatives of a bicubic spline through the values on a grid, gaps left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from jaxtyping import Bool, Float64
from scipy.interpolate import CubicSpline

LEAST = 4
"""Points in a row below which no cubic goes through them."""

ORDERS = ((0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2))
"""How often the spline is differentiated along alpha and along beta."""

Derivatives = Mapping[tuple[int, int], Float64[np.ndarray, "alpha beta"]]


def derivatives(
    values: Float64[np.ndarray, "alpha beta"],
    alpha: Float64[np.ndarray, " alpha"],
    beta: Float64[np.ndarray, " beta"],
    *,
    coarse: bool = False,
) -> Derivatives:
    """Values and derivatives up to the second order, at every point of the grid.

    The spline is twice continuously differentiable and cubic in each coordinate (not-a-knot), the
    one SciPy's ``RectBivariateSpline(s=0)`` fits; built as splines along alpha and then along
    beta, each through an unbroken run of finite values, so that no gap is filled. Points of runs
    shorter than four are NaN. With `coarse` it goes through every other point and the last.

    >>> x = np.linspace(-1.0, 1.0, 5)
    >>> float(derivatives(x[:, None] ** 2 * x, x, x)[2, 0][0, 4].round(9))  # 2 beta
    2.0
    """
    found = {}
    for along in sorted({p for p, _ in ORDERS}):
        part = _along(values, alpha, along, coarse)
        for order, across in ORDERS:
            if order == along:
                found[along, across] = _along(part.T, beta, across, coarse).T
    return found


def _along(
    values: Float64[np.ndarray, "point line"],
    places: Float64[np.ndarray, " point"],
    order: int,
    coarse: bool,
) -> Float64[np.ndarray, "point line"]:
    """Derivatives of the splines along the first axis; lines with the same gaps go together."""
    if order == 0 and not coarse:
        return values
    out = np.full(values.shape, np.nan)
    masks, which = np.unique(np.isfinite(values), axis=1, return_inverse=True)
    for k, known in enumerate(masks.T):
        lines = np.flatnonzero(which.ravel() == k)
        for first, stop in _runs(known):
            if stop - first < LEAST:
                continue
            knots = np.arange(first, stop)
            if coarse:
                knots = np.unique(np.append(knots[::2], stop - 1))
            spline = CubicSpline(places[knots], values[np.ix_(knots, lines)])
            out[first:stop, lines] = spline(places[first:stop], order)
    return out


def _runs(known: Bool[np.ndarray, " point"]) -> Iterator[tuple[int, int]]:
    """First and one past the last index of every unbroken run.

    >>> list(_runs(np.array([True, True, False, True])))
    [(0, 2), (3, 4)]
    """
    steps = np.diff(np.concatenate([[0], known.astype(np.int8), [0]]))
    return zip(
        np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist(), strict=True
    )
