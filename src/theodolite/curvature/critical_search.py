"""What the searches for critical points share: a place, a goal, a path and a line search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float64
from torch import Tensor

from theodolite.errors import NotFinite
from theodolite.linalg.operator import Operator
from theodolite.linalg.products import inner
from theodolite.objective import Objective
from theodolite.operators import hessian

HALVINGS = 40
"""Steps shorter than this many halvings of the full one are not tried."""

SLOPE = 1e-4
"""Share of the decrease promised by the slope that a step must bring (Armijo)."""

Stop = Literal["tolerance", "products", "stalled"]


@dataclass(frozen=True, eq=False)
class Spot:
    """A point with its loss and gradient, and the Hessian products made on the way to it."""

    theta: Float64[Tensor, " params"]
    loss: float
    gradient: Float64[Tensor, " params"]
    products: int

    @property
    def square(self) -> float:
        """The squared norm of the gradient."""
        return inner(self.gradient, self.gradient)


@dataclass(frozen=True)
class Goal:
    """A squared gradient norm to reach, and the Hessian products it may take."""

    tolerance: float
    max_products: int

    def left(self, spot: Spot) -> int:
        return self.max_products - spot.products


@dataclass(frozen=True, eq=False)
class Path:
    """The places a search went through, why it stopped, and all its Hessian products."""

    spots: list[Spot]
    stop: Stop
    products: int


def spot_at(objective: Objective, theta: Tensor, products: int) -> Spot:
    """Loss and gradient at a point; 4 F."""
    return Spot(theta, float(objective.value(theta)), objective.gradient(theta), products)


def hessian_at(objective: Objective, spot: Spot, *, verify: bool) -> Operator:
    """The Hessian there, by an engine that no clock chooses."""
    return hessian(objective, spot.theta, engine="kept", verify=verify)


def stepped(
    objective: Objective,
    here: Spot,
    direction: Float64[Tensor, " params"],
    products: int,
    accepts: Callable[[Spot, float], bool],
) -> Spot | None:
    """The first of the steps 1, 1/2, 1/4, ... along `direction` that is accepted.

    A step to a place where loss or gradient are not finite is not.
    """
    length = 1.0
    for _ in range(HALVINGS):
        try:
            there = spot_at(objective, here.theta + length * direction, products)
        except NotFinite:
            there = None
        if there is not None and accepts(there, length):
            return there
        length /= 2
    return None
