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

SHORT, CRAWL = 0.01, 4
"""A search is given up after so many steps in a row below this share of the full one."""

Progress = Callable[[int, float], None]
"""Called with the products so far and the gradient norm."""

Stop = Literal["tolerance", "products", "stalled", "crawling"]


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
class Mark:
    """What is remembered of a place: numbers, no vectors."""

    loss: float
    square: float
    products: int


@dataclass(frozen=True)
class Goal:
    """A squared gradient norm to reach, and the Hessian products it may take.

    ``progress`` is told the products so far and the gradient norm, at every place.
    """

    tolerance: float
    max_products: int
    progress: Progress | None = None

    def left(self, spot: Spot) -> int:
        return self.max_products - spot.products

    def marked(self, spot: Spot) -> Mark:
        """What is kept of a place, and a word about it."""
        if self.progress is not None:
            self.progress(spot.products, spot.square**0.5)
        return Mark(spot.loss, spot.square, spot.products)


@dataclass(frozen=True, eq=False)
class Path:
    """The places a search went through, its end, why it stopped, and all its products."""

    marks: list[Mark]
    end: Spot
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
) -> tuple[Spot, float] | None:
    """The first of the steps 1, 1/2, 1/4, ... along `direction` that is accepted, and its length.

    A step to a place where loss or gradient are not finite is not.
    """
    length = 1.0
    for _ in range(HALVINGS):
        try:
            there = spot_at(objective, here.theta + length * direction, products)
        except NotFinite:
            there = None
        if there is not None and accepts(there, length):
            return there, length
        length /= 2
    return None


Advance = Callable[[Spot], tuple[tuple[Spot, float] | None, int]]
"""The next place and the length of the step to it (None where no step is accepted), and all
products so far."""


def walked(start: Spot, goal: Goal, advance: Advance) -> Path:
    """Steps until the goal is reached, cannot be, or is no longer approached.

    Across a kink (ReLU) the gradient jumps: the steps that a line search accepts beside one get
    ever shorter, each at the price of a whole Newton system.
    """
    here, marks, short = start, [goal.marked(start)], 0
    while here.square > goal.tolerance:
        if goal.left(here) < 1:
            return Path(marks, here, "products", here.products)
        if short == CRAWL:
            return Path(marks, here, "crawling", here.products)
        step, used = advance(here)
        if step is None:
            return Path(marks, here, "stalled", used)
        here, length = step
        short = short + 1 if length < SHORT else 0
        marks.append(goal.marked(here))
    return Path(marks, here, "tolerance", here.products)
