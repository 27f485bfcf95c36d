"""What is measured where a training of a study has ended."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import xarray as xr

from theodolite.curvature import trace
from theodolite.errors import NotConverged
from theodolite.objective import Objective
from theodolite.results import DIVERGED, OK
from theodolite.seeds import child_seed
from theodolite.sharpness import adaptive_sharpness, largest_curvature
from theodolite.studies.names import RHO, WORDS
from theodolite.surveys.measures.hessians import steady_engine
from theodolite.surveys.measures.settings import PRODUCT
from theodolite.surveys.target import Target, with_model
from theodolite.training import Recipe
from theodolite.training.evaluation import scores
from theodolite.training.losses import example_loss
from theodolite.training.until import BUDGET, REACHED, Trained
from theodolite.training.until import DIVERGED as LOST

ASCENT = 10
"""Steps of the search for the worst rise."""

EIGENVALUE_PRODUCTS = 25
"""Products the largest eigenvalue takes, about."""


def end_measures(
    target: Target, recipe: Recipe, trained: Trained, settings: Mapping[str, Any], seed: int
) -> dict[str, float]:
    """Every number of one training; sharpness only where its end is to be compared.

    Compared are ends at the training loss asked for, or, where none was, all that did not diverge.
    """
    wanted = REACHED if settings["stop_loss"] != "none" else BUDGET
    compared = trained.outcome == wanted
    row = dict.fromkeys(WORDS, math.nan) | {
        "status": float(DIVERGED if trained.outcome == LOST else OK),
        "compared": float(compared),
        "updates": float(trained.updates),
        "train_loss": trained.loss,
    }
    if trained.outcome == LOST:
        return row
    row |= test_scores(target, recipe, trained)
    return row | sharpness_of(target, trained, settings, seed) if compared else row


def test_scores(target: Target, recipe: Recipe, trained: Trained) -> dict[str, float]:
    """Loss and error on the target's test objective, or on the test part of the recipe's data."""
    if target.test is not None:
        found = with_model(target.test, trained.model).metrics()
    elif len(recipe.data.test[1]):
        pair = recipe.data.test
        moved = (pair[0].to(recipe.device), pair[1].to(recipe.device))
        found = scores(trained.model, example_loss(recipe.loss), moved)
    else:
        return {}
    return {
        "test_loss": found["loss"],
        "test_error": 1 - found.get("accuracy", math.nan),
        "test_error_error": found.get("accuracy_error", math.nan),
    }


def sharpness_of(
    target: Target, trained: Trained, settings: Mapping[str, Any], seed: int
) -> dict[str, float]:
    """Gradient and curvature of the target's loss at the network that was trained."""
    objective = with_model(target.objective, trained.model)
    engine, seed = steady_engine(objective), child_seed(seed, "study", "sharpness")
    top = _largest(objective, engine, seed)
    most, tolerance = int(settings["products"]), float(settings["tolerance"])
    how: dict[str, Any] = {
        "tolerance": tolerance,
        "max_products": most,
        "engine": engine,
        "seed": seed,
    }
    total = trace(objective, method="hutchinson", **how)
    adaptive = adaptive_sharpness(objective, rho=RHO, steps=ASCENT, seed=seed)
    return {
        "gradient_norm": float(objective.gradient().double().norm()),
        "largest_eigenvalue": float(top.largest_curvature),
        "largest_eigenvalue_residual": float(top.residual),
        "trace": float(total.trace),
        "trace_error": float(total.standard_error),
        "adaptive_sharpness": float(adaptive.adaptive_sharpness[0]),
    }


def _largest(objective: Objective, engine: str, seed: int) -> xr.Dataset:
    """The largest eigenvalue; one that has not converged comes with its larger residual."""
    try:
        return largest_curvature(objective, tolerance=1e-2, engine=engine, seed=seed)
    except NotConverged as error:
        found: xr.Dataset = error.result
        return found


def passes_of(target: Target, settings: Mapping[str, Any]) -> float:
    """What measuring one end costs, in forward passes over the training examples."""
    extra = target.test.examples / target.objective.examples if target.test is not None else 0.0
    products = EIGENVALUE_PRODUCTS + int(settings["products"])
    return 4.0 + extra + PRODUCT * products + 3.0 * ASCENT
