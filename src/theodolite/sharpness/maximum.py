"""The largest rises of a loss in balls of several radii, over all data or batch by batch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from torch import Tensor

from theodolite import results
from theodolite.objective import Objective
from theodolite.sharpness.arguments import at_least, facts
from theodolite.sharpness.ascent import Summit, summit
from theodolite.sharpness.ball import Ball
from theodolite.sharpness.batchwise import batches_of
from theodolite.sharpness.perturbed import mean_and_error


def maxima(
    objective: Objective,
    theta: Tensor,
    balls: list[Ball],
    *,
    steps: int,
    restarts: int,
    batch_size: int | None,
    seed: int,
) -> list[list[Summit]]:
    """The summits by part of the data and ball; one part without `batch_size`."""
    at_least(1, steps, "steps")
    at_least(1, restarts, "restarts")
    parts = [objective] if batch_size is None else batches_of(objective, theta, batch_size, seed)
    how = {"steps": steps, "restarts": restarts, "seed": seed}
    return [[summit(part, theta, ball, **how) for ball in balls] for part in parts]


def described(
    name: str,
    measure: str,
    objective: Objective,
    theta: Tensor,
    balls: list[Ball],
    found: list[list[Summit]],
    **settings: Any,
) -> xr.Dataset:
    """The result of `worst_case_sharpness` and `adaptive_sharpness`."""
    apart = settings["batch_size"] is not None
    lead = ("batch",) if apart else ()

    def over(dims: tuple[str, ...], values: Any, long_name: str) -> results.Variable:
        held = np.asarray(values)
        return ((*lead, *dims), held if apart else held[0], {"long_name": long_name})

    rises = np.array([[s.rises for s in row] for row in found])
    diverged = np.array([[s.diverged for s in row] for row in found])
    best = np.where(diverged, math.nan, [[s.best for s in row] for row in found])
    boundary = np.where(diverged, math.nan, [[s.boundary for s in row] for row in found])
    mean, error = mean_and_error(best)
    variables = {
        name: (("rho",), mean, {"long_name": "largest rise of the loss found (lower bound)"}),
        "boundary": over(("rho",), boundary, "norm of the best perturbation over rho"),
        "first_step": over(("rho",), rises[:, :, 0, 1], "rise after one step from the center"),
        "rise": over(("rho", "restart", "step"), rises, "rise of the loss at a point tried"),
        "status": results.status_variable(
            ("rho",), np.where(diverged.any(0), results.DIVERGED, results.OK)
        ),
    }
    if apart:
        variables["standard_error"] = (
            ("rho",),
            error,
            {"long_name": "standard error of the mean over batches"},
        )
        variables["batch_rise"] = over(("rho",), best, "largest rise found in a batch")
    return results.dataset(
        name,
        variables,
        {"rho": [ball.radius for ball in balls]},
        **facts(objective, theta, measure),
        **settings,
        bound="lower",
        batches=len(found),
        passes_at_most=len(balls) * (1 + settings["restarts"] * (4 * settings["steps"] + 1)),
    )
