"""Measures of sharpness side by side, and again after the same network was written otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from torch import Tensor

from theodolite import results
from theodolite.errors import InvalidArgument
from theodolite.objective import Objective
from theodolite.sharpness import layer_rescaling, predicted_rise
from theodolite.surveys.groups import Group, Tell, Unit
from theodolite.surveys.measures.hessians import steady_engine
from theodolite.surveys.measures.settings import HOLDS, PRODUCT
from theodolite.surveys.measures.sharpness_rows import (
    Measured,
    Row,
    Setup,
    basic_rows,
    further_rows,
    linear_layers,
    origin_of,
    tried,
)
from theodolite.surveys.measures.sharpness_settings import checked, factor_of, settings
from theodolite.surveys.measures.valleys import valley_groups
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target

EXPECTED = 40
"""Products for a largest eigenvalue; networks seldom need more."""

BOX, BASIS = 78, 32
"""Vectors held by the search in a box, and by that for the largest eigenvalue."""

SIGMAS = 20
"""Standard deviations that the search of PAC-Bayes sharpness tries."""


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """The table of measures as one unit, the predicted rises as another, and the valleys."""
    checked(settings)
    if settings["origin"]:
        origin_of(target.objective, settings["origin"])  # refused here, before any work
    twice = 2 if factor_of(settings) else 1
    opened = partial(opening, dict(settings), seed)
    directions = settings["directions"] if settings["along"] != "gradient" else 1
    rises = partial(opening_rises, settings["along"], directions, seed)
    search = PRODUCT * (EXPECTED + 5 * directions) if settings["along"] == "top" else 0
    return (
        Group(
            "sharpness",
            "sharpness",
            opened,
            passes=twice * cost(target.objective, settings),
            vectors=held(settings),
            told=True,
        ),
        Group(
            "predicted_rise",
            "sharpness",
            rises,
            passes=(PRODUCT + 13) * directions + 4 + search,
            vectors=8 * directions + 4 + HOLDS,
        ),
        *valley_groups(target, settings, seed),
    )


def cost(objective: Objective, settings: Mapping[str, Any]) -> float:
    """Forward passes that all measures take at one point."""
    draws, products = settings["draws"], settings["products"]
    ascent = settings["restarts"] * (4 * settings["steps"] + 1) + 1
    boxes = 5 if settings["subspace"] else 1
    passes = PRODUCT * (EXPECTED + products) + 2 * ascent + 2 * (2 * draws + 1) + 50 * boxes + 10
    if settings["definitions"] == "basic":
        return float(passes)
    layers = min(settings["layers"], len(linear_layers(objective))) - 1
    more = PRODUCT * (EXPECTED + draws + settings["directions"] + 2 + max(layers, 0) * products)
    noisy = 3 if settings["origin"] else 2
    more += 2 * ascent + 2 * draws + noisy * (SIGMAS * settings["pac_draws"] + 1) + 20
    return float(passes + more)


def held(settings: Mapping[str, Any]) -> int:
    """Vectors of the network's size held at the fullest moment, measured on a wide perceptron.

    Keskar's search holds ten pairs of vectors in float64 and works on two dozen more; curvature
    along random directions holds them all.
    """
    box: int = 8 * settings["subspace"] + 12 if settings["subspace"] else BOX
    along: int = 5 * settings["directions"] + 20
    return max(box, along, BASIS + HOLDS)


def opening(settings: Mapping[str, Any], seed: int, target: Target) -> Unit:
    """Choose how products are made, by rule; each measure makes the operators it needs."""
    objective = target.objective
    setup = Setup(objective, settings, steady_engine(objective), seed)

    def unit(_: int, tell: Tell | None = None) -> xr.Dataset:
        measures = basic_rows(setup)
        if settings["definitions"] == "all":
            measures |= further_rows(setup)
        found = at(measures, objective.start, tell)
        rows = {k: r for k, r in found.items() if isinstance(r, Row)}
        left = [f"{k}: {why}" for k, why in found.items() if isinstance(why, str)]
        other, why = rescaled(objective, factor_of(settings))
        again: dict[str, Row | str] = {}
        if other is not None:
            again = at({k: measures[k] for k in rows}, other, tell, ", rescaled")
        notes = {"not_rescaled": why, "left_out": left, "no_valleys": no_valleys(target, settings)}
        return described(objective, rows, again, {**settings, **notes, "seed": seed})

    return unit


def at(
    measures: Mapping[str, Measured], theta: Tensor, tell: Tell | None = None, where: str = ""
) -> dict[str, Row | str]:
    """Every measure at a point, each announced before it is made."""
    found = {}
    for number, (name, measure) in enumerate(measures.items(), start=1):
        if tell is not None:
            words = name.replace("_", " ")
            tell(f"{words}, {number} of {len(measures)}{where}")
        found[name] = tried(measure, theta)
    return found


def no_valleys(target: Target, settings: Mapping[str, Any]) -> str:
    """Why valleys of training and test loss are not compared, where they were asked for."""
    if target.test is not None or not settings["valleys"] + settings["valley_top"]:
        return ""
    return "The target has no test data, so there is no test loss whose valley could be shifted."


def rescaled(objective: Objective, factor: float) -> tuple[Tensor | None, str]:
    """The same network with one layer multiplied and the next divided, or why there is none."""
    if not factor:
        return None, "not asked for"
    try:
        return layer_rescaling(objective, factor=factor), ""
    except InvalidArgument as error:
        return None, error.what


NUMBERS = {
    "value": "sharpness",
    "error": "error of sharpness",
    "low": "lower end of the interval",
    "high": "upper end of the interval",
}
WORDS = {"kind": "what the error is", "setting": "setting"}


def described(
    objective: Objective,
    rows: Mapping[str, Row],
    again: Mapping[str, Row | str],
    attrs: Mapping[str, Any],
) -> xr.Dataset:
    """The table as a Dataset."""
    dims = ("measure",)
    variables: dict[str, results.Variable] = {}
    for name, long in NUMBERS.items():
        other = [getattr(again.get(k), name, np.nan) for k in rows]
        variables[name] = (dims, [getattr(r, name) for r in rows.values()], {"long_name": long})
        long = f"{long}, with layers rescaled"
        variables[f"rescaled_{name}"] = (dims, other, {"long_name": long})
    for name, long in WORDS.items():
        variables[name] = (dims, [getattr(r, name) for r in rows.values()], {"long_name": long})
    unseen = ["; ".join(r.invariant_under) for r in rows.values()]
    variables["invariant_under"] = (
        dims,
        unseen,
        {"long_name": "changes the measure does not see"},
    )
    return results.dataset(
        "sharpness", variables, {"measure": list(rows)}, **{**objective.facts(), **attrs}
    )


def opening_rises(along: str, directions: int, seed: int, target: Target) -> Unit:
    """Predicted and measured rises along random directions, eigenvectors or the gradient."""
    engine = steady_engine(target.objective)

    def unit(_: int) -> xr.Dataset:
        return predicted_rise(target.objective, along, count=directions, seed=seed, engine=engine)

    return unit


SHARPNESS = Measure(
    "sharpness",
    "how sharp the loss is by many definitions, which of them a rescaling changes, and how far "
    "the valley of the test loss is shifted",
    {
        "quick": settings(5, 8, 16, 4),
        "standard": settings(20, 32, 128, 8)
        | {"definitions": "all", "layers": 4, "pac_draws": 20, "valleys": 4, "valley_top": 2},
        "thorough": settings(40, 128, 512, 16)
        | {"definitions": "all", "layers": 64, "pac_draws": 50, "valleys": 10, "valley_top": 5},
    },
    groups,
)
