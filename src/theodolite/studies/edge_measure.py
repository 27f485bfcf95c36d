"""Gradient descent over all the data at several rates, and its sharpness along the way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from torch import Tensor

from theodolite.curvature.sharpening import DescentRule, descent_sharpness, measured_at
from theodolite.curvature.thresholds import stability_threshold
from theodolite.errors import InvalidArgument
from theodolite.linalg.following import following_pairs
from theodolite.operators import hessian
from theodolite.surveys.groups import Group, Unit
from theodolite.surveys.measures.hessians import steady_engine
from theodolite.surveys.measures.settings import FIX, HOLDS, PRODUCT, count_of, flag_of
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target
from theodolite.training.fresh_starts import fresh_start

NAME = "edge_of_stability"

STEP = 3.0
"""Forward passes of a step."""

EXPECTED = 30
"""Products for the eigenpairs of a measurement: at the edge several eigenvalues come together."""

Settings = Mapping[str, Any]


def groups(target: Target, settings: Settings, seed: int) -> tuple[Group, ...]:
    """One group, a run a unit: every rate from every start."""
    _checked(settings)
    rates = settings["rates"] or settings["shares"]
    starts = settings["fresh_starts"] or [None]
    steps, every = settings["steps"], settings["every"]
    times = measured_at(steps, every)
    count = min(settings["eigenvalues"], target.objective.space.size)
    passes = STEP * steps + (PRODUCT * EXPECTED + 1) * len(times)
    return (
        Group(
            NAME,
            NAME,
            partial(opening, dict(settings), seed),
            units=len(rates) * len(starts),
            along="run",
            coords={
                "run": np.arange(len(rates) * len(starts)),
                "step": np.arange(steps + 1),
                "time": times,
                "pair": np.arange(count),
            },
            passes=passes,
            vectors=3 * count + 40 + HOLDS,
        ),
    )


def opening(settings: Settings, seed: int, target: Target) -> Unit:
    """Runs by number: all rates from the first start, then from the next."""
    engine = steady_engine(target.objective)
    given = settings["rates"] or settings["shares"]

    def unit(k: int) -> xr.Dataset:
        index, place = divmod(k, len(given))
        drawn = settings["fresh_starts"]
        theta = _start(target, drawn[index] if drawn else None)
        rate = float(given[place])
        if not settings["rates"]:
            rate = rate_of(target, theta, rate, settings, engine, seed)
        rule = DescentRule(rate, float(settings["momentum"]), settings["nesterov"])
        found = descent_sharpness(
            target.objective,
            rule,
            theta=theta,
            steps=settings["steps"],
            every=settings["every"],
            eigenvalues=settings["eigenvalues"],
            late=settings["late"] or None,
            tolerance=float(settings["tolerance"]),
            engine=engine,
            seed=seed,
        )
        return _as_run(found, k, rate, float(drawn[index]) if drawn else math.nan)

    return unit


def _as_run(found: xr.Dataset, k: int, rate: float, start: float) -> xr.Dataset:
    """One run of several: what differs between runs lies along them."""
    shared = {n: v for n, v in found.attrs.items() if n != "rate"}
    own = found.assign(
        rate=xr.DataArray(rate, attrs={"long_name": "learning rate"}),
        fresh_start=xr.DataArray(
            start, attrs={"long_name": "seed of the fresh start (none: the target's weights)"}
        ),
    ).expand_dims(run=[k])
    return own.drop_attrs(deep=False).assign_attrs(shared | {"quantity": NAME})


def _start(target: Target, seed: int | None) -> Tensor:
    if seed is None:
        return target.objective.start
    return fresh_start(target.objective, seed=seed, recipe=target.recipe)


def rate_of(
    target: Target, theta: Tensor, share: float, settings: Settings, engine: str, seed: int
) -> float:
    """The rate at which the sharpness at `theta` is `share` of the threshold.

    Raises `InvalidArgument` (E-U46) where the largest eigenvalue is not positive.
    """
    operator = hessian(target.objective, theta, engine=engine)
    how: Any = {"tolerance": float(settings["tolerance"]), "seed": seed}
    pairs, _ = following_pairs(operator, count=1, **how)
    largest = float(pairs.values[0])
    if not largest > 0:
        raise InvalidArgument(
            f"rates cannot be chosen: the largest eigenvalue at the start is {largest:.3g}.",
            fix="pass rates=[...].",
            code="E-U46",
        )
    unit = stability_threshold(1.0, momentum=settings["momentum"], nesterov=settings["nesterov"])
    return share * unit / largest


def _checked(settings: Settings) -> None:
    for name in ("steps", "every", "eigenvalues"):
        count_of(settings, NAME, name)
    late = count_of(settings, NAME, "late", least=0)
    flag_of(settings, NAME, "nesterov")
    _positive(settings, "rates")
    _positive(settings, "shares")
    problem = ""
    if not settings["rates"] and not settings["shares"]:
        problem = "edge_of_stability needs rates, or shares of the threshold at the start"
    elif late > settings["steps"]:
        problem = f"late must be at most steps, {settings['steps']}; got {late}"
    elif not _number(settings["momentum"]) or not 0 <= settings["momentum"] < 1:
        problem = f"momentum must be at least 0 and below 1; got {settings['momentum']!r}"
    elif not _number(settings["tolerance"]) or not 0 < settings["tolerance"] < 1:
        problem = f"tolerance must lie between 0 and 1; got {settings['tolerance']!r}"
    elif settings["nesterov"] and not settings["momentum"]:
        problem = "nesterov needs a momentum above 0"
    elif any(
        isinstance(s, bool) or not isinstance(s, int) or s < 0 for s in settings["fresh_starts"]
    ):
        problem = (
            f"fresh_starts must be seeds, whole and not negative; got {settings['fresh_starts']}"
        )
    if problem:
        raise InvalidArgument(f"{problem}.", fix=FIX, code="E-U47")


def _positive(settings: Settings, name: str) -> None:
    values = settings[name]
    fine = isinstance(values, list | tuple) and all(_number(v) and 0 < v < math.inf for v in values)
    if not fine or len(set(values)) < len(values):
        raise InvalidArgument(
            f"{name} of edge_of_stability must be positive numbers, none twice; got {values!r}.",
            fix=FIX,
            code="E-U47",
        )


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def settings(steps: int, every: int) -> dict[str, Any]:
    return {
        "rates": [],
        "shares": [0.5, 0.25, 0.125],
        "momentum": 0.0,
        "nesterov": False,
        "steps": steps,
        "every": every,
        "eigenvalues": 2,
        "late": 0,
        "tolerance": 1e-2,
        "fresh_starts": [],
    }


EDGE_OF_STABILITY = Measure(
    NAME,
    "gradient descent over all the data at several rates, and its sharpness along the way",
    {"quick": settings(1000, 10), "standard": settings(3000, 10), "thorough": settings(10000, 20)},
    groups,
)
