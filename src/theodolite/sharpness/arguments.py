"""What every measure asks of its arguments, and records of its objective."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from theodolite.directions.normalize import check_finite
from theodolite.errors import InvalidArgument, InvalidType
from theodolite.objective import Objective
from theodolite.sharpness.invariances import invariant_under


def point_of(objective: Objective, theta: Tensor | None) -> Tensor:
    """The point measured at, finite and on the objective's device."""
    if theta is None:
        return objective.start.clone()
    objective.space.check(theta)
    check_finite(theta, objective.space, "theta")
    return objective.point(theta).clone()


def positive(value: Any, name: str) -> list[float]:
    """One positive number or several, in the order given."""
    listed = [value] if isinstance(value, int | float) else list(value)
    ok = all(isinstance(v, int | float | np.floating | np.integer) for v in listed)
    numbers = [float(v) for v in listed] if ok else []
    if not numbers or not all(v > 0 and math.isfinite(v) for v in numbers):
        raise InvalidArgument(
            f"{name} must be positive and finite, one number or several; got {value!r}.",
            code="E-H11",
        )
    if len(set(numbers)) < len(numbers):
        raise InvalidArgument(f"{name} must differ from each other; got {value!r}.", code="E-H11")
    return numbers


def at_least(least: int, value: Any, name: str) -> int:
    """A whole number that is large enough."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidArgument(
            f"{name} must be a whole number, {least} or more; got {value!r}.", code="E-H12"
        )
    return value


def not_negative(value: Any, name: str) -> float:
    """A finite number of zero or more."""
    if not isinstance(value, int | float) or not (value >= 0 and math.isfinite(value)):
        raise InvalidArgument(f"{name} must be 0 or more and finite; got {value!r}.", code="E-H13")
    return float(value)


def one_of(allowed: Sequence[Any], value: Any, name: str) -> None:
    """Raise unless `value` is one of a few."""
    if value not in allowed:
        raise InvalidArgument(
            f"{name} must be one of {', '.join(map(repr, allowed))}; got {value!r}.", code="E-H14"
        )


def vectors(objective: Objective, given: Any, name: str) -> Tensor:
    """Directions of shape ``(direction, params)``, finite and not zero; one may come flat."""
    if not isinstance(given, Tensor) or not given.is_floating_point():
        kind = given.dtype if isinstance(given, Tensor) else type(given).__name__
        raise InvalidType(f"{name} must be a tensor of floats; got {kind}.", code="E-H15")
    rows = given.detach().reshape(1, -1) if given.dim() == 1 else given.detach()
    if rows.dim() != 2 or rows.shape[1] != objective.space.size or not len(rows):
        raise InvalidArgument(
            f"{name} must have shape (direction, {objective.space.size}); "
            f"got {tuple(given.shape)}.",
            code="E-H15",
        )
    for k, row in enumerate(rows):
        check_finite(row, objective.space, f"{name}[{k}]")
        if not bool(row.any()):
            raise InvalidArgument(f"{name}[{k}] is zero.", code="E-H15")
    return rows.to(objective.device)


def facts(objective: Objective, theta: Tensor, measure: str) -> dict[str, Any]:
    """What a result records of the objective, the point and the measure's invariances."""
    return {
        **objective.facts(),
        "theta_norm": float(torch.linalg.vector_norm(theta.double())),
        "measure": measure,
        "invariant_under": invariant_under(measure),
    }
