"""Both ends of the Hessian's spectrum, as one unit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from theodolite.curvature import eigenpairs
from theodolite.errors import InvalidArgument, NotConverged
from theodolite.objective import Objective
from theodolite.surveys.groups import Group, Tell, Unit
from theodolite.surveys.measures.hessians import steady_hessian, told_products
from theodolite.surveys.measures.settings import HOLDS, PRODUCT, count_of, share_of, warn_of_fewer
from theodolite.surveys.measures.warm_starts import LAYOUT, WarmStart, layout, warm_start
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target

EXPECTED_PRODUCTS = 60
"""Products for one eigenvalue at each end; every further pair adds `PRODUCTS_A_PAIR`."""

PRODUCTS_A_PAIR = 10

KEPT = 8_000_000
"""Numbers of eigenvectors a run keeps by default, pairs times parameters: 32 MB in float32."""

MOST_KEPT = 10**9


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """One group of one unit; no more pairs than there are parameters."""
    asked = count_of(settings, "eigenvalues", "count")
    count = min(asked, target.objective.space.size)
    tolerance = share_of(settings, "eigenvalues", "tolerance")
    most = kept_of(settings)
    folder = settings["warm_start"]
    if folder:
        warm_start(folder, target.objective)  # refused here, before any work
    group = Group(
        "eigenvalues",
        "eigenvalues",
        partial(opening, asked, tolerance, seed, most, folder),
        passes=PRODUCT * products_of(count),
        vectors=2 * count + 24 + HOLDS,
        told=True,
    )
    return (group,)


def products_of(count: int) -> int:
    """Products that so many pairs mostly take."""
    return EXPECTED_PRODUCTS + PRODUCTS_A_PAIR * max(0, count - 2)


def opening(
    asked: int, tolerance: float, seed: int, most: int, folder: str, target: Target
) -> Unit:
    """Prepare the Hessian. Pairs that did not converge are kept, with their residuals."""
    objective = target.objective
    operator = steady_hessian(objective)
    usual = [p["count"] for p in EIGENVALUES.presets.values()]
    warn_of_fewer(asked, operator.size, "count of eigenvalues", usual)
    count = min(asked, operator.size)
    warm = warm_start(folder, objective) if folder else None
    start = None if warm is None else warm.vectors
    vectors = count * operator.size <= most
    how: dict[str, Any] = {"which": "both", "tolerance": tolerance, "seed": seed, "start": start}

    def unit(_: int, tell: Tell | None = None) -> xr.Dataset:
        counted = told_products(operator, tell, products_of(count))
        try:
            found = eigenpairs(counted, count=count, vectors=vectors, **how)
        except NotConverged as error:
            if not isinstance(error.result, xr.Dataset):
                raise
            found = error.result
        return described(found, objective, folder, warm)

    return unit


def described(
    found: xr.Dataset, objective: Objective, folder: str, warm: WarmStart | None
) -> xr.Dataset:
    """The pairs, vectors in float32 with the names of their tensors, and how they were begun."""
    if "vector" in found:
        single = found["vector"].astype(np.float32).assign_attrs(found["vector"].attrs)
        found = found.assign(vector=single).assign_attrs({LAYOUT: layout(objective.space)})
    if warm is None:
        return found
    return found.assign_attrs(
        warm_start=folder,
        warm_vectors=len(warm.vectors),
        cold_products=warm.cold_products,
        cold_count=warm.cold_count,
        cold_tolerance=warm.cold_tolerance,
    )


def kept_of(settings: Mapping[str, Any]) -> int:
    """How many numbers of eigenvectors may be kept; 0 for none."""
    value = settings["keep_vectors"]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_KEPT:
        raise InvalidArgument(
            f"keep_vectors of eigenvalues must be a whole number from 0 to {MOST_KEPT:,}; "
            f"got {value!r}.",
            fix="it counts pairs times parameters, 4 bytes each; 0 keeps none.",
            code="E-S07",
        )
    return value


def settings(count: int, tolerance: float) -> dict[str, Any]:
    return {"count": count, "tolerance": tolerance, "warm_start": "", "keep_vectors": KEPT}


EIGENVALUES = Measure(
    "eigenvalues",
    "largest and smallest eigenvalues of the Hessian, with their residuals",
    {"quick": settings(2, 1e-2), "standard": settings(10, 1e-3), "thorough": settings(20, 1e-4)},
    groups,
)
