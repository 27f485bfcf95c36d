"""The trace of the Hessian, as one unit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import xarray as xr

from theodolite.curvature import trace
from theodolite.surveys.groups import Group, Unit
from theodolite.surveys.measures.hessians import VARYING, steady_engine
from theodolite.surveys.measures.settings import HOLDS, PRODUCT, count_of, share_of
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target

FEWEST = 32
"""Products below which no estimate is made."""


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """One group of one unit, at the cost of all products allowed."""
    tolerance = share_of(settings, "trace", "tolerance")
    most = count_of(settings, "trace", "max_products", FEWEST)
    group = Group(
        "trace",
        "trace",
        partial(opening, tolerance, most, seed),
        passes=PRODUCT * most,
        vectors=12 + HOLDS,
    )
    return (group,)


def opening(tolerance: float, most: int, seed: int, target: Target) -> Unit:
    """Choose how products are made, by rule."""
    engine = steady_engine(target.objective)
    how: Any = {"tolerance": tolerance, "seed": seed, "max_products": most, "engine": engine}

    def unit(_: int) -> xr.Dataset:
        found = trace(target.objective, **how)
        found.attrs = {k: v for k, v in found.attrs.items() if k not in VARYING or k == "products"}
        return found

    return unit


def settings(tolerance: float, most: int) -> dict[str, Any]:
    return {"tolerance": tolerance, "max_products": most}


TRACE = Measure(
    "trace",
    "sum of all eigenvalues of the Hessian, with its standard error",
    {
        "quick": settings(0.05, 64),
        "standard": settings(0.02, 300),
        "thorough": settings(0.01, 1000),
    },
    groups,
)
