"""What a slice needs before any work: directions that span it, and objectives that share it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from theodolite.directions.normalize import check_finite
from theodolite.errors import InvalidArgument, InvalidType
from theodolite.objective import Objective

BLOCK = 1 << 20
"""Coordinates taken at once, so that float64 copies stay small."""

PARALLEL = 1e-10
"""Directions with a squared sine below this span a line, not a plane."""


def checked_theta(objective: Objective, theta: Tensor | None) -> Tensor:
    """The point a slice goes through."""
    if theta is None:
        return objective.start
    objective.space.check(theta)
    check_finite(theta, objective.space, "theta")
    objective.alike(theta, "theta")
    return theta.detach().to(objective.device)


def checked_direction(objective: Objective, direction: Any) -> Tensor:
    """One direction, shape ``(params,)``, finite and not zero."""
    _check_shape(objective, direction, "direction", (objective.space.size,))
    _check_length(objective, direction, "direction")
    objective.alike(direction, "the direction")
    return direction.detach()  # type: ignore[no-any-return]


def checked_directions(objective: Objective, directions: Any) -> Tensor:
    """Two directions, shape ``(2, params)``, finite, not zero and not parallel."""
    _check_shape(objective, directions, "directions", (2, objective.space.size))
    for k in range(2):
        _check_length(objective, directions[k], f"directions[{k}]")
    cosine = axis_cosine(directions)
    if 1 - cosine**2 < PARALLEL:
        raise InvalidArgument(
            f"the two directions are parallel (cosine {cosine:.12g}): they span a line, no plane.",
            fix="pass two different directions, or use line() with one.",
            code="E-G04",
        )
    objective.alike(directions, "the pair of directions")
    return directions.detach()  # type: ignore[no-any-return]


def length(vector: Tensor) -> float:
    """The Euclidean norm, in float64."""
    size = _largest(vector)
    return size * math.sqrt(_product(vector, vector, size, size))


def axis_cosine(directions: Tensor) -> float:
    """The cosine of the angle between two directions, in float64."""
    first, second = directions
    sizes = _largest(first), _largest(second)
    both = _product(first, second, *sizes)
    squares = [_product(v, v, size, size) for v, size in zip((first, second), sizes, strict=True)]
    return both / math.sqrt(squares[0]) / math.sqrt(squares[1])


def _largest(vector: Tensor) -> float:
    """The largest absolute value, one for a vector of zeros."""
    return max(abs(float(v)) for v in torch.aminmax(vector.detach())) or 1.0


def _product(a: Tensor, b: Tensor, of_a: float, of_b: float) -> float:
    """The inner product of ``a / of_a`` and ``b / of_b`` in float64, some coordinates at a time."""
    pieces = zip(a.detach().split(BLOCK), b.detach().split(BLOCK), strict=True)
    return math.fsum(float((x.double() / of_a) @ (y.double() / of_b)) for x, y in pieces)


def _check_shape(objective: Objective, value: Any, name: str, shape: tuple[int, ...]) -> None:
    if not isinstance(value, Tensor):
        raise InvalidType(
            f"{name} must be a tensor of shape {shape}; got {type(value).__name__}.",
            fix="use random_directions(objective) to make some.",
            code="E-G03",
        )
    if tuple(value.shape) != shape:
        raise InvalidArgument(
            f"{name} must have shape {shape}; got {tuple(value.shape)}.",
            fix="use random_directions(objective) to make some; line() takes one of them, for "
            "example directions[0].",
            code="E-G03",
        )
    if not value.is_floating_point():
        raise InvalidType(f"{name} must hold floats; got {value.dtype}.", code="E-G03")


def _check_length(objective: Objective, direction: Tensor, name: str) -> None:
    check_finite(direction, objective.space, name)
    if not bool(direction.any()):
        raise InvalidArgument(
            f"{name} is zero: there is nowhere to go along it.",
            fix="pass another direction.",
            code="E-G05",
        )
