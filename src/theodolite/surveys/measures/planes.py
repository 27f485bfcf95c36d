"""Planes through the surveyed point: from few evaluations as one unit, or dense, a row a unit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from theodolite.errors import InvalidArgument
from theodolite.surfaces import plane_dataset, plane_facts, plane_rows
from theodolite.surfaces.adaptive import LARGE, SMALL
from theodolite.surfaces.adaptive_planes import adaptive_values, check_tolerance
from theodolite.surfaces.agreement import checked_directions, checked_theta
from theodolite.surfaces.evaluating import evaluators_for
from theodolite.surfaces.scouting import expected_passes
from theodolite.surfaces.slices import METHODS, grid
from theodolite.surveys.groups import Group, Unit
from theodolite.surveys.measures.axes import Axes, passes_of, planes_of, resolved_axes
from theodolite.surveys.measures.settings import count_of, normalization_of
from theodolite.surveys.measures.start import ratio
from theodolite.surveys.measures.variants import variant_names, variants
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target

SQUARE = [[-1.0, 1.0], [-1.0, 1.0]]
TYPICAL = 125
"""Passes over all data that a plane from few evaluations usually takes."""


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """One group a plane, and one more for it with BatchNorm statistics recomputed.

    Random directions are ``random_directions(seed=attrs["direction_seed"])``.
    """
    count = planes_of(settings, count_of(settings, "planes", "count"))
    normalization_of(settings, "planes")
    check_tolerance(settings["tolerance"])
    if settings["method"] not in METHODS:
        raise InvalidArgument(
            f"method of planes must be one of {', '.join(METHODS)}; got {settings['method']!r}.",
            code="E-S07",
        )
    alphas, betas = grid(settings["span"], settings["steps"])
    return tuple(
        _group(target, settings, seed, k, name, alphas, betas)
        for k in range(count)
        for name in variant_names(target, settings)
    )


def _group(
    target: Target,
    settings: Mapping[str, Any],
    seed: int,
    index: int,
    variant: str,
    alphas: Float[np.ndarray, " alpha"],
    betas: Float[np.ndarray, " beta"],
) -> Group:
    vectors = 6 if settings["evaluation"] == "auto" else 4  # the planner tries what costs memory
    shared: dict[str, Any] = {"measure": "planes", "vectors": vectors}
    name, extra = f"plane_{index}{variant}", passes_of(settings)
    how: dict[str, Any] = {"settings": settings, "seed": seed, "index": index, "variant": variant}
    points = len(alphas) * len(betas)
    if settings["method"] == "adaptive" and SMALL < points <= LARGE:
        cost = min(float(points), TYPICAL + expected_passes(target.objective, alphas, betas))
        return Group(
            name,
            open=partial(opening_adaptive, **how),
            passes=extra + cost * ratio(target),
            **shared,
        )
    return Group(
        name,
        open=partial(opening_dense, **how),
        units=len(alphas),
        along="alpha",
        coords={"alpha": alphas, "beta": betas},
        passes=extra / len(alphas) + len(betas) * ratio(target),
        **shared,
    )


def _slice(
    target: Target, settings: Mapping[str, Any], seed: int, index: int, variant: str
) -> tuple[Target, Axes, dict[str, Any]]:
    """The target as this plane has it, its axes, and the facts of the plane."""
    axes = resolved_axes(target, settings, seed, index)
    chosen = dict(variants(target, settings))[variant]
    facts = plane_facts(
        chosen.objective,
        axes.directions,
        theta=axes.theta,
        span=settings["span"],
        steps=settings["steps"],
        test=chosen.test,
        normalize=str(axes.facts.get("normalize", "none")),
        seed=seed,
        plane=index,
    )
    return chosen, axes, {**facts, **axes.facts}


def opening_adaptive(
    target: Target, *, settings: Mapping[str, Any], seed: int, index: int, variant: str
) -> Unit:
    """Make a plane's directions; the whole plane is one unit."""
    chosen, axes, facts = _slice(target, settings, seed, index, variant)
    alphas, betas = grid(settings["span"], settings["steps"])

    def unit(_: int) -> xr.Dataset:
        values, found = adaptive_values(
            chosen.objective,
            axes.directions,
            theta=axes.theta,
            alphas=alphas,
            betas=betas,
            test=chosen.test,
            tolerance=settings["tolerance"],
            evaluation=settings["evaluation"],
            seed=seed,
        )
        return plane_dataset(values, alphas, betas, {**facts, **found})

    return unit


def opening_dense(
    target: Target, *, settings: Mapping[str, Any], seed: int, index: int, variant: str
) -> Unit:
    """Make a plane's directions; its rows are then computed one by one."""
    chosen, axes, facts = _slice(target, settings, seed, index, variant)
    alphas, betas = grid(settings["span"], settings["steps"])
    where: dict[str, Any] = {"alphas": alphas, "betas": betas, "test": chosen.test}
    evaluators, named = evaluators_for(
        chosen.objective,
        checked_directions(chosen.objective, axes.directions),
        checked_theta(chosen.objective, axes.theta),
        evaluation=settings["evaluation"],
        **where,
    )

    def unit(row: int) -> xr.Dataset:
        values = plane_rows(
            chosen.objective,
            axes.directions,
            theta=axes.theta,
            rows=[row],
            evaluators=evaluators,
            **where,
        )
        at = np.asarray(alphas[row : row + 1])
        return plane_dataset(values, at, betas, {**facts, **named})

    return unit


def settings(count: int, steps: int) -> dict[str, Any]:
    return {
        "count": count,
        "steps": [steps, steps],
        "span": SQUARE,
        "normalize": "filter",
        "axes": "random",
        "through": [],
        "method": "adaptive",
        "tolerance": 0.02,
        "evaluation": "auto",
        "batch_norm": "given",
    }


PLANES = Measure(
    "planes",
    "loss and accuracy over planes, with the error of their fit",
    {"quick": settings(1, 41), "standard": settings(3, 51), "thorough": settings(5, 101)},
    groups,
)
