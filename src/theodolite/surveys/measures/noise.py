"""Gradient noise: how large, where it lies, how heavy its tails are, which batches it favors."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from theodolite import results
from theodolite.errors import InvalidArgument, TheodoliteWarning, UnsupportedModel
from theodolite.noise import (
    batch_noise_factor,
    batch_size_advice,
    gradient_diversity,
    gradient_noise_scale,
    gradient_tail_index,
    noise_curvature_alignment,
    noise_spectrum,
    signal_to_noise,
    smith_le_noise_scale,
    stationary_excess_loss,
    step_to_batch_ratio,
)
from theodolite.noise.tails import FEWEST
from theodolite.objective import Objective
from theodolite.surveys.groups import Group, Unit
from theodolite.surveys.measures.hessians import steady_engine
from theodolite.surveys.measures.noise_settings import checked, population_of, settings
from theodolite.surveys.measures.settings import HOLDS, PRODUCT, warn_of_fewer
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target

COMMAND = 5
"""Eigenvalues of the command, unless it is told otherwise."""

FIRST = 9.0
"""Forward passes for a gradient and the norms of all gradients, where tensors go both ways."""

SLOPES = 6.0
"""And for a product with the covariance of noise."""

TOLERANCE = 1e-3
"""Residual of an eigenvalue of the covariance, relative to the largest."""

EXPECTED = 20
"""Products for its largest eigenvalue, and half as many for each further one."""

TOO_FEW = "E-Y06"
"""The code of data in which fewer than two examples count."""

Measured = Callable[[Objective], xr.Dataset]


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """A group for each question asked; the scale with its advice always."""
    checked(settings, target)
    population = population_of(settings, target)
    opened = partial(scale, settings, population, seed)
    made = [_group("noise_scale", opened, *cost(settings, sampled=population != "data"))]
    how: Any = {"population": population, "level": float(settings["level"])}
    if settings["layers"]:
        made.append(_group("noise_layers", partial(signal_to_noise, **how), FIRST))
    if settings["diversity"]:
        made.append(_group("gradient_diversity", gradient_diversity, FIRST))
    if count := min(settings["eigenvalues"], target.objective.space.size):
        asked = settings["eigenvalues"]
        spectrum = partial(largest, asked=asked, tolerance=TOLERANCE, seed=seed, **how)
        products = EXPECTED * (1 + count) / 2
        passes = FIRST + (PRODUCT + 2) * products + SLOPES
        made.append(_group("noise_spectrum", spectrum, passes, 3 * count + 30))
    if probes := settings["probes"]:
        lean = partial(alignment, probes=probes, level=float(settings["level"]), seed=seed)
        made.append(_group("noise_alignment", lean, FIRST + (PRODUCT + SLOPES) * probes, 40))
    if settings["tails"] and target.objective.examples >= FEWEST:
        tails = partial(heaviness, directions=settings["tails"], seed=seed)
        made.append(_group("noise_tails", tails, FIRST, settings["tails"]))
    return tuple(made)


def largest(objective: Objective, *, asked: int, **how: Any) -> xr.Dataset:
    """`noise_spectrum`, with a word where there are fewer eigenvalues than asked for."""
    size = objective.space.size
    usual = [p["eigenvalues"] for p in NOISE.presets.values()]
    warn_of_fewer(asked, size, "eigenvalues of noise", (*usual, COMMAND))
    return noise_spectrum(objective, count=min(asked, size), **how)


def _group(name: str, measured: Measured, passes: float, vectors: int = 0) -> Group:
    opened = partial(opening, name, measured)
    return Group(name, "noise", opened, passes=passes, vectors=vectors + 8 + HOLDS)


def cost(settings: Mapping[str, Any], sampled: bool) -> tuple[float, int]:
    """Forward passes and vectors of the scale: products at most, and examples looked at."""
    if not settings["curvature"]:
        return FIRST, 0
    looked = settings["looked"] if sampled else 0
    passes = FIRST + (PRODUCT + SLOPES) * settings["products"] + 8.0 * looked + 48.0 * sampled
    return passes, max(3 * looked, 16)


def opening(name: str, measured: Measured, target: Target) -> Unit:
    """The number of a group; where examples have no gradients of their own, the reason."""

    def unit(_: int) -> xr.Dataset:
        try:
            return measured(target.objective)
        except (UnsupportedModel, InvalidArgument) as error:
            if isinstance(error, InvalidArgument) and error.code != TOO_FEW:
                raise
            told = {"long_name": "whether it could be measured"}
            facts = {**target.objective.facts(), "not_measured": error.what}
            return results.dataset(name, {"measured": ((), 0, told)}, **facts)

    return unit


def scale(
    settings: Mapping[str, Any], population: str | int, seed: int, objective: Objective
) -> xr.Dataset:
    """`gradient_noise_scale`, with `batch_size_advice` and the temperatures of what is stated."""
    curved = settings["curvature"]
    found = gradient_noise_scale(
        objective,
        population=population,
        curvature=curved,
        level=float(settings["level"]),
        tolerance=float(settings["tolerance"]),
        max_products=settings["products"],
        looked=settings["looked"],
        engine=steady_engine(objective) if curved else "kept",
        seed=seed,
    )
    told: dict[str, Any] = {
        "waste": float(settings["waste"]),
        "batch_size": settings["batch_size"],
        "learning_rate": float(settings["learning_rate"]),
        "momentum": float(settings["momentum"]),
        "no_tails": _no_tails(settings, objective),
    }
    parts = temperatures(settings, found)
    try:
        advice = batch_size_advice(found, waste=told["waste"])
        told |= {"advice_from": advice.attrs["from"], "caveats": advice.attrs["caveats"]}
        parts = {str(k): v for k, v in advice.data_vars.items()} | parts
        if settings["batch_size"]:
            parts |= stated(found, settings)
    except InvalidArgument as error:
        told["no_advice"] = error.what
    return found.assign(parts).assign_attrs(told)


def stated(found: xr.Dataset, settings: Mapping[str, Any]) -> dict[str, xr.DataArray]:
    """What the stated batch size costs in steps and in examples."""
    own = batch_size_advice(found, batch_sizes=[settings["batch_size"]])
    return {
        f"stated_{name}": array.isel(batch=0, drop=True)
        for name, array in own.data_vars.items()
        if str(name).startswith(("steps_factor", "examples_factor"))
    }


def temperatures(settings: Mapping[str, Any], found: xr.Dataset) -> dict[str, xr.DataArray]:
    """The strength of the noise at the batch size and the learning rate stated."""
    size, rate = settings["batch_size"], float(settings["learning_rate"])
    if not size:
        return {}
    momentum = float(settings["momentum"])
    population = found.attrs["noise_population"]
    whole = {"data": int(found.attrs["examples"]), "distribution": None}.get(population, population)
    made = {
        "batch_noise_factor": (batch_noise_factor(size, whole), "noise of a batch over Sigma"),
    }
    if rate:
        ratio = step_to_batch_ratio(rate, size, momentum=momentum)
        spread = float(found["covariance_trace"])
        excess = stationary_excess_loss(rate, size, spread, examples=whole, momentum=momentum)
        smith = (
            np.nan if whole is None else smith_le_noise_scale(rate, size, whole, momentum=momentum)
        )
        made |= {
            "step_to_batch_ratio": (ratio, "step size over batch size"),
            "smith_le_noise_scale": (smith, "noise scale of Smith and Le"),
            "stationary_excess_loss": (excess, "excess loss that noise sustains"),
        }
    return {
        name: xr.DataArray(float(value), attrs={"long_name": long_name})
        for name, (value, long_name) in made.items()
    }


def alignment(objective: Objective, **how: Any) -> xr.Dataset:
    """`noise_curvature_alignment` with products made by rule."""
    return noise_curvature_alignment(objective, engine=steady_engine(objective), **how)


def heaviness(objective: Objective, **how: Any) -> xr.Dataset:
    """`gradient_tail_index`; that the law is refused is told by the result."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*E-Y17", category=TheodoliteWarning)
        return gradient_tail_index(objective, **how)


def _no_tails(settings: Mapping[str, Any], objective: Objective) -> str:
    if not settings["tails"] or objective.examples >= FEWEST:
        return ""
    return f"Tails need {FEWEST} examples; there are {objective.examples}."


NOISE = Measure(
    "noise",
    "how noisy the gradients of batches are, in which layers and directions, how heavy the tails "
    "are, and which batch sizes that speaks for",
    {
        "quick": settings(64, 32),
        "standard": settings(128, 48) | {"diversity": True, "tails": 8},
        "thorough": settings(200, 64)
        | {"diversity": True, "tails": 8, "curvature": True, "eigenvalues": 5, "probes": 64},
    },
    groups,
)
