"""Products with the Hessian of one batch's share of the loss, by four engines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from theodolite.engines.failures import named_failures
from theodolite.engines.linear_program import linear_program
from theodolite.engines.parts import (
    Builder,
    Kind,
    Part,
    by_rows,
    forward_mode,
    nothing,
    pulled,
    reach,
    stacked,
    units,
)
from theodolite.engines.problem import Problem, derivative_at

WHAT = "Hessian product"


def keep(problem: Problem, leaf: Tensor, batch: Any) -> Part | None:
    """Double backward: the gradient's graph is kept and a product is one sweep through it (6 F)."""
    state = problem.forward.fresh(leaf)

    def gradient() -> Tensor | None:
        share = problem.share(batch)
        if not share.requires_grad:
            return None
        return torch.autograd.grad(share, leaf, create_graph=True, allow_unused=True)[0]

    with named_failures(WHAT, batch.index):
        slope = problem.forward.run_named(state, gradient)
    if slope is None or not slope.requires_grad:
        return None if slope is None else nothing

    return KeptGradient(problem, state, leaf, slope, batch.index)


@dataclass(frozen=True, eq=False)
class KeptGradient:
    """The graph of one batch's gradient ``slope`` in ``leaf``; the part of `keep`."""

    problem: Problem
    state: dict[str, Tensor]
    leaf: Tensor
    slope: Tensor
    batch: int

    def __call__(self, rows: Tensor, batched: bool) -> Tensor:
        """Products with rows, inside a run: a checkpointed model runs forward again in here."""
        with named_failures(WHAT, self.batch):
            made: list[Tensor] = self.problem.forward.run_named(
                self.state, lambda: pulled([self.slope], [self.leaf], [rows], batched)
            )
        return made[0]


def forward_over_reverse(problem: Problem, leaf: Tensor, batch: Any) -> Part | None:
    """The directional derivative of the gradient in forward mode (9 F, little memory)."""
    theta = leaf.detach()

    def loss(point: Tensor) -> Tensor:
        state = problem.forward.fresh(point)
        made: Tensor = problem.forward.run_named(state, lambda: problem.share(batch))
        return made

    slope = torch.func.grad(loss)

    def one(vector: Tensor) -> Tensor:
        made: Tensor = torch.func.jvp(slope, (theta,), (vector,))[1]
        return made

    def part(rows: Tensor, batched: bool) -> Tensor:
        with named_failures(WHAT, batch.index), forward_mode():
            return by_rows(one, rows, batched)

    return part


def linearize(problem: Problem, leaf: Tensor, batch: Any) -> Part | None:
    """The gradient's derivative as a linear program (6 F; recording it takes 15 F once)."""
    if derivative_at(problem, leaf, batch) is None:
        return None

    def loss(point: Tensor) -> Tensor:
        state = problem.forward.fresh(point)
        losses, weights = problem.forward.run_named(
            state, lambda: problem.terms.losses(problem.model, batch)
        )
        return problem.weighted(losses, weights)

    slope = torch.func.grad(loss)
    with named_failures(WHAT, batch.index):
        program = linear_program(lambda point: [slope(point)], leaf.detach())

    def part(rows: Tensor, batched: bool) -> Tensor:
        with named_failures(WHAT, batch.index):
            return by_rows(lambda v: program(v)[0], rows, batched)

    return part


def differences(step: float) -> Builder:
    """Central differences of gradients, at a step relative to the norm of theta (6 F)."""

    def build(problem: Problem, leaf: Tensor, batch: Any) -> Part | None:
        theta = leaf.detach()

        def slope(point: Tensor) -> Tensor | None:
            return derivative_at(problem, point.requires_grad_(True), batch)

        with named_failures(WHAT, batch.index):
            if slope(theta.clone()) is None:
                return None
        h = step * reach(theta)

        def one(vector: Tensor) -> Tensor:
            # large models: one copy of theta at a time, and the quotient in place
            made = torch.zeros_like(theta)
            for sign in (1.0, -1.0):
                end = slope(torch.add(theta, vector, alpha=sign * h))
                if end is not None:
                    made.add_(end, alpha=sign)
            return made.div_(2 * h)

        def part(rows: Tensor, batched: bool) -> Tensor:
            directions, norms = units(rows)
            with named_failures(WHAT, batch.index):
                return stacked([one(v) for v in directions]).mul_(norms)

        return part

    return build


HESSIAN = Kind(
    "Hessian",
    keep,
    "forward_over_reverse",
    forward_over_reverse,
    linearize,
    differences,
    whole=True,
)
