"""The index of the surveyed point as a curve, and a critical point near it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import Any

import xarray as xr

from theodolite.curvature import critical_point, saddle_index
from theodolite.errors import InvalidArgument, NotConverged
from theodolite.surveys.groups import Group, Unit
from theodolite.surveys.measures.escapes import FOUND, Search, escape_groups
from theodolite.surveys.measures.hessians import steady_hessian
from theodolite.surveys.measures.settings import HOLDS, PRODUCT, count_of
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target

SEARCHES = ("none", "newton-mr", "gradient-norm", "saddle-free")
"""Ways to a critical point; "none" searches for none."""

EXPECTED = 120
"""Products for the scale and the lowest eigenvalues; networks often need that many."""


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """The index as one unit and the search as another; none without eigenvalues to find."""
    count = count_of(settings, "saddles", "count", least=0)
    probes, steps = (count_of(settings, "saddles", k) for k in ("probes", "steps"))
    limit = count_of(settings, "saddles", "dense_limit", least=0)
    most = count_of(settings, "saddles", "max_products")
    if settings["search"] not in SEARCHES:
        raise InvalidArgument(
            f"search of saddles must be one of {', '.join(SEARCHES)}; got {settings['search']!r}.",
            code="E-S07",
        )
    search: Search = lru_cache(maxsize=1)(partial(searched, settings["search"], most, seed))
    escapes = escape_groups(target, settings, seed, search)
    if not count:
        return ()
    size = target.objective.space.size
    sampled = size > limit
    products = EXPECTED + (probes + 1) * min(steps, size) if sampled else size
    found = [
        Group(
            "saddle_index",
            "saddles",
            partial(opening, dict(settings), seed),
            passes=PRODUCT * products,
            vectors=(2 * count + 30 + min(steps, size) if sampled else 4 * size) + HOLDS,
        )
    ]
    if settings["search"] != "none":
        found.append(
            Group(
                FOUND,
                "saddles",
                partial(opening_search, search),
                passes=2 * PRODUCT * most,
                vectors=2 * 40 + HOLDS,
            )
        )
    return (*found, *escapes)


def opening(settings: Mapping[str, Any], seed: int, target: Target) -> Unit:
    """Prepare the Hessian. Eigenvalues that did not converge are kept, with their residuals."""
    operator = steady_hessian(target.objective)
    size = operator.size

    def unit(_: int) -> xr.Dataset:
        try:
            return saddle_index(
                operator,
                dense_limit=settings["dense_limit"],
                probes=settings["probes"],
                steps=min(settings["steps"], size),
                count=min(settings["count"], size),
                seed=seed,
            )
        except NotConverged as error:
            if not isinstance(error.result, xr.Dataset):
                raise
            return error.result

    return unit


def opening_search(search: Search, target: Target) -> Unit:
    """The search; its point serves the escapes as well."""
    return lambda _: search(target)


def searched(method: str, most: int, seed: int, target: Target) -> xr.Dataset:
    """A point that is refused or not reached is kept, with the reason; a survey goes on."""
    try:
        how: Any = {"method": method, "max_products": most, "seed": seed}
        return critical_point(target.objective, **how)
    except NotConverged as error:
        if not isinstance(error.result, xr.Dataset):
            raise
        return error.result


def settings(count: int, probes: int, steps: int, dense_limit: int) -> dict[str, Any]:
    return {
        "count": count,
        "probes": probes,
        "steps": steps,
        "dense_limit": dense_limit,
        "search": "none",
        "max_products": 2000,
        "escape_runs": 0,
        "escape_rate": 0.0,
        "escape_steps": 1000,
        "escape_batch": 32,
        "displacement": 1e-6,
        "jump": 1e-4,
        "radius": 0.1,
    }


SADDLES = Measure(
    "saddles",
    "share of directions that curve down as a curve over thresholds; critical points near by",
    {
        "quick": settings(0, 2, 40, 500),
        "standard": settings(0, 4, 80, 2000),
        "thorough": settings(10, 8, 80, 3000),
    },
    groups,
)
