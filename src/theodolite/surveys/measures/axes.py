"""The axes of a survey's planes: drawn at random, or made from what the target holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NoReturn

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from theodolite.directions import (
    Eigenvectors,
    adam_direction,
    between,
    eigenvector_directions,
    gradient_direction,
    orthogonalized,
    plane_through,
    principal_directions,
    projection,
    random_directions,
)
from theodolite.errors import InvalidArgument, NotConverged
from theodolite.objective import Objective
from theodolite.seeds import child_seed
from theodolite.surveys.measures.eigenvalues import EXPECTED_PRODUCTS
from theodolite.surveys.measures.hessians import steady_hessian
from theodolite.surveys.measures.marks import Mark, mark_facts, read_marks
from theodolite.surveys.measures.settings import PRODUCT, normalization_of
from theodolite.surveys.target import Target

GRADIENT = 3.0
"""A gradient costs about as much as so many forward passes."""

TOLERANCE = 1e-2
"""Residual allowed of eigenvectors, relative to the largest eigenvalue: as a quick survey's."""

PASSES: Mapping[str, float] = {
    "random": 0.0,
    "eigenvectors": PRODUCT * EXPECTED_PRODUCTS,
    "checkpoints": 0.0,
    "principal": 0.0,
    "gradient": GRADIENT,
    "adam": 2 * GRADIENT,
}
"""The axes there are, and what making them costs in forward passes over the data."""

REPEATED = ("random", "gradient")
"""Axes with a random part: other planes of the same survey have other ones."""


@dataclass(frozen=True, eq=False)
class Axes:
    """Two directions, the point they go through, and what a plane along them records.

    ``theta`` is None for the surveyed point. ``marks`` are the coordinates of named points on
    the plane, also in ``facts`` as ``marked``, ``marked_alpha``, ``marked_beta`` and
    ``marked_residual`` (the distance from the plane).
    """

    directions: Shaped[Tensor, "2 params"]
    labels: tuple[str, str]
    theta: Shaped[Tensor, " params"] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    marks: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def resolved_axes(target: Target, settings: Mapping[str, Any], seed: int, index: int) -> Axes:
    """The axes of plane number `index` by ``settings["axes"]``, "random" where it is missing.

    ``"random"``: two of `random_directions` with ``settings["normalize"]`` and the seed of this
    plane. ``"eigenvectors"``: of the largest and the smallest eigenvalue, unscaled.
    ``"checkpoints"``: from the surveyed point to two others, through three, or the nearest plane
    to more; files in ``settings["through"]``, or the last two of ``target.checkpoints`` that are
    not the surveyed point. One file gives a line, and a random direction across it.
    ``"principal"``: the principal directions of the checkpoints. ``"gradient"``: minus the
    gradient, and a random direction orthogonal to it. ``"adam"``: minus the gradient, and Adam's
    first step. The last two have the norm of theta.

    Raises `InvalidArgument` for other names (E-V16), a second plane along axes that have no
    random part (E-V17), or too few checkpoints (E-V18); and what reading files raises.
    """
    name = name_of(settings)
    if index and name not in REPEATED:
        raise InvalidArgument(
            f"there is one plane with axes={name!r}; plane {index} would be the same.",
            fix="use count=1, or axes='random'.",
            code="E-V17",
        )
    makers: dict[str, Callable[[Target], Axes]] = {
        "random": partial(_random, settings=settings, seed=seed, index=index),
        "eigenvectors": partial(_eigenvectors, seed=seed),
        "checkpoints": partial(_checkpoints, settings=settings, seed=seed),
        "principal": partial(_principal, settings=settings),
        "gradient": partial(_gradient, seed=seed, index=index),
        "adam": _adam,
    }
    return makers[name](target)


def name_of(settings: Mapping[str, Any]) -> str:
    """The axes asked for; raises `InvalidArgument` (E-V16) listing those there are."""
    name = settings.get("axes", "random")
    if name not in PASSES:
        raise InvalidArgument(
            f"axes of planes must be one of {', '.join(PASSES)}; got {name!r}.", code="E-V16"
        )
    return str(name)


def passes_of(settings: Mapping[str, Any]) -> float:
    """About how many forward passes over the data making the axes of one plane costs."""
    return PASSES[name_of(settings)]


def planes_of(settings: Mapping[str, Any], count: int) -> int:
    """How many different planes there are where `count` were asked for: one without chance."""
    return count if name_of(settings) in REPEATED else 1


def _random(target: Target, *, settings: Mapping[str, Any], seed: int, index: int) -> Axes:
    normalize = normalization_of(settings, "planes")
    own = child_seed(seed, "plane", index)
    directions = random_directions(target.objective, normalize=normalize, seed=own)
    facts = {"axes": "random", "normalize": normalize or "none", "direction_seed": own}
    return _axes(directions, ("random direction 1", "random direction 2"), facts)


def _eigenvectors(target: Target, *, seed: int) -> Axes:
    operator = steady_hessian(target.objective)
    converged = True
    try:
        found = eigenvector_directions(operator, tolerance=TOLERANCE, seed=seed)
    except NotConverged as error:
        if not isinstance(error.result, Eigenvectors):
            raise
        found, converged = error.result, False
    facts = {
        "axes": "eigenvectors",
        "normalize": "none",
        "eigenvalues": list(found.eigenvalues),
        "eigenvalue_residuals": list(found.residuals),
        "eigenvectors_converged": converged,
        "eigenvector_tolerance": TOLERANCE,
    }
    return _axes(found.directions, (found.labels[0], found.labels[1]), facts)


def _checkpoints(target: Target, *, settings: Mapping[str, Any], seed: int) -> Axes:
    objective, through = target.objective, settings.get("through") or ()
    marks = read_marks(objective, through or target.checkpoints)
    start = Mark("surveyed point", objective.start)
    if not through:
        marks = [m for m in marks if not torch.equal(m.point.to(start.point), start.point)][-2:]
    if len(marks) < (1 if through else 2):
        _refuse_few(len(marks), "two that are not the surveyed point")
    if len(marks) == 1:
        return _across(start, marks[0], objective, seed)
    if len(marks) > 3:
        return _fitted(objective, marks)
    marks = marks if len(marks) == 3 else [start, *marks]
    made = plane_through(objective, [m.point for m in marks])
    labels = tuple(f"from {marks[0].name} to {m.name}" for m in marks[1:])
    theta = None if marks[0] is start else made.theta
    facts = {"axes": "checkpoints", "normalize": "none"}
    return _marked(made.directions, (labels[0], labels[1]), facts, marks, made.theta, theta)


def _fitted(objective: Objective, marks: list[Mark]) -> Axes:
    """The nearest plane to many points, scaled so that the farthest coordinate is one."""
    made = plane_through(objective, [m.point for m in marks])
    scale = float(np.abs(made.coordinates).max())
    labels = ("first principal axis of the points", "second principal axis of the points")
    facts = {"axes": "checkpoints", "normalize": "none", "axis_scale": scale}
    told = {**facts, "explained": made.explained}
    return _marked(made.directions * scale, labels, told, marks, made.theta, made.theta)


def _across(start: Mark, other: Mark, objective: Objective, seed: int) -> Axes:
    """From the surveyed point to another, and a random direction across, of the same length."""
    own = child_seed(seed, "plane", 0)
    along = between(objective, [other.point])
    drawn = random_directions(objective, count=1, normalize=None, seed=own).to(along)
    directions = orthogonalized(torch.cat([along, drawn * (along.norm() / drawn.norm())]))
    labels = (f"from {start.name} to {other.name}", "random direction orthogonal to it")
    facts = {"axes": "checkpoints", "normalize": "none", "direction_seed": own}
    return _marked(directions, labels, facts, [start, other], start.point)


def _principal(target: Target, *, settings: Mapping[str, Any]) -> Axes:
    """The surveyed point is the origin; the farthest coordinate of a checkpoint is one."""
    objective = target.objective
    marks = read_marks(objective, settings.get("through") or target.checkpoints)
    if len(marks) < 3:
        _refuse_few(len(marks), "three")
    points = [m.point for m in marks]
    made = principal_directions(objective, points, theta=objective.start, count=2)
    directions = made.directions.to(objective.start)
    scale = float(np.abs(projection(directions, points, objective.start).coordinates).max())
    shares = [float(s) for s in made.explained_variance[:2]]
    first, second = (
        f"principal direction {k + 1} ({100 * share:.3g} % of the squared distances)"
        for k, share in enumerate(shares)
    )
    facts = {"axes": "principal", "normalize": "none", "axis_scale": scale}
    told = {**facts, "explained_variance": shares}
    return _marked(directions * scale, (first, second), told, marks, objective.start)


def _gradient(target: Target, *, seed: int, index: int) -> Axes:
    own = child_seed(seed, "plane", index)
    down = gradient_direction(target.objective, normalize="model")
    other = random_directions(target.objective, count=1, normalize="model", seed=own)[0]
    facts = {"axes": "gradient", "normalize": "model", "direction_seed": own}
    labels = ("minus the gradient", "random direction orthogonal to it")
    return _axes(orthogonalized(torch.stack([down, other.to(down)])), labels, facts)


def _adam(target: Target) -> Axes:
    down = gradient_direction(target.objective, normalize="model")
    step = adam_direction(target.objective, normalize="model")
    facts = {"axes": "adam", "normalize": "model"}
    return _axes(torch.stack([down, step]), ("minus the gradient", "Adam's first step"), facts)


def _axes(directions: Tensor, labels: tuple[str, str], facts: Mapping[str, Any]) -> Axes:
    told = {**facts, "axis_alpha": labels[0], "axis_beta": labels[1]}
    return Axes(directions, labels, facts=told)


def _marked(
    directions: Tensor,
    labels: tuple[str, str],
    facts: Mapping[str, Any],
    marks: list[Mark],
    origin: Tensor,
    theta: Tensor | None = None,
) -> Axes:
    """Axes with points marked on them."""
    told = {**facts, **mark_facts(directions, origin, marks)}
    plain = _axes(directions, labels, told)
    at = zip(told["marked"], told["marked_alpha"], told["marked_beta"], strict=True)
    return replace(plain, theta=theta, marks={name: (a, b) for name, a, b in at})


def _refuse_few(count: int, wanted: str) -> NoReturn:
    raise InvalidArgument(
        f"these axes need at least {wanted} of the checkpoints; the target gives {count}.",
        fix="pass checkpoints=... to td.Target, or name files: --through a.pt --through b.pt.",
        code="E-V18",
    )
