"""The losses of all examples along a path: on a grid, and closer around the maxima."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float64
from scipy.optimize import minimize_scalar
from torch import Tensor

from theodolite.connectivity.ends import End, passed, statistics_between
from theodolite.objective import Objective
from theodolite.objective.evaluation import Pass

CLOSE = 1e-4
"""Refinement ends where a maximum is known to this share of the path."""

At = Callable[[Objective, float], Pass]
"""One pass over an objective's data at a place of the path."""

Advance = Callable[[str, int, int], None]
"""Told what is counted ("place", "step"), how many are done, and of how many."""


@dataclass(frozen=True, eq=False)
class Along:
    """Passes of every objective at places of a path, both ends included, in rising order."""

    alphas: Float64[np.ndarray, " alpha"]
    refined: tuple[bool, ...]
    passes: dict[str, tuple[Pass, ...]]

    def losses(self, prefix: str) -> Float64[np.ndarray, " alpha"]:
        """The mean losses."""
        return np.array([one.loss() for one in self.passes[prefix]])


def between(a: End, b: End) -> At:
    """Places of the straight segment; exactly `a` at zero and `b` at one."""

    def at(objective: Objective, alpha: float) -> Pass:
        theta = torch.lerp(a.theta, b.theta, alpha)
        return passed(objective, theta, statistics_between(a, b, alpha))

    return at


def along(
    objectives: dict[str, Objective],
    at: At,
    *,
    steps: int | Sequence[float],
    refine: int,
    known: dict[float, dict[str, Pass]] | None = None,
    progress: Advance | None = None,
) -> Along:
    """Passes at places of the path and, by Brent's method, around the highest of each curve.

    `steps` are so many even places, or the places themselves, in rising order from 0 to 1.

    For every objective the highest loss and the highest rise above the chord between the ends
    are each looked for in at most `refine` passes between the neighbors of the highest place of
    the grid, unless that is an end. `known` holds passes made before, by place; `progress` is
    told of every place.
    """
    found: dict[float, dict[str, Pass]] = dict(known or {})
    grid = np.linspace(0.0, 1.0, steps).tolist() if isinstance(steps, int) else list(steps)

    def reading(alpha: float) -> dict[str, Pass]:
        if alpha not in found:
            found[alpha] = {prefix: at(one, alpha) for prefix, one in objectives.items()}
            if progress is not None:
                progress("place", len(found), max(len(grid), len(found)))
        return found[alpha]

    for alpha in grid:
        reading(alpha)
    for prefix in objectives if refine else ():
        _refine(grid, partial(_loss, reading, prefix), refine)
    order = sorted(found)
    passes = {p: tuple(found[alpha][p] for alpha in order) for p in objectives}
    return Along(np.array(order), tuple(alpha not in grid for alpha in order), passes)


def _loss(reading: Callable[[float], dict[str, Pass]], prefix: str, alpha: float) -> float:
    return reading(alpha)[prefix].loss()


def _refine(grid: list[float], loss: Callable[[float], float], most: int) -> None:
    """Look for the maxima of the loss and of its rise above the chord, by evaluating it."""
    first, last = loss(0.0), loss(1.0)
    if not all(map(math.isfinite, map(loss, grid))):
        return  # what is infinite somewhere has no maximum

    def rise(alpha: float) -> float:
        return loss(alpha) - ((1 - alpha) * first + alpha * last)

    for height in (loss, rise):
        k = int(np.argmax([height(alpha) for alpha in grid]))
        if 0 < k < len(grid) - 1:
            minimize_scalar(
                partial(_depth, height),
                bounds=(grid[k - 1], grid[k + 1]),
                method="bounded",
                options={"maxiter": most, "xatol": CLOSE},
            )


def _depth(height: Callable[[float], float], alpha: float) -> float:
    """The height turned over; infinite where there is none."""
    found = height(float(alpha))
    return -found if math.isfinite(found) else math.inf


def one_dtype(a: End, b: End) -> tuple[End, End]:
    """Both ends in the wider dtype of their points."""
    wide = torch.promote_types(a.theta.dtype, b.theta.dtype)
    return (
        End(a.theta.to(wide), a.statistics, a.behind),
        End(b.theta.to(wide), b.statistics, b.behind),
    )


def distance(a: Tensor, b: Tensor) -> float:
    """The length of the segment, in float64."""
    return float(torch.linalg.vector_norm(b.double() - a.double()))
