"""Both ends of the Hessian's spectrum over a coarse grid of the first plane, a row a unit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from theodolite.curvature.convexity_inputs import Search
from theodolite.curvature.convexity_map import (
    convexity_dataset,
    convexity_rows,
    convexity_settings,
)
from theodolite.curvature.nonconvexity import convexity_facts
from theodolite.directions import random_directions
from theodolite.seeds import child_seed
from theodolite.surfaces.slices import grid
from theodolite.surveys.groups import Group, Unit
from theodolite.surveys.measures.hessians import steady_hessian
from theodolite.surveys.measures.planes import SQUARE
from theodolite.surveys.measures.settings import (
    HOLDS,
    PRODUCT,
    count_of,
    normalization_of,
    share_of,
)
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target

EXPECTED_PRODUCTS, GRAPH = 20, 3.0
"""Products a point (measured on small classifiers), and passes to keep its graph."""

HELD = 200
"""Vectors an eigenvalue search holds at most."""


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """One group a map: map `k` lies on the directions of plane `k`. No group for a count of 0."""
    count = count_of(settings, "convexity", "count", least=0)
    normalization_of(settings, "convexity")
    share_of(settings, "convexity", "tolerance")
    alphas, betas = grid(settings["span"], settings["steps"])
    return tuple(
        Group(
            "convexity" if count == 1 else f"convexity_{k}",
            "convexity",
            partial(opening, settings, seed, k),
            units=len(alphas),
            along="alpha",
            coords={"alpha": alphas, "beta": betas},
            passes=len(betas) * (GRAPH + PRODUCT * EXPECTED_PRODUCTS),
            vectors=min(HELD, target.objective.space.size) + HOLDS,
            finish=convexity_facts,
        )
        for k in range(count)
    )


def opening(settings: Mapping[str, Any], seed: int, index: int, target: Target) -> Unit:
    """Draw the plane's directions and find an engine by rule; rows then are computed one by one."""
    objective = target.objective
    normalize = normalization_of(settings, "convexity")
    own = child_seed(seed, "plane", index)
    directions = random_directions(objective, count=2, normalize=normalize, seed=own)
    engine = str(steady_hessian(objective).facts["engine"])
    search = Search(
        share_of(settings, "convexity", "tolerance"), engine=engine, seed=seed, verify=False
    )
    alphas, betas = grid(settings["span"], settings["steps"])
    facts = {
        **convexity_settings(objective, search),
        "normalize": normalize or "none",
        "plane": index,
        "direction_seed": own,
    }

    def unit(row: int) -> xr.Dataset:
        values = convexity_rows(
            objective, directions, alphas=alphas, betas=betas, rows=[row], search=search
        )
        return convexity_dataset(values, np.asarray(alphas[row : row + 1]), betas, facts)

    return unit


def settings(count: int, steps: int) -> dict[str, Any]:
    shape = {"steps": [steps, steps], "span": SQUARE, "normalize": "filter"}
    return {"count": count, **shape, "tolerance": 1e-2}


CONVEXITY = Measure(
    "convexity",
    "smallest over largest eigenvalue of the Hessian over a coarse plane (none in quick)",
    {"quick": settings(0, 5), "standard": settings(1, 7), "thorough": settings(1, 11)},
    groups,
)
