"""Training and test loss along the same lines, each as long as its valley is wide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from theodolite.errors import NotConverged
from theodolite.linalg import Operator
from theodolite.linalg.precision import without_autocast
from theodolite.linalg.thick_restart import RitzPairs, ritz_pairs
from theodolite.objective import Objective
from theodolite.operators import hessian
from theodolite.sharpness import noise, shifted_valley
from theodolite.surveys.groups import Group, Unit
from theodolite.surveys.measures.hessians import steady_engine
from theodolite.surveys.measures.settings import HOLDS, PRODUCT, warn_of_fewer
from theodolite.surveys.measures.start import ratio
from theodolite.surveys.target import Target

EXPECTED = 20
"""Products of the search for the first eigenvector; five more for every other."""

SHIFTS, RISE = 4.0, 0.25
"""A line reaches so many times the shift that slopes and curvature predict, and at least as far
as the predicted rise is this share of the loss: nearer, a valley is lost in the error of the
loss."""

FAR = 0.1
"""Reach where the loss does not curve up, as a share of the weights' norm."""


def valley_groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """One group of one unit; none without test data, or where no line was asked for."""
    asked, size = settings["valley_top"], target.objective.space.size
    top = min(asked, size)
    lines = top + settings["valleys"]
    if target.test is None or not lines:
        return ()
    search = PRODUCT * (EXPECTED + 5 * top) if top else 0
    return (
        Group(
            "shifted_valley",
            "sharpness",
            partial(opening, settings["valleys"], asked, settings["valley_steps"], seed),
            passes=search
            + lines * (PRODUCT + (settings["valley_steps"] + 3) * ratio(target))
            + 3 * ratio(target),
            vectors=3 * lines + (2 * top + 30 if top else 0) + HOLDS,
        ),
    )


@dataclass(frozen=True, eq=False)
class Lines:
    """Directions of length one, how far each is followed, and what each is."""

    units: Float[Tensor, "direction params"]
    reach: Float[Tensor, " direction"]
    names: list[str]


def opening(count: int, asked: int, steps: int, seed: int, target: Target) -> Unit:
    """Training and test loss along eigenvectors and random directions, in Euclidean distances."""
    size = target.objective.space.size
    warn_of_fewer(asked, size, "valley_top of sharpness", (2, 5))  # of the presets
    top = min(asked, size)
    engine = steady_engine(target.objective)

    def unit(_: int) -> xr.Dataset:
        objective, test = target.objective, target.test
        assert test is not None
        lines = lines_of(objective, test, count, top, engine, seed)
        found = shifted_valley(
            objective,
            test,
            directions=lines.units * lines.reach[:, None].to(lines.units),
            steps=steps,
            seed=seed,
        )
        notes = {"long_name": "Euclidean length of the direction, alpha = 1"}
        return found.assign(
            length=("direction", lines.reach.double().numpy(force=True), notes),
            name=("direction", lines.names, {"long_name": "what the direction is"}),
        )

    return unit


def lines_of(
    objective: Objective, test: Objective, count: int, top: int, engine: str, seed: int
) -> Lines:
    """The top eigenvectors and random directions, with the reach of each.

    Along a line with slopes a and b of training and test loss and curvature c, the minima lie
    near -a / c and -b / c: the reach is four times the farther one, or where the training loss
    has risen by a quarter if that is more, and at most the weights' norm.
    """
    theta = objective.start
    operator = hessian(objective, theta, engine=engine)
    rows = [noise.gaussian(theta, seed, "valley", k) for k in range(count)]
    rows = [row / row.norm() for row in rows]
    names = [f"random {k + 1}" for k in range(count)]
    if top:
        pairs = _top(operator, top, seed)
        rows = [*pairs.vectors.to(theta), *rows]
        names = [f"eigenvector {k + 1}" for k in range(top)] + names
    slopes = objective.gradient(theta), test.gradient(theta.to(test.device)).to(theta)
    loss, norm = float(objective.value(theta)), float(theta.norm()) or 1.0
    reach = []
    for row in rows:
        bend = float(row @ operator.matvec(row))
        steep = max(abs(float(row @ slope)) for slope in slopes)
        reach.append(_reach(steep, bend, abs(loss), norm))
    return Lines(torch.stack(rows), torch.tensor(reach, dtype=torch.float64), names)


def _top(operator: Operator, top: int, seed: int) -> RitzPairs:
    """Ritz vectors of the largest eigenvalues, converged or not: a direction needs no proof."""
    try:
        return without_autocast(ritz_pairs)(
            operator, count=top, which="largest", tolerance=1e-3, miss_probability=1.0, seed=seed
        )
    except NotConverged as error:
        if not isinstance(error.result, RitzPairs):
            raise
        return error.result


def _reach(steep: float, bend: float, loss: float, norm: float) -> float:
    """How far a line is followed."""
    if not bend > 0:
        return FAR * norm
    wanted = max(SHIFTS * steep / bend, float(np.sqrt(2 * RISE * loss / bend)))
    return min(wanted, norm) or FAR * norm
