"""One number with its error for every definition of sharpness a survey measures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from theodolite.directions.checkpoints import point_of
from theodolite.errors import InvalidArgument, NotConverged, TheodoliteError, UnsupportedModel
from theodolite.objective import Objective
from theodolite.sharpness import (
    adaptive_sharpness,
    average_sharpness,
    directional_curvature,
    fisher_rao_norm,
    keskar_sharpness,
    largest_curvature,
    noise,
    pac_bayes_sharpness,
    relative_flatness,
    worst_case_sharpness,
)
from theodolite.sharpness.adam_scale import adam_scale
from theodolite.sharpness.perturbed import mean_and_error
from theodolite.sharpness.top_eigenvalue import RULES
from theodolite.training import load_state

NORMS = {"2": 2, "inf": math.inf}


@dataclass(frozen=True)
class Row:
    """One measure's value; ``error`` is NaN where there is none, ``kind`` says what the error is.

    ``kind`` is "residual", "standard error", "lower bound" (a maximum searched for), "mean lower
    bound" (of such maxima, with a standard error), "interval" (``low`` to ``high``) or "exact".
    """

    value: float
    error: float
    kind: str
    setting: str
    invariant_under: tuple[str, ...]
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True, eq=False)
class Setup:
    """What all measures of one survey share."""

    objective: Objective
    settings: Mapping[str, Any]
    engine: str
    seed: int

    def __getitem__(self, name: str) -> Any:
        return self.settings[name]


Measured = Callable[[Tensor], Row]


def basic_rows(of: Setup) -> dict[str, Measured]:
    """The eight measures of every preset, as functions of the point."""
    return {
        "largest_curvature": partial(largest, of),
        "worst_case_sharpness": partial(worst, of),
        "adaptive_sharpness": partial(adaptive, of),
        "average_sharpness": partial(mean_rise, of, sigma="sigma"),
        "average_sharpness, adaptive": partial(mean_rise, of, sigma="adaptive_sigma"),
        "keskar_sharpness": partial(box, of),
        "relative_flatness": partial(flatness, of, None),
        "fisher_rao_norm": partial(fisher_rao, of),
    }


def further_rows(of: Setup) -> dict[str, Measured]:
    """All other measures, which together cost more than those of `basic_rows`."""
    found: dict[str, Measured] = {
        "largest_curvature, preconditioned": partial(largest, of, scaled=True),
        "directional_curvature, gradient": partial(along_gradient, of),
        "directional_curvature, random": partial(along_random, of),
        "worst_case_sharpness, batchwise": partial(worst, of, batches=True),
        "adaptive_sharpness, batchwise": partial(adaptive, of, batches=True),
        "average_sharpness, second order": partial(mean_rise, of, sigma="sigma", second=True),
        "pac_bayes_sigma": partial(pac_bayes, of),
        "pac_bayes_sigma, magnitude-aware": partial(pac_bayes, of, aware=True),
    }
    if of["origin"]:
        found["pac_bayes_bound"] = partial(pac_bayes, of, name="bound_term")
    for layer in linear_layers(of.objective)[:-1][::-1][: int(of["layers"]) - 1]:
        found[f"relative_flatness, {layer}"] = partial(flatness, of, layer)
    return found


def tried(measure: Measured, theta: Tensor) -> Row | str:
    """The row, or why the measure does not apply to this objective."""
    try:
        return measure(theta)
    except (InvalidArgument, UnsupportedModel) as error:
        return error.what


def linear_layers(objective: Objective) -> list[str]:
    """The names of the layers `relative_flatness` takes, in the model's order."""
    entries = objective.space.entries
    return [e.layer for e in entries if e.kind == "linear" and len(e.shape) == 2]


def largest(of: Setup, theta: Tensor, *, scaled: bool = False) -> Row:
    """The largest eigenvalue, whether or not it converged: its residual says how far."""
    how: dict[str, Any] = {"theta": theta, "seed": of.seed, "engine": of.engine}
    if scaled:
        cut = {"batch_size": of["batch_size"], "seed": of.seed}
        how["preconditioner"] = adam_scale(of.objective, theta=theta, **cut)
    if of["learning_rate"]:
        how |= {"learning_rate": of["learning_rate"], "momentum": of["momentum"]}
    try:
        found = largest_curvature(of.objective, **how)
    except NotConverged as error:
        if not isinstance(error.result, xr.Dataset):
            raise
        found = error.result
    told = f"batches of {of['batch_size']}" if scaled else ""
    if "relative" in found:
        told = ", ".join(filter(None, [told, _stable(found, scaled)]))
    return row(found, "largest_curvature", "residual", told)


def _stable(found: xr.Dataset, scaled: bool) -> str:
    """The curvature as a share of what stable training allows."""
    rules = {"averaged momentum": "Adam"} if scaled else {r: r for r in RULES[:2]}
    shares = {name: float(found["relative"].sel(rule=rule)) for rule, name in rules.items()}
    return ", ".join(f"{share:.2g} of {name}'s limit" for name, share in shares.items())


def searched(of: Setup, batches: bool) -> dict[str, Any]:
    """How maxima in a ball are looked for."""
    names = ("steps", "restarts") + (("batch_size",) if batches else ())
    return {**{k: of[k] for k in names}, "p": NORMS[str(of["p"])], "seed": of.seed}


def worst(of: Setup, theta: Tensor, *, batches: bool = False) -> Row:
    found = worst_case_sharpness(of.objective, theta=theta, rho=of["rho"], **searched(of, batches))
    return summit(of, found, "worst_case_sharpness", f"rho = {of['rho']:g}", batches)


def adaptive(of: Setup, theta: Tensor, *, batches: bool = False) -> Row:
    how = {"by": of["by"], "eta0": of["eta0"], **searched(of, batches)}
    found = adaptive_sharpness(of.objective, theta=theta, rho=of["adaptive_rho"], **how)
    told = f"rho = {of['adaptive_rho']:g}"
    told += " of a filter's norm" if of["by"] == "filter" else ""
    told += f", eta0 = {of['eta0']:g}" if of["eta0"] else ""
    return summit(of, found, "adaptive_sharpness", told, batches)


def summit(of: Setup, found: xr.Dataset, name: str, told: str, batches: bool) -> Row:
    """A maximum searched for, over all data or as the mean over batches."""
    told += ", p = inf" if str(of["p"]) == "inf" else ""
    told += f", {of['steps']} steps"
    told += f", {of['restarts']} starts" if of["restarts"] > 1 else ""
    told += f", batches of {of['batch_size']}" if batches else ""
    return row(found, name, "mean lower bound" if batches else "lower bound", told)


def mean_rise(of: Setup, theta: Tensor, *, sigma: str, second: bool = False) -> Row:
    """The mean over noise, or what the Hessian says of it from the same draws."""
    size = of[sigma]
    found = average_sharpness(
        of.objective,
        theta=theta,
        sigma=size,
        adaptive=sigma == "adaptive_sigma",
        draws=of["draws"],
        second_order=second,
        engine=of.engine,
        seed=of.seed,
    )
    if second:
        found = found.assign(standard_error=found["second_order_error"])
    name = "second_order" if second else "average_sharpness"
    return row(found, name, "standard error", f"sigma = {size:g}, {of['draws']} pairs")


def box(of: Setup, theta: Tensor) -> Row:
    inside = of["subspace"] or None
    found = keskar_sharpness(
        of.objective, theta=theta, epsilon=of["epsilon"], subspace=inside, seed=of.seed
    )
    told = f"epsilon = {of['epsilon']:g}" + (f", {inside} random directions" if inside else "")
    return row(found, "keskar_sharpness", "mean lower bound" if inside else "lower bound", told)


def flatness(of: Setup, layer: str | None, theta: Tensor) -> Row:
    how: dict[str, Any] = {"products": of["products"], "seed": of.seed, "engine": of.engine}
    found = relative_flatness(of.objective, theta=theta, layer=layer, **how)
    kind = "exact" if found.attrs["method"] == "exact" else "standard error"
    return row(found, "relative_flatness", kind, f"layer {found.attrs['layer']}")


def fisher_rao(of: Setup, theta: Tensor) -> Row:
    found = fisher_rao_norm(of.objective, theta=theta, matrix=of["matrix"], engine=of.engine)
    told = {"fisher": "", "ggn": "Gauss-Newton", "empirical": "empirical"}[of["matrix"]]
    return row(found, "fisher_rao_norm", "exact", told)


def along_gradient(of: Setup, theta: Tensor) -> Row:
    found = directional_curvature(of.objective, theta=theta, engine=of.engine)
    return row(found, "directional_curvature", "exact", "")


def along_random(of: Setup, theta: Tensor) -> Row:
    """The mean over random directions, whose expectation is the trace over the size."""
    count = of["directions"]
    drawn = [noise.gaussian(theta, of.seed, "directional", k) for k in range(count)]
    found = directional_curvature(of.objective, torch.stack(drawn), theta=theta, engine=of.engine)
    values = found["directional_curvature"].values[:count]
    mean, error = (float(v) for v in mean_and_error(values))
    made = row(found, "directional_curvature", "exact", f"{count} directions")
    return replace(made, value=mean, error=error, kind="standard error")


def origin_of(objective: Objective, path: str) -> Tensor:
    """The weights in a file as a vector of the objective's parameters.

    Raises what `load_state` raises, and `InvalidArgument` (E-H70) where parameters are missing or
    have another shape.
    """
    state = load_state(path)
    try:
        return point_of(objective, state, "origin")
    except TheodoliteError as error:
        raise InvalidArgument(
            f"origin of sharpness must be a file of this model's weights; got {path!r}: "
            f"{error.what}",
            fix="pass the weights that the training started from, or leave origin out.",
            code="E-H70",
        ) from error


def pac_bayes(of: Setup, theta: Tensor, *, aware: bool = False, name: str = "sigma") -> Row:
    """The largest sigma, or the term of the bound it gives, with its interval.

    By the error, or by the loss without class labels.
    """
    objective = of.objective
    rise = of["loss_rise"] or None
    if rise is None and objective.start_pass.hits is None:
        rise = 0.1 * abs(float(objective.value())) or 0.1
    found = pac_bayes_sharpness(
        objective,
        theta=theta,
        magnitude_aware=aware,
        error_rise=of["error_rise"],
        loss_rise=rise,
        epsilon=of["pac_epsilon"],
        origin=origin_of(objective, of["origin"]) if name == "bound_term" else None,
        draws=of["pac_draws"],
        seed=of.seed,
    )
    told = f"error + {100 * of['error_rise']:g} %" if rise is None else f"loss + {rise:.3g}"
    made = row(found, name, "interval", f"{told}, {of['pac_draws']} draws")
    return replace(made, low=float(found[f"{name}_low"]), high=float(found[f"{name}_high"]))


ERRORS = {
    "residual": "residual",
    "standard error": "standard_error",
    "mean lower bound": "standard_error",
}


def row(found: xr.Dataset, name: str, kind: str, setting: str) -> Row:
    """One measure's result as a row of the table."""
    value = float(np.ravel(found[name].values)[0])
    error = float(np.ravel(found[ERRORS[kind]].values)[0]) if kind in ERRORS else np.nan
    unseen = found.attrs["invariant_under"]
    names = (unseen,) if isinstance(unseen, str) else tuple(unseen)
    return Row(value, error, kind, setting, names)
