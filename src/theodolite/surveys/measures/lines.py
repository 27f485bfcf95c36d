"""Lines through the surveyed point along random directions, a line a unit: many, for the spread."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import xarray as xr

from theodolite.directions import random_directions
from theodolite.seeds import child_seed
from theodolite.surfaces import line_dataset, line_facts, line_values
from theodolite.surfaces.coordinates import coordinates
from theodolite.surveys.groups import Group, Unit
from theodolite.surveys.measures.settings import count_of, normalization_of
from theodolite.surveys.measures.start import ratio
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """One group of one unit a line."""
    count = count_of(settings, "lines", "count")
    normalization_of(settings, "lines")
    alphas = coordinates(settings["span"], settings["steps"])
    return tuple(
        Group(
            f"line_{k}",
            "lines",
            partial(opening, settings, seed, k),
            passes=len(alphas) * ratio(target),
            vectors=3,
        )
        for k in range(count)
    )


def opening(settings: Mapping[str, Any], seed: int, index: int, target: Target) -> Unit:
    """Draw a line's direction; the whole line is one unit."""
    normalize = normalization_of(settings, "lines")
    own = child_seed(seed, "line", index)
    direction = random_directions(target.objective, count=1, normalize=normalize, seed=own)[0]
    span, steps = settings["span"], settings["steps"]

    def unit(_: int) -> xr.Dataset:
        alphas = coordinates(span, steps)
        values = line_values(target.objective, direction, alphas=alphas, test=target.test)
        facts = line_facts(
            target.objective,
            direction,
            span=span,
            steps=steps,
            test=target.test,
            normalize=normalize or "none",
            seed=seed,
            line=index,
        )
        return line_dataset(values, alphas, {**facts, "direction_seed": own})

    return unit


def settings(count: int, steps: int) -> dict[str, Any]:
    return {"count": count, "steps": steps, "span": [-1.0, 1.0], "normalize": "filter"}


LINES = Measure(
    "lines",
    "loss and accuracy along random lines, enough of them for an error bar",
    {"quick": settings(5, 41), "standard": settings(10, 41), "thorough": settings(20, 81)},
    groups,
)
