"""Products J' W J v of one batch, by four engines: J the Jacobian of what the batch gives.

What `W` is and what the batch gives (outputs of the model, losses of its examples) the matrix
says by its `Graph`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    forward_mode,
    nothing,
    pulled,
    reach,
    units,
)
from theodolite.engines.problem import Problem

Tangents = list[Tensor]
Along = Callable[[Tensor, bool], Tangents]


@dataclass(frozen=True, eq=False)
class Graph:
    """What one batch gives, with its graph.

    ``run`` runs with the tensors the graph was made with; ``outputs`` hang on ``leaf`` and ``at``
    gives the same at another point. ``middle(tangents, batched)`` is `W` times tangents of the
    outputs, a row each, and ``differenced(tangents, step)`` times one row of them by first
    derivatives only. ``zero`` says that `W` vanishes. ``places`` are those of the outputs among
    the leaves of what the model returns, for matrices that say so.
    """

    leaf: Tensor
    run: Callable[[Callable[[], Any]], Any]
    outputs: list[Tensor]
    at: Callable[[Tensor], tuple[Tensor, ...]]
    middle: Callable[[Tangents, bool], Tangents]
    differenced: Callable[[Tangents, float], Tangents]
    zero: bool = False
    places: tuple[int, ...] = ()

    def back(self, weights: Tangents, batched: bool) -> Tensor:
        """The transposed Jacobian times weights of the outputs."""
        made: list[Tensor] = self.run(lambda: pulled(self.outputs, [self.leaf], weights, batched))
        return made[0]


Grapher = Callable[[Problem, Tensor, Any], Graph | None]
"""``graph(problem, leaf, batch)``; None where no derivative leads through the batch."""


def jacobian_kind(label: str, what: str, graph: Grapher) -> Kind:
    """The matrix whose batches have these graphs; `what` is what errors call a product."""

    def by(tangents: Callable[[Graph], Along]) -> Builder:
        return lambda problem, leaf, batch: _part(what, graph, problem, leaf, batch, tangents)

    return Kind(
        label,
        by(kept),
        "forward",
        by(forward),
        by(linearized),
        lambda step: _differences(what, graph, step),
        linear=3,
    )


def kept(made: Graph) -> Along:
    """Tangents by double backward through J' u, which is linear in u: one kept graph (4 F)."""
    duals = [torch.zeros_like(o, requires_grad=True) for o in made.outputs]
    back = made.run(
        lambda: torch.autograd.grad(
            made.outputs, made.leaf, duals, create_graph=True, materialize_grads=True
        )
    )[0]
    if not back.requires_grad:
        return lambda rows, batched: [d.new_zeros(len(rows), *d.shape) for d in duals]
    return lambda rows, batched: made.run(lambda: pulled([back], duals, [rows], batched))


def forward(made: Graph) -> Along:
    """Tangents in forward mode, which runs the model again (5 F)."""
    theta = made.leaf.detach()

    def along(vector: Tensor) -> tuple[Tensor, ...]:
        pushed: tuple[Tensor, ...] = torch.func.jvp(made.at, (theta,), (vector,))[1]
        return pushed

    def rows_of(rows: Tensor, batched: bool) -> Tangents:
        with forward_mode():
            return _tangent_rows(along, rows, batched)

    return rows_of


def linearized(made: Graph) -> Along:
    """Tangents by a linear program (4 F; recording it takes 5 F once)."""
    along = linear_program(made.at, made.leaf.detach())
    return lambda rows, batched: _tangent_rows(along, rows, batched)


def _differences(what: str, graph: Grapher, step: float) -> Builder:
    """Central differences of the outputs and of `W`: first derivatives only (6 F)."""

    def build(problem: Problem, leaf: Tensor, batch: Any) -> Part | None:
        theta, h = leaf.detach(), step * reach(leaf.detach())
        with named_failures(what, batch.index):
            made = graph(problem, leaf, batch)
        if made is None:
            return None

        def one(vector: Tensor) -> Tensor:
            with torch.no_grad():
                ends = zip(made.at(theta + h * vector), made.at(theta - h * vector), strict=True)
                tangents = [(up - down) / (2 * h) for up, down in ends]
            weights = made.differenced(tangents, step)
            return made.back([w[None] for w in weights], False)[0]

        def part(rows: Tensor, batched: bool) -> Tensor:
            directions, norms = units(rows)
            with named_failures(what, batch.index):
                return torch.stack([one(v) for v in directions]) * norms

        return part

    return build


def _tangent_rows(
    along: Callable[[Tensor], tuple[Tensor, ...]], rows: Tensor, batched: bool
) -> Tangents:
    if batched:
        return list(torch.func.vmap(along)(rows))
    return [torch.stack(column) for column in zip(*(along(v) for v in rows), strict=True)]


def _part(
    what: str,
    graph: Grapher,
    problem: Problem,
    leaf: Tensor,
    batch: Any,
    tangents: Callable[[Graph], Along],
) -> Part | None:
    """J v by `tangents`, then W J v and J' W J v along the kept graphs."""
    with named_failures(what, batch.index):
        made = graph(problem, leaf, batch)
        if made is None:
            return None
        if made.zero:
            return nothing
        along = tangents(made)

    def part(rows: Tensor, batched: bool) -> Tensor:
        with named_failures(what, batch.index):
            return made.back(made.middle(along(rows, batched), batched), batched)

    return part


def at_places(
    problem: Problem, outputs: Callable[[], Sequence[Tensor]]
) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """`outputs()` as a function of theta, inside a run of the model."""

    def at(point: Tensor) -> tuple[Tensor, ...]:
        return tuple(problem.forward.run_named(problem.forward.fresh(point), outputs))

    return at
