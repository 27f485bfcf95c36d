"""Measures of sharpness side by side, and again after the same network was written otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from torch import Tensor

from theodolite import results
from theodolite.errors import InvalidArgument, NotConverged, UnsupportedModel
from theodolite.objective import Objective
from theodolite.sharpness import (
    adaptive_sharpness,
    average_sharpness,
    fisher_rao_norm,
    keskar_sharpness,
    largest_curvature,
    layer_rescaling,
    predicted_rise,
    relative_flatness,
    worst_case_sharpness,
)
from theodolite.surveys.groups import Group, Unit
from theodolite.surveys.measures.hessians import steady_engine
from theodolite.surveys.measures.settings import HOLDS, PRODUCT, count_of
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target


@dataclass(frozen=True)
class Row:
    """One measure's value; ``error`` is NaN where there is none, ``kind`` says what the error is.

    ``kind`` is "residual", "standard error", "lower bound" (a maximum searched for) or "exact".
    """

    value: float
    error: float
    kind: str
    setting: str
    invariant_under: tuple[str, ...]


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """The table of measures as one unit, and the predicted rises as another."""
    steps, draws = (count_of(settings, "sharpness", k, 2) for k in ("steps", "draws"))
    products = count_of(settings, "sharpness", "products", 2)
    directions = count_of(settings, "sharpness", "directions")
    for name in ("rho", "adaptive_rho", "sigma", "adaptive_sigma", "epsilon"):
        positive_of(settings, name)
    twice = 2 if factor_of(settings) else 1
    once = PRODUCT * (40 + 2 * draws + products) + 4 * 2 * steps + 2 * 2 * draws + 30
    opened = partial(opening, dict(settings), seed)
    rises = partial(opening_rises, directions, seed)
    return (
        Group("sharpness", "sharpness", opened, passes=twice * once, vectors=12 + HOLDS),
        Group(
            "predicted_rise",
            "sharpness",
            rises,
            passes=(PRODUCT + 13) * directions + 3,
            vectors=directions + 2 + HOLDS,
        ),
    )


def opening(settings: Mapping[str, Any], seed: int, target: Target) -> Unit:
    """Choose how products are made, by rule; each measure makes the operators it needs."""
    objective = target.objective
    engine = steady_engine(objective)

    def unit(_: int) -> xr.Dataset:
        measures = table(objective, settings, engine, seed)
        found = {k: f(objective.start) for k, f in measures.items()}
        rows = {k: r for k, r in found.items() if r is not None}
        other, why = rescaled(objective, factor_of(settings))
        again: dict[str, Row | None] = {}
        if other is not None:
            again = {k: measures[k](other) for k in rows}
        return described(objective, rows, again, why, settings, seed)

    return unit


Measured = Callable[[Tensor], Row | None]


def table(
    objective: Objective, settings: Mapping[str, Any], engine: str, seed: int
) -> dict[str, Measured]:
    """Every measure as a function of the point."""
    steps, draws = settings["steps"], settings["draws"]
    searched = {"steps": steps, "seed": seed}

    def worst(theta: Tensor) -> Row:
        rho = settings["rho"]
        found = worst_case_sharpness(objective, theta=theta, rho=rho, **searched)
        return row(found, "worst_case_sharpness", "lower bound", f"rho = {rho:g}, {steps} steps")

    def adaptive(theta: Tensor) -> Row:
        rho = settings["adaptive_rho"]
        found = adaptive_sharpness(objective, theta=theta, rho=rho, **searched)
        return row(found, "adaptive_sharpness", "lower bound", f"rho = {rho:g}, {steps} steps")

    def mean(theta: Tensor, scaled: bool) -> Row:
        sigma = settings["adaptive_sigma" if scaled else "sigma"]
        found = average_sharpness(
            objective,
            theta=theta,
            sigma=sigma,
            adaptive=scaled,
            draws=draws,
            second_order=False,
            seed=seed,
        )
        return row(found, "average_sharpness", "standard error", f"sigma = {sigma:g}")

    def box(theta: Tensor) -> Row | None:
        if not float(objective.value(theta)) > -1:
            return None  # the measure divides by one plus the loss
        found = keskar_sharpness(objective, theta=theta, epsilon=settings["epsilon"], seed=seed)
        told = f"epsilon = {settings['epsilon']:g}"
        return row(found, "keskar_sharpness", "lower bound", told)

    def flatness(theta: Tensor) -> Row | None:
        try:
            found = relative_flatness(
                objective, theta=theta, products=settings["products"], seed=seed, engine=engine
            )
        except InvalidArgument:
            return None  # no linear layer
        exact = found.attrs["method"] == "exact"
        kind = "exact" if exact else "standard error"
        return row(found, "relative_flatness", kind, f"layer {found.attrs['layer']}")

    def fisher(theta: Tensor) -> Row | None:
        try:
            found = fisher_rao_norm(objective, theta=theta, engine=engine)
        except UnsupportedModel:
            return None  # outputs or the distribution of labels are not known
        return row(found, "fisher_rao_norm", "exact", "")

    return {
        "largest_curvature": partial(largest, objective, engine, seed),
        "worst_case_sharpness": worst,
        "adaptive_sharpness": adaptive,
        "average_sharpness": partial(mean, scaled=False),
        "average_sharpness, adaptive": partial(mean, scaled=True),
        "keskar_sharpness": box,
        "relative_flatness": flatness,
        "fisher_rao_norm": fisher,
    }


def largest(objective: Objective, engine: str, seed: int, theta: Tensor) -> Row:
    """The largest eigenvalue, whether or not it converged: its residual says how far."""
    try:
        found = largest_curvature(objective, theta=theta, seed=seed, engine=engine)
    except NotConverged as error:
        if not isinstance(error.result, xr.Dataset):
            raise
        found = error.result
    return row(found, "largest_curvature", "residual", "")


def row(found: xr.Dataset, name: str, kind: str, setting: str) -> Row:
    """One measure's result as a row of the table."""
    errors = {"residual": "residual", "standard error": "standard_error"}
    value = float(np.ravel(found[name].values)[0])
    error = float(np.ravel(found[errors[kind]].values)[0]) if kind in errors else np.nan
    unseen = found.attrs["invariant_under"]
    names = (unseen,) if isinstance(unseen, str) else tuple(unseen)
    return Row(value, error, kind, setting, names)


def rescaled(objective: Objective, factor: float) -> tuple[Tensor | None, str]:
    """The same network with one layer multiplied and the next divided, or why there is none."""
    if not factor:
        return None, "not asked for"
    try:
        return layer_rescaling(objective, factor=factor), ""
    except InvalidArgument as error:
        return None, error.what


def described(
    objective: Objective,
    rows: Mapping[str, Row],
    again: Mapping[str, Row | None],
    why: str,
    settings: Mapping[str, Any],
    seed: int,
) -> xr.Dataset:
    """The table as a Dataset."""
    dims = ("measure",)
    other = [again.get(k) for k in rows]
    return results.dataset(
        "sharpness",
        {
            "value": (dims, [r.value for r in rows.values()], {"long_name": "sharpness"}),
            "error": (dims, [r.error for r in rows.values()], {"long_name": "error of sharpness"}),
            "rescaled_value": (
                dims,
                [np.nan if r is None else r.value for r in other],
                {"long_name": "sharpness of the same network with layers rescaled"},
            ),
            "rescaled_error": (
                dims,
                [np.nan if r is None else r.error for r in other],
                {"long_name": "error of sharpness with layers rescaled"},
            ),
            "kind": (dims, [r.kind for r in rows.values()], {"long_name": "what the error is"}),
            "setting": (dims, [r.setting for r in rows.values()], {"long_name": "setting"}),
            "invariant_under": (
                dims,
                ["; ".join(r.invariant_under) for r in rows.values()],
                {"long_name": "changes the measure does not see"},
            ),
        },
        {"measure": list(rows)},
        **objective.facts(),
        **{k: v for k, v in settings.items() if k != "factor"},
        seed=seed,
        factor=factor_of(settings),
        not_rescaled=why,
    )


def opening_rises(directions: int, seed: int, target: Target) -> Unit:
    """Predicted and measured rises along random directions."""
    engine = steady_engine(target.objective)

    def unit(_: int) -> xr.Dataset:
        return predicted_rise(target.objective, count=directions, seed=seed, engine=engine)

    return unit


def positive_of(settings: Mapping[str, Any], name: str) -> float:
    """A positive number."""
    value = settings[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < np.inf:
        raise InvalidArgument(
            f"{name} of sharpness must be a positive number; got {value!r}.", code="E-S07"
        )
    return float(value)


def factor_of(settings: Mapping[str, Any]) -> float:
    """By how much a layer is rescaled; 0 for not at all."""
    value = settings["factor"]
    wrong = isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value == 1
    if wrong or not np.isfinite(value):
        raise InvalidArgument(
            f"factor of sharpness must be positive and not 1, or 0 for none; got {value!r}.",
            code="E-S07",
        )
    return float(value)


def settings(steps: int, draws: int, products: int, directions: int, factor: float) -> Any:
    return {
        "rho": 0.05,
        "adaptive_rho": 0.5,
        "sigma": 0.01,
        "adaptive_sigma": 0.1,
        "epsilon": 1e-3,
        "steps": steps,
        "draws": draws,
        "products": products,
        "directions": directions,
        "factor": factor,
    }


SHARPNESS = Measure(
    "sharpness",
    "how sharp the loss is, by eight definitions, and which of them a rescaling changes",
    {
        "quick": settings(5, 8, 16, 4, 5.0),
        "standard": settings(20, 32, 128, 8, 5.0),
        "thorough": settings(40, 128, 512, 16, 5.0),
    },
    groups,
)
