"""Planes through the surveyed point along random directions, a row a unit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from theodolite.directions import random_directions
from theodolite.seeds import child_seed
from theodolite.surfaces import plane_dataset, plane_facts, plane_rows
from theodolite.surfaces.slices import grid
from theodolite.surveys.groups import Group, Unit
from theodolite.surveys.measures.settings import count_of, normalization_of
from theodolite.surveys.measures.start import ratio
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target

SQUARE = [[-1.0, 1.0], [-1.0, 1.0]]


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """One group a plane. Its directions are ``random_directions(seed=attrs["direction_seed"])``."""
    count = count_of(settings, "planes", "count")
    normalization_of(settings, "planes")
    alphas, betas = grid(settings["span"], settings["steps"])
    return tuple(
        Group(
            f"plane_{k}",
            "planes",
            partial(opening, settings, seed, k),
            units=len(alphas),
            along="alpha",
            coords={"alpha": alphas, "beta": betas},
            passes=len(betas) * ratio(target),
            vectors=5,
        )
        for k in range(count)
    )


def opening(settings: Mapping[str, Any], seed: int, index: int, target: Target) -> Unit:
    """Draw a plane's directions; its rows are then computed one by one."""
    normalize = normalization_of(settings, "planes")
    own = child_seed(seed, "plane", index)
    directions = random_directions(target.objective, count=2, normalize=normalize, seed=own)
    span, steps = settings["span"], settings["steps"]
    alphas, betas = grid(span, steps)
    facts = plane_facts(
        target.objective,
        directions,
        span=span,
        steps=steps,
        test=target.test,
        normalize=normalize or "none",
        seed=seed,
        plane=index,
    )

    def unit(row: int) -> xr.Dataset:
        values = plane_rows(
            target.objective,
            directions,
            alphas=alphas,
            betas=betas,
            rows=[row],
            test=target.test,
        )
        at = np.asarray(alphas[row : row + 1])
        return plane_dataset(values, at, betas, {**facts, "direction_seed": own})

    return unit


def settings(count: int, steps: int) -> dict[str, Any]:
    return {"count": count, "steps": [steps, steps], "span": SQUARE, "normalize": "filter"}


PLANES = Measure(
    "planes",
    "loss and accuracy over planes of two random directions",
    {"quick": settings(1, 25), "standard": settings(3, 51), "thorough": settings(5, 101)},
    groups,
)
