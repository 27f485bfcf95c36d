"""How much of a convexity map is not convex, from its numbers alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from theodolite.results import OK


def nonconvex(convexity: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Where the Hessian surely has a negative direction, and where it may have one.

    Surely: the smallest eigenvalue lies below minus its residual and below minus the tolerance
    times the largest in size. Maybe: it lies below its residual or the tolerance, or did not
    converge. Both over ``(alpha, beta)``; points without a value are in neither.

    >>> names = ("smallest_eigenvalue", "smallest_residual", "largest_eigenvalue", "converged")
    >>> columns = [-1.0, -0.02, 0.5], [0.1, 0.1, 0.1], [2.0, 2.0, 2.0], [1, 1, 1]
    >>> found = {k: ("alpha", v) for k, v in zip((*names, "status"), (*columns, [1, 1, 1]))}
    >>> [m.tolist() for m in nonconvex(xr.Dataset(found, attrs={"tolerance": 0.01}))]
    [[True, False, False], [True, True, False]]
    """
    low, error = (convexity[f"smallest_{k}"].values for k in ("eigenvalue", "residual"))
    size = np.maximum(np.abs(convexity["largest_eigenvalue"].values), np.abs(low))
    slack = np.maximum(error, float(convexity.attrs["tolerance"]) * size)
    known = convexity["status"].values == OK
    sure = known & (low < -slack)
    return sure, known & (sure | (low < slack) | (convexity["converged"].values == 0))


def convexity_facts(convexity: xr.Dataset) -> dict[str, Any]:
    """The share of points that are not convex, its bounds, the mean ratio, and the cost.

    The share counts points that surely are; undecided ones widen it upwards. Shares are of the
    points that have a value; the error of the mean is the mean of the bounds of its points.
    """
    known = convexity["status"].values == OK
    points = int(known.sum())
    facts: dict[str, Any] = {
        "points": points,
        "products": int(np.nansum(convexity["products"].values)),
    }
    if not points:
        return facts
    sure, maybe = nonconvex(convexity)
    ratio, error = (convexity[k].values[known] for k in ("ratio", "ratio_error"))
    finite = np.isfinite(ratio)
    facts |= {
        "nonconvex_share": float(sure.sum() / points),
        "nonconvex_share_low": float(sure.sum() / points),
        "nonconvex_share_high": float(maybe.sum() / points),
    }
    if finite.any():
        facts |= {
            "mean_ratio": float(ratio[finite].mean()),
            "mean_ratio_error": float(error[finite].mean()),
        }
    return facts
