"""A saddle to escape from: its direction, its noise, and the steps that linear theory predicts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float64, Shaped
from torch import Tensor

from theodolite import seeds
from theodolite.curvature.descents import Descent, Line, on_sphere
from theodolite.curvature.escape_fields import Field, field_of
from theodolite.curvature.escape_noise import Noise, noise_at
from theodolite.errors import InvalidArgument, NotConverged
from theodolite.linalg.operator import Operator
from theodolite.linalg.precision import without_autocast
from theodolite.linalg.thick_restart import RitzPairs, ritz_pairs

SETTLED = 0.01
"""An eigenvalue that did not settle serves if its residual is below this share of it."""


@dataclass(frozen=True, eq=False)
class Saddle:
    """What all runs share; ``line`` has the point, the direction that leads down and the radius,
    ``slope`` is the gradient at the point."""

    field: Field
    line: Line
    eigenvalue: float
    residual: float
    noise: Noise
    slope: Float64[Tensor, " params"]


def saddle_of(
    loss: Any,
    point: Shaped[Tensor, " params"] | None,
    *,
    radius: float,
    seed: int,
    watched: Callable[[Operator], Operator] = lambda hessian: hessian,
) -> Saddle:
    """The eigenvector of the smallest eigenvalue, and the noise along it.

    Up to 550 Hessian products, by way of `watched`, some of the covariance, and a gradient of
    every batch. Raises `InvalidArgument` for a point without a certain negative eigenvalue
    (E-K35); `NotConverged` where the eigenvalue is not known to one part in a hundred.
    """
    field, origin, objective = field_of(loss, point)
    pairs = _lowest(watched(field.hessian(origin)), seed)
    value, residual = float(pairs.values[0]), float(pairs.residuals[0])
    if value + residual >= 0:
        raise InvalidArgument(
            f"the smallest eigenvalue at the point is {value:.3g} with a residual of "
            f"{residual:.3g}: no direction surely curves down.",
            fix="see saddle_index(hessian(objective, point)); find a saddle by critical_point.",
            code="E-K35",
        )
    line = Line(origin, pairs.vectors[0].double(), radius)
    noise = noise_at(field, objective, line, seed)
    slope = field.guarded(lambda: field.gradient(origin))
    return Saddle(field, line, value, residual, noise, slope)


def _lowest(hessian: Operator, seed: int) -> RitzPairs:
    """The lowest eigenpair; one that is nearly settled will do, its residual says how nearly."""
    try:
        return without_autocast(ritz_pairs)(
            hessian, count=1, which="smallest", tolerance=1e-9, seed=seed
        )
    except NotConverged as error:
        pairs: RitzPairs = error.result
        if float(pairs.residuals[0]) > SETTLED * abs(float(pairs.values[0])):
            raise
        return pairs


def beginning(
    saddle: Saddle, displacement: float | Tensor, seed: int, run: int
) -> Float64[Tensor, " params"]:
    """Where a run starts."""
    origin = saddle.line.origin
    if not isinstance(displacement, Tensor):
        generator = seeds.torch_generator(seed, "escape displacement", run)
        return origin + displacement * on_sphere(origin, generator)
    moved = displacement.detach().to(origin)
    if moved.shape != origin.shape:
        raise InvalidArgument(
            f"displacement must have shape {tuple(origin.shape)}; got {tuple(moved.shape)}.",
            code="E-K36",
        )
    return origin + moved


def projected(saddle: Saddle, start: Float64[Tensor, " params"]) -> float:
    """The displacement along the direction from where the gradient along it vanishes."""
    direction = saddle.line.direction
    along = float(direction @ saddle.slope) / abs(saddle.eigenvalue)
    return abs(saddle.line.projection(start) - along)


def predicted(saddle: Saddle, descent: Descent, projection: float) -> float:
    """Steps of the quadratic model, from the displacement and what noise adds to it."""
    total = math.sqrt(projection**2 + added(saddle, descent))
    if total == 0:
        return math.inf
    radius = saddle.line.radius
    return max(0.0, math.log(radius / total) / math.log1p(_gain(saddle, descent)))


def median_prediction(
    saddle: Saddle, descent: Descent, *, displacement: float, runs: int, seed: int
) -> float:
    """The median of the predicted steps of some runs, before any of them is made."""
    chosen = completed(descent, saddle)
    starts = (beginning(saddle, displacement, seed, run) for run in range(runs))
    steps = [predicted(saddle, chosen, projected(saddle, start)) for start in starts]
    return float(np.quantile(steps, 0.5, method="inverted_cdf"))


def growth(saddle: Saddle, descent: Descent) -> float:
    """By how much a step stretches the direction."""
    return 1 + _gain(saddle, descent)


def _gain(saddle: Saddle, descent: Descent) -> float:
    return descent.rate * abs(saddle.eigenvalue)


def added(saddle: Saddle, descent: Descent) -> float:
    """What noise adds to the squared displacement, seen from the end."""
    gain = _gain(saddle, descent)
    spread = gain * (2 + gain)
    if descent.method == "stochastic":
        return descent.rate**2 * saddle.noise.batch_along / spread
    if descent.method == "isotropic":
        return (descent.rate * (descent.noise or 0.0)) ** 2 / spread
    if descent.method == "perturbed" and float(saddle.slope.norm()) <= descent.threshold:
        return (descent.noise or 0.0) ** 2 / (len(saddle.slope) + 2)
    return 0.0


def completed(descent: Descent, saddle: Saddle) -> Descent:
    """With the noise level of equal trace where none was given."""
    batches = descent.method == "stochastic" or (
        descent.method == "isotropic" and descent.noise is None
    )
    if batches and len(saddle.field.shares) < 2:
        raise InvalidArgument(
            f"method {descent.method!r} needs an objective with two batches or more in memory.",
            fix="pass Objective(..., batch_size=...), or Descent(noise=...) for isotropic noise.",
            code="E-K33",
        )
    if descent.method == "isotropic" and descent.noise is None:
        return replace(descent, noise=math.sqrt(saddle.noise.batch_mean))
    return descent
