"""A few examples of an objective, in its own precision and in float64, to check derivatives on."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from theodolite import seeds
from theodolite.engines.failures import NO_SECOND
from theodolite.engines.parts import reach
from theodolite.engines.problem import MISTAKES, default_dtype, section
from theodolite.errors import InvalidData, UnsupportedModel
from theodolite.linalg.operator import Operator
from theodolite.objective import Objective
from theodolite.operators import hessian

EXAMPLES = (24, 8)
"""Examples of the first and the second batch: unequal, so that wrong weights show."""

SPREAD, POINTS = 1e-7, (-3, -2, -1, 0, 1, 2, 3)
"""Relative steps at which nothing but rounding bends the loss beyond a parabola."""

PARABOLAS = (
    (1, 1, 1, 1, 1, 1, 1),
    POINTS,
    (5, 0, -3, -4, -3, 0, 5),
)
"""Orthogonal polynomials of degrees 0 to 2 on those points."""


@dataclass(frozen=True, eq=False)
class Sample:
    """The objective over a few examples, `native` and `wide` (float64 where the model can).

    ``theta`` is the point in the precision of `wide`; ``u`` a random direction in which every
    tensor moves in proportion to its size; ``loss``, ``slope`` and ``rounding`` are the loss
    there, its derivative along `u`, and what rounding inside the model does to the loss.
    """

    native: Objective
    wide: Objective
    theta: Tensor
    u: Tensor
    seed: int
    loss: float
    gradient: Tensor
    rounding: float

    def value(self, theta: Tensor) -> float:
        """The loss at `theta`."""
        with default_dtype(self.theta.dtype):
            return float(self.wide.value(theta))

    def gradient_at(self, theta: Tensor) -> Tensor:
        """The gradient at `theta`."""
        with default_dtype(self.theta.dtype):
            return self.wide.gradient(theta)

    def operator(self, theta: Tensor, engine: str) -> Operator:
        """The Hessian at `theta`, unverified: this is what verifies it."""
        return hessian(self.wide, theta, engine=engine, memory_budget=1 << 62, verify=False)

    def product(self, operator: Operator, vector: Tensor) -> Tensor:
        """A product of `operator`."""
        with default_dtype(self.theta.dtype):
            return operator.matvec(vector)

    def random(self, name: str) -> Tensor:
        """A Gaussian vector, the same in every run."""
        generator = seeds.torch_generator(self.seed, "certificate", name)
        noise = torch.randn(len(self.theta), generator=generator, dtype=torch.float64)
        return noise.to(self.theta)


def sampled(objective: Objective, theta: Tensor, seed: int) -> Sample:
    """Cut batches short, check that the model still runs on them, and widen to float64."""
    native = _few(objective, theta)
    wide, point = _widened(native, theta)
    u = _direction(objective, point, seed)
    empty = Sample(native, wide, point, u, seed, 0.0, torch.zeros_like(point), 0.0)
    loss, gradient = empty.value(point), empty.gradient_at(point)
    made = replace(empty, loss=loss, gradient=gradient)
    return replace(made, rounding=_rounding(made))


def engine_of(sample: Sample) -> str:
    """Double backward, or differences where an operation has no second derivative."""
    try:
        sample.product(sample.operator(sample.theta, "kept"), sample.u)
    except UnsupportedModel as error:
        if error.code != NO_SECOND:
            raise
        return "differences"
    return "kept"


def restricted(objective: Objective, batches: tuple[Any, ...], theta: Tensor) -> Objective:
    """The mean (or sum) over some batches only, weighted as the objective weighs them."""
    made = copy.copy(objective)

    def put(**values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(made, name, value)

    data = replace(objective.data, kept=batches, batches=len(batches), whole=len(batches))
    put(
        data=data,
        ranks=None,
        examples=sum(b.examples for b in batches),
        scale=1.0,
        total_weight=1.0,
    )
    weight = float(made.sample(theta).weights.sum())
    put(total_weight=weight, scale=weight if objective.terms.summed else 1.0)
    return made


def _few(objective: Objective, theta: Tensor) -> Objective:
    """The first examples on which the model runs and something counts."""
    whole = tuple(b for b, _ in zip(objective.data, range(2), strict=False))
    for batches in (_shortened(whole), whole):
        try:
            made = restricted(objective, batches, theta)
        except MISTAKES as error:
            if type(error) not in MISTAKES:
                raise
            continue  # a model that takes batches of one size only
        if made.total_weight > 0:
            return made
    if len(whole) == objective.data.batches:
        raise InvalidData("no example counts in the data.", code="E-Z01")
    return restricted(objective, tuple(objective.data), theta)


def _shortened(batches: tuple[Any, ...]) -> tuple[Any, ...]:
    first, second = EXAMPLES
    if len(batches) > 1:
        return section(batches[0], 0, first), section(batches[1], 0, second)
    count = min(batches[0].examples, first + second)
    cut = -(-3 * count // 4)
    if cut == count:
        return batches
    return section(batches[0], 0, cut), section(batches[0], cut, count)


def _widened(native: Objective, theta: Tensor) -> tuple[Objective, Tensor]:
    """In float64, or as it is where the model cannot run so."""
    point = theta.to(torch.float64)
    try:
        with default_dtype(torch.float64):
            wide = native.converted(torch.float64)
            wide.gradient(point)
    except MISTAKES as error:
        if type(error) not in MISTAKES:
            raise
        return native, theta
    return wide, point


def _direction(objective: Objective, theta: Tensor, seed: int) -> Tensor:
    """A random direction of the size of theta in every tensor (in the mean where one is zero)."""
    generator = seeds.torch_generator(seed, "certificate", "direction")
    u = torch.randn(len(theta), generator=generator, dtype=torch.float64).to(theta)
    typical = reach(theta) / len(theta) ** 0.5
    for e in objective.space.entries:
        piece = theta[e.offset : e.stop]
        if e.size:
            u[e.offset : e.stop] *= float(piece.square().mean().sqrt()) or typical
    return u


def _rounding(sample: Sample) -> float:
    """How far the loss, at steps too small for any curvature to show, strays from a parabola."""
    values = [sample.value(sample.theta + k * SPREAD * sample.u) - sample.loss for k in POINTS]
    for shape in PARABOLAS:  # written out: a least-squares solver may round anew at each call
        size = sum(p * v for p, v in zip(shape, values, strict=True)) / sum(p * p for p in shape)
        values = [v - size * p for p, v in zip(shape, values, strict=True)]
    floor = float(torch.finfo(torch.float64).eps) * abs(sample.loss)
    return max(max(map(abs, values)), floor)
