r"""Products with the Gauss-Newton matrix of one batch's share: J' H J v, by four engines.

`J` is the Jacobian of the model's outputs and `H` the Hessian of the loss in the outputs, which
is known by double backward through the loss alone, so any torch loss will do.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from theodolite.engines.failures import named_failures
from theodolite.engines.parts import (
    Builder,
    Kind,
    Part,
    forward_mode,
    nothing,
    pulled,
    reach,
    units,
)
from theodolite.engines.problem import Problem

WHAT = "Gauss-Newton product"
Tangents = list[Tensor]


@dataclass(frozen=True, eq=False)
class Graph:
    """One batch's outputs with their graph, and the loss's gradient in them with its own.

    ``run`` runs with the tensors the graph was made with; ``share`` is the batch's share of the
    loss as a function of ``outputs``, which are at ``places`` among all leaves the model returns;
    ``slopes`` is its gradient at ``free``, detached copies of the outputs.
    """

    leaf: Tensor
    run: Callable[[Callable[[], Any]], Any]
    share: Callable[[Sequence[Tensor]], Tensor]
    outputs: list[Tensor]
    places: list[int]
    free: list[Tensor]
    slopes: list[Tensor]

    def bent(self, tangents: Tangents, batched: bool) -> Tangents:
        """The Hessian of the loss in the outputs times tangents of the outputs."""
        curved = [(s, t) for s, t in zip(self.slopes, tangents, strict=True) if s.requires_grad]
        slopes, weights = zip(*curved, strict=True)
        return pulled(slopes, self.free, weights, batched)

    def back(self, weights: Tangents, batched: bool) -> Tensor:
        """The transposed Jacobian times weights of the outputs."""
        made: list[Tensor] = self.run(lambda: pulled(self.outputs, [self.leaf], weights, batched))
        return made[0]


def graph(problem: Problem, leaf: Tensor, batch: Any) -> Graph | None:
    """Run the model once and the loss on a detached copy of its outputs; None where detached."""
    state = problem.forward.fresh(leaf)

    def run(body: Callable[[], Any]) -> Any:
        return problem.forward.run_named(state, body)

    leaves, spec = pytree.tree_flatten(run(lambda: problem.terms.run(problem.model, batch)))
    places = [k for k, t in enumerate(leaves) if isinstance(t, Tensor) and t.requires_grad]
    still = [t.detach() if isinstance(t, Tensor) else t for t in leaves]

    def share(places: list[int], outputs: Sequence[Tensor]) -> Tensor:
        inner = list(still)
        for k, output in zip(places, outputs, strict=True):
            inner[k] = output
        outcome = pytree.tree_unflatten(inner, spec)
        losses, weights = run(lambda: problem.terms.loss(outcome, batch.targets))
        alive = bool(weights.any())
        return problem.weighted(losses, weights) if alive else losses.new_zeros(())

    free = [still[k].clone().requires_grad_(True) for k in places]
    value = share(places, free)
    if not value.requires_grad:
        return None
    slopes = torch.autograd.grad(value, free, create_graph=True, allow_unused=True)
    used = [k for k, s in enumerate(slopes) if s is not None]
    if not used:
        return None
    places = [places[k] for k in used]
    return Graph(
        leaf,
        run,
        partial(share, places),
        [leaves[k] for k in places],
        places,
        [free[k] for k in used],
        [s for s in slopes if s is not None],
    )


def keep(problem: Problem, leaf: Tensor, batch: Any) -> Part | None:
    """Tangents by double backward through J' u, which is linear in u: one kept graph (4 F)."""

    def tangents(made: Graph) -> Callable[[Tensor, bool], Tangents]:
        duals = [torch.zeros_like(o, requires_grad=True) for o in made.outputs]
        back = made.run(
            lambda: torch.autograd.grad(
                made.outputs, leaf, duals, create_graph=True, materialize_grads=True
            )
        )[0]
        if not back.requires_grad:
            return lambda rows, batched: [d.new_zeros(len(rows), *d.shape) for d in duals]
        return lambda rows, batched: made.run(lambda: pulled([back], duals, [rows], batched))

    return _part(problem, leaf, batch, tangents)


def forward(problem: Problem, leaf: Tensor, batch: Any) -> Part | None:
    """Tangents in forward mode, which runs the model again (5 F)."""

    def tangents(made: Graph) -> Callable[[Tensor, bool], Tangents]:
        theta, outputs = leaf.detach(), _outputs_at(problem, batch, made.places)

        def along(vector: Tensor) -> tuple[Tensor, ...]:
            pushed: tuple[Tensor, ...] = torch.func.jvp(outputs, (theta,), (vector,))[1]
            return pushed

        def rows_of(rows: Tensor, batched: bool) -> Tangents:
            with forward_mode():
                return _tangent_rows(along, rows, batched)

        return rows_of

    return _part(problem, leaf, batch, tangents)


def linearize(problem: Problem, leaf: Tensor, batch: Any) -> Part | None:
    """Tangents by a linear program traced once (4 F; tracing takes seconds)."""

    def tangents(made: Graph) -> Callable[[Tensor, bool], Tangents]:
        outputs = _outputs_at(problem, batch, made.places)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.fx warns about its own constant folding
            _, along = torch.func.linearize(outputs, leaf.detach())

        def rows_of(rows: Tensor, batched: bool) -> Tangents:
            with torch.no_grad():
                return _tangent_rows(along, rows, batched)

        return rows_of

    return _part(problem, leaf, batch, tangents)


def differences(step: float) -> Builder:
    """Central differences of outputs and of the loss's gradient: first derivatives only (6 F)."""

    def build(problem: Problem, leaf: Tensor, batch: Any) -> Part | None:
        theta, h = leaf.detach(), step * reach(leaf.detach())
        with named_failures(WHAT, batch.index):
            made = graph(problem, leaf, batch)
        if made is None:
            return None
        outputs = _outputs_at(problem, batch, made.places)

        def one(vector: Tensor) -> Tensor:
            with torch.no_grad():
                ends = zip(outputs(theta + h * vector), outputs(theta - h * vector), strict=True)
                tangents = [(up - down) / (2 * h) for up, down in ends]
            weights = _bent_by_differences(made, tangents, step)
            return made.back([w[None] for w in weights], False)[0]

        def part(rows: Tensor, batched: bool) -> Tensor:
            directions, norms = units(rows)
            with named_failures(WHAT, batch.index):
                return torch.stack([one(v) for v in directions]) * norms

        return part

    return build


def _bent_by_differences(made: Graph, tangents: Tangents, step: float) -> Tangents:
    """Central differences of the loss's gradient in the outputs along `tangents`."""
    size = _norm(tangents)
    if size == 0:
        return [torch.zeros_like(t) for t in tangents]
    h = step * (_norm(made.free) or 1.0) / size
    slopes = []
    for sign in (1, -1):
        moved = [
            (o.detach() + sign * h * t).requires_grad_(True)
            for o, t in zip(made.free, tangents, strict=True)
        ]
        slopes.append(torch.autograd.grad(made.share(moved), moved, materialize_grads=True))
    return [(up - down) / (2 * h) for up, down in zip(*slopes, strict=True)]


def _norm(tensors: Sequence[Tensor]) -> float:
    return math.hypot(*(float(torch.linalg.vector_norm(t.detach())) for t in tensors))


def _outputs_at(
    problem: Problem, batch: Any, places: list[int]
) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """The outputs the loss looks at, as a function of theta."""

    def outputs(point: Tensor) -> tuple[Tensor, ...]:
        made = problem.forward.run_named(
            problem.forward.fresh(point), lambda: problem.terms.run(problem.model, batch)
        )
        leaves = pytree.tree_leaves(made)
        return tuple(leaves[k] for k in places)

    return outputs


def _tangent_rows(
    along: Callable[[Tensor], tuple[Tensor, ...]], rows: Tensor, batched: bool
) -> Tangents:
    if batched:
        return list(torch.func.vmap(along)(rows))
    return [torch.stack(column) for column in zip(*(along(v) for v in rows), strict=True)]


def _part(
    problem: Problem,
    leaf: Tensor,
    batch: Any,
    tangents: Callable[[Graph], Callable[[Tensor, bool], Tangents]],
) -> Part | None:
    """J v by `tangents`, then H J v and J' H J v along the kept graphs."""
    with named_failures(WHAT, batch.index):
        made = graph(problem, leaf, batch)
        if made is None:
            return None
        if not any(s.requires_grad for s in made.slopes):
            return nothing  # the loss is linear in the outputs
        along = tangents(made)

    def part(rows: Tensor, batched: bool) -> Tensor:
        with named_failures(WHAT, batch.index):
            return made.back(made.bent(along(rows, batched), batched), batched)

    return part


GAUSS_NEWTON = Kind("GGN", keep, "forward", forward, linearize, differences)
