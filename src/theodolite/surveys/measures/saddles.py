"""The index of the surveyed point as a curve, and a critical point near it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
import xarray as xr

from theodolite.curvature import critical_point, saddle_index
from theodolite.curvature.gradient_flatness import MOST
from theodolite.errors import InvalidArgument, NotConverged
from theodolite.objective import Objective
from theodolite.surveys.groups import Group, Tell, Unit
from theodolite.surveys.measures.escapes import FOUND, Search, escape_groups
from theodolite.surveys.measures.hessians import steady_hessian, told_products
from theodolite.surveys.measures.settings import (
    DOUBLE,
    HOLDS,
    PRODUCT,
    basis_of,
    count_of,
    warn_of_fewer,
)
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target

SEARCHES = ("none", "newton-mr", "gradient-norm", "saddle-free")
"""Ways to a critical point; "none" searches for none."""

USUAL = (0, 4, 10)
"""Counts of the presets and of the command."""

EXPECTED = 120
"""Products for the scale and the lowest eigenvalues; networks often need that many."""

SEARCH = {"newton-mr": 50, "saddle-free": 75, "gradient-norm": 110}
"""Vectors in float64 that a search and its test hold at most; L-BFGS remembers 20 pairs."""

SHARE = 1.2
"""What a search spends beside its products: gradients, losses and graphs of its line searches."""


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """The index as one unit and the search as another; none without eigenvalues to find."""
    count = count_of(settings, "saddles", "count", least=0)
    for name in ("probes", "steps"):
        count_of(settings, "saddles", name)
    count_of(settings, "saddles", "dense_limit", least=0)
    most = count_of(settings, "saddles", "max_products")
    if settings["search"] not in SEARCHES:
        raise InvalidArgument(
            f"search of saddles must be one of {', '.join(SEARCHES)}; got {settings['search']!r}.",
            code="E-S07",
        )
    search = kept(partial(searched, dict(settings), seed))
    escapes = escape_groups(target, settings, seed, search)
    if not count:
        return ()
    size = target.objective.space.size
    index, held = cost_of_index(settings, size)
    found = [
        Group(
            "saddle_index",
            "saddles",
            partial(opening, dict(settings), seed),
            passes=PRODUCT * index,
            vectors=held,
            told=True,
        )
    ]
    if settings["search"] != "none":
        double = ratio_of(target.objective)
        test = 2 * (min(2 * size, MOST, most) + 16)
        found.append(
            Group(
                FOUND,
                "saddles",
                partial(opening_search, search),
                passes=double * PRODUCT * (SHARE * most + test + index),
                vectors=2 * max(held, SEARCH[settings["search"]]),
                told=True,
                bound=True,
            )
        )
    return (*found, *escapes)


def cost_of_index(settings: Mapping[str, Any], size: int) -> tuple[int, int]:
    """Products of an index, and vectors held in the precision of the products."""
    count, probes, steps = (settings[k] for k in ("count", "probes", "steps"))
    if size <= settings["dense_limit"]:
        return size, 4 * size + HOLDS
    depth = min(steps, size)
    return EXPECTED + (probes + 1) * depth, basis_of(count, size) + depth + HOLDS


def ratio_of(objective: Objective) -> float:
    """What a pass in float64 costs, in passes of the objective's own precision."""
    return 1.0 if objective.start.dtype == torch.float64 else DOUBLE


def kept(search: Search) -> Search:
    """A search that is made once, and whose result serves whoever asks again."""
    results: list[xr.Dataset] = []

    def once(target: Target, tell: Tell | None = None) -> xr.Dataset:
        if not results:
            results.append(search(target, tell))
        return results[0]

    return once


def opening(settings: Mapping[str, Any], seed: int, target: Target) -> Unit:
    """Prepare the Hessian. Eigenvalues that did not converge are kept, with their residuals."""
    operator = steady_hessian(target.objective)
    size = operator.size
    warn_of_fewer(settings["count"], size, "count of saddles", USUAL)
    most, _ = cost_of_index(settings, size)

    def unit(_: int, tell: Tell | None = None) -> xr.Dataset:
        counted = told_products(operator, tell, most)
        try:
            return saddle_index(counted, **index_of(settings, size), seed=seed)
        except NotConverged as error:
            if not isinstance(error.result, xr.Dataset):
                raise
            return error.result

    return unit


def opening_search(search: Search, target: Target) -> Unit:
    """The search; its point serves the escapes as well."""
    return lambda _, tell=None: search(target, tell)


def searched(
    settings: Mapping[str, Any], seed: int, target: Target, tell: Tell | None = None
) -> xr.Dataset:
    """A point that is refused or not reached is kept, with the reason; a survey goes on."""
    most, size = settings["max_products"], target.objective.space.size

    def progress(products: int, gradient_norm: float) -> None:
        if tell is not None:
            tell(f"{products:,} of {most:,} products, gradient norm {gradient_norm:.2g}")

    how: Any = {"method": settings["search"], "max_products": most, "seed": seed}
    try:
        return critical_point(
            target.objective, index_settings=index_of(settings, size), progress=progress, **how
        )
    except NotConverged as error:
        if not isinstance(error.result, xr.Dataset):
            raise
        return error.result


def index_of(settings: Mapping[str, Any], size: int) -> dict[str, Any]:
    """What the settings ask of `saddle_index`, within what an operator of this size allows."""
    return {
        "dense_limit": settings["dense_limit"],
        "probes": settings["probes"],
        "steps": min(settings["steps"], size),
        "count": min(settings["count"], size),
    }


def settings(
    count: int, probes: int, steps: int, dense_limit: int, max_products: int
) -> dict[str, Any]:
    return {
        "count": count,
        "probes": probes,
        "steps": steps,
        "dense_limit": dense_limit,
        "search": "none",
        "max_products": max_products,
        "escape_runs": 0,
        "escape_rate": 0.0,
        "escape_steps": 500,
        "escape_batch": 32,
        "displacement": 1e-6,
        "jump": 1e-4,
        "radius": 0.1,
    }


SADDLES = Measure(
    "saddles",
    "share of directions that curve down as a curve over thresholds; critical points near by",
    {
        "quick": settings(0, 2, 40, 500, 250),
        "standard": settings(0, 4, 80, 2000, 1000),
        "thorough": settings(10, 8, 80, 3000, 5000),
    },
    groups,
)
