"""Both ends of the Hessian's spectrum, as one unit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import xarray as xr

from theodolite.curvature import eigenpairs
from theodolite.errors import NotConverged
from theodolite.surveys.groups import Group, Unit
from theodolite.surveys.measures.hessians import steady_hessian
from theodolite.surveys.measures.settings import HOLDS, PRODUCT, count_of, share_of
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target

EXPECTED_PRODUCTS = 60
"""Products for one eigenvalue at each end; every further pair adds `PRODUCTS_A_PAIR`."""

PRODUCTS_A_PAIR = 10


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """One group of one unit; no more pairs than there are parameters."""
    count = min(count_of(settings, "eigenvalues", "count"), target.objective.space.size)
    tolerance = share_of(settings, "eigenvalues", "tolerance")
    group = Group(
        "eigenvalues",
        "eigenvalues",
        partial(opening, count, tolerance, seed),
        passes=PRODUCT * (EXPECTED_PRODUCTS + PRODUCTS_A_PAIR * max(0, count - 2)),
        vectors=2 * count + 24 + HOLDS,
    )
    return (group,)


def opening(count: int, tolerance: float, seed: int, target: Target) -> Unit:
    """Prepare the Hessian. Pairs that did not converge are kept, with their residuals."""
    operator = steady_hessian(target.objective)

    def unit(_: int) -> xr.Dataset:
        try:
            return eigenpairs(operator, count=count, which="both", tolerance=tolerance, seed=seed)
        except NotConverged as error:
            if not isinstance(error.result, xr.Dataset):
                raise
            return error.result

    return unit


def settings(count: int, tolerance: float) -> dict[str, Any]:
    return {"count": count, "tolerance": tolerance}


EIGENVALUES = Measure(
    "eigenvalues",
    "largest and smallest eigenvalues of the Hessian, with their residuals",
    {"quick": settings(2, 1e-2), "standard": settings(10, 1e-3), "thorough": settings(20, 1e-4)},
    groups,
)
