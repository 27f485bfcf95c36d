"""Which batches' graphs are kept, which are made anew at each product, and the product itself."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from theodolite.engines.failures import refuse_detached
from theodolite.engines.memory import held_bytes
from theodolite.engines.parts import NARROW_STEP, STEP, Builder, Kind, Part
from theodolite.engines.problem import MISTAKES, Problem, default_dtype, in_float64

PROGRAM = 2
"""How many times the bytes of a graph a linear program and the graph beside it hold, at most."""


@dataclass(frozen=True, eq=False)
class Plan:
    """The parts of a matrix at one point: some kept, the others built at every product.

    ``graph_bytes`` is what the first batch's graph saves; ``chunk`` rows go through a graph
    together, or one by one.
    """

    engine: str
    problem: Problem
    leaf: Tensor
    build: Builder
    kept: tuple[Part | None, ...]
    graph_bytes: int
    chunk: int = 1

    @property
    def complete(self) -> bool:
        """Whether nothing is built at a product."""
        return len(self.kept) == int(self.problem.data.batches)


def planned(
    kind: Kind,
    engine: str,
    problem: Problem,
    theta: Tensor,
    budget: int,
    *,
    most: int | None = None,
    graph_bytes: int | None = None,
    first_part: Part | None = None,
) -> Plan:
    """Keep the parts of as many batches as fit into `budget` bytes (and at most `most`).

    What a graph saves is seen on the first batch, whose part is made twice for it, unless
    ``graph_bytes`` says; a linear program, with the graph beside it, holds up to twice as much.
    ``first_part`` is the part of the first batch where it is made already. Batches that are not
    in memory themselves are kept all or not at all, because another reading may order them anew.
    """
    leaf = theta.detach().clone().requires_grad_(True)
    build = kind.builder(engine)
    if engine in ("recompute", "forward_over_reverse"):
        return Plan(engine, problem, leaf, build, (), 0)
    batches = iter(problem.data)
    first = next(batches)
    size = graph_bytes
    if size is None:
        seen = kind.keep if engine == "linearize" else build
        size = held_bytes(lambda: seen(problem, leaf, first))
    if engine == "linearize":
        size *= PROGRAM
    room = _room(problem, first.examples, size, budget)
    room = room if most is None else min(room, most)
    chosen = itertools.islice(itertools.chain([first], batches), room)
    kept = tuple(
        build(problem, leaf, b) if k or first_part is None else first_part
        for k, b in enumerate(chosen)
    )
    named = engine if kept or engine != "kept" else "recompute"
    return Plan(named, problem, leaf, build, kept, size)


def _room(problem: Problem, examples: int, size: int, budget: int) -> int:
    """How many batches from the first on may be kept."""
    total = int(problem.data.batches)
    if problem.data.kept is None:
        return total if size * total <= budget else 0
    used = 0.0
    for count, batch in enumerate(problem.data):
        used += size * batch.examples / examples
        if used > budget:
            return count
    return total


def products(plan: Plan, rows: Float[Tensor, "k params"]) -> Float[Tensor, "k params"]:
    """The matrix times each row; call inside the problem's guard. Sums in the dtype of theta."""
    wide = rows.to(plan.leaf.dtype)
    total, attached = torch.zeros_like(wide), False

    def add(part: Part | None) -> bool:
        if part is not None:
            total.add_(applied(part, wide, plan.chunk))
        return part is not None

    for part in plan.kept:
        attached |= add(part)
    if not plan.complete:
        for batch in itertools.islice(iter(plan.problem.data), len(plan.kept), None):
            # nothing names the part: its graph is let go before the next is built
            attached |= add(plan.build(plan.problem, plan.leaf, batch))
    if not attached:
        refuse_detached()
    return total.to(rows.dtype)


def applied(part: Part, rows: Tensor, chunk: int) -> Tensor:
    """One part times rows, `chunk` of them together."""
    if chunk == 1 or len(rows) == 1:
        return part(rows, False).detach()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of each operation it has to loop over
        return torch.cat([part(some, True) for some in rows.split(chunk)]).detach()


def by_differences(kind: Kind, problem: Problem, theta: Tensor) -> Plan:
    """First derivatives only: in float64 where the model can, else in the precision of theta.

    Batches are cast as they are read, and no graph is kept.
    """
    leaf = theta.detach().to(torch.float64, copy=True).requires_grad_(True)
    wide = Plan("differences", in_float64(problem), leaf, kind.differences(STEP), (), 0)
    try:
        with default_dtype(torch.float64):
            wide.build(wide.problem, leaf, next(iter(wide.problem.data)))
    except MISTAKES as error:
        if type(error) not in MISTAKES:
            raise
        leaf = theta.detach().clone().requires_grad_(True)
        return Plan("differences", problem, leaf, kind.differences(NARROW_STEP), (), 0)
    return wide
