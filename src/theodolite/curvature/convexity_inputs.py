"""What a convexity map needs before any work: a grid, two directions and a way to search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from theodolite.directions.normalize import check_finite
from theodolite.errors import InvalidArgument
from theodolite.objective import Objective


@dataclass(frozen=True, eq=False)
class Search:
    """How the eigenvalues of one point are sought."""

    tolerance: float = 1e-2
    miss_probability: float = 0.1
    engine: str = "kept"
    warm: bool = True
    max_products: int | None = None
    seed: int = 0
    verify: bool = True


def checked_theta(objective: Objective, theta: Tensor | None) -> Tensor:
    if theta is None:
        return objective.start
    objective.space.check(theta)
    check_finite(theta, objective.space, "theta")
    return theta.detach().to(objective.device)


def checked_directions(objective: Objective, directions: Any) -> Tensor:
    """Two directions, finite and not parallel."""
    shape = (2, objective.space.size)
    if not isinstance(directions, Tensor) or tuple(directions.shape) != shape:
        got = tuple(directions.shape) if isinstance(directions, Tensor) else type(directions)
        raise InvalidArgument(
            f"directions must be a tensor of shape {shape}; got {got}.",
            fix="use random_directions(objective, count=2).",
            code="E-X06",
        )
    check_finite(directions, objective.space, "directions")
    gram = directions.double() @ directions.double().T
    if float(torch.linalg.det(gram)) <= 1e-10 * float(gram.diagonal().prod()):
        raise InvalidArgument(
            "the two directions are parallel or zero: they span no plane.",
            fix="pass two different directions.",
            code="E-X07",
        )
    return directions.detach()


def checked_search(search: Search) -> None:
    for name in ("tolerance", "miss_probability"):
        value = getattr(search, name)
        if not 0 < value <= 1 or (name == "tolerance" and value == 1):
            raise InvalidArgument(
                f"{name} must be above 0 and at most 1 (a tolerance below 1); got {value}.",
                code="E-X08",
            )


def axes(span: Any, steps: Any) -> tuple[np.ndarray, np.ndarray]:
    """Evenly spaced coordinates of both axes; a single step is one point at equal ends."""
    try:
        (low, high), (down, up) = span
        counts = [int(s) for s in steps]
        ends = np.array([[low, high], [down, up]], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidArgument(
            f"span and steps must have a part for each axis; got {span!r} and {steps!r}.",
            fix="for example span=((-1, 1), (-1, 1)), steps=(9, 9).",
            code="E-X05",
        ) from error
    fits = len(counts) == 2 and all(
        c >= 1 and (c > 1) == bool(b > a) and a <= b for c, (a, b) in zip(counts, ends, strict=True)
    )
    if not fits or not np.isfinite(ends).all() or [*steps] != counts:
        raise InvalidArgument(
            f"every axis needs at least 2 whole steps between increasing ends (or one step at "
            f"equal ends); got span={span!r}, steps={steps!r}.",
            code="E-X05",
        )
    first, second = (np.linspace(a, b, c) for c, (a, b) in zip(counts, ends, strict=True))
    return first, second
