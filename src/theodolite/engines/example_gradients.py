"""Norms and products of the gradients of all examples, each tensor by the cheapest way that holds.

Three ways: ``"ghost"`` never forms a gradient (`theodolite.engines.example_parts`), ``"vmap"``
forms some at a time, ``"loop"`` one at a time. A tensor goes by the first that gives, on two
examples of each size of batch, what their own gradients give.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from theodolite.engines.example_fallbacks import (
    TOGETHER,
    Found,
    by_loop,
    by_vmap,
    gradient_of_one,
)
from theodolite.engines.example_parts import NUMBERS, Work
from theodolite.engines.failures import named_failures
from theodolite.engines.ghost_gradients import by_ghosts
from theodolite.engines.problem import MISTAKES, Problem, section
from theodolite.errors import UnsupportedModel

Way = Literal["auto", "vmap", "loop"]

SECTION = 256
"""Examples that share a forward pass at most."""

_ROUNDING = {torch.float64: 1e-8, torch.bfloat16: 0.1, torch.float16: 0.02}
"""Relative difference of squared norms that is rounding."""

LOOKED_AT = 2
"""Examples of a batch whose gradients are compared with their own."""


@dataclass(frozen=True, eq=False)
class ExampleGradients:
    """``squares`` and ``products`` by example and tensor, float64; ``ways`` says how, by tensor.

    ``reasons`` says for tensors that went another way than asked what stood in the way.
    """

    squares: Float[Tensor, "example tensor"]
    products: Float[Tensor, "example tensor direction"]
    ways: dict[str, str]
    reasons: dict[str, str]


def example_gradients(
    problem: Problem,
    theta: Tensor,
    directions: Tensor,
    *,
    way: Way = "auto",
    known: Mapping[str, str] | None = None,
) -> ExampleGradients:
    """Squared norms of the gradients of all examples, and products with rows of `directions`.

    In the order of the data; an example that does not count has zeros. Inside the guard, with
    gradients. About 2 F and the products for tensors that go by ghosts, and 3 F more for all that
    go by vmap. `known` are the ways another call found for this problem.
    """
    leaf = theta.detach().clone().requires_grad_(True)
    ways = known or dict.fromkeys(problem.space.names, way)
    walk = _Walk(problem, leaf, directions, ways, known is not None)
    found = []
    for batch in problem.data:
        for k in range(0, batch.examples, SECTION):
            with named_failures("gradients of single examples", batch.index):
                found.append(walk.section(section(batch, k, min(k + SECTION, batch.examples))))
    squares = torch.cat([f[0] for f in found])
    return ExampleGradients(squares, torch.cat([f[1] for f in found]), walk.ways, walk.reasons)


class _Walk:
    """The way of each tensor, which only ever gets slower, while the data go by."""

    def __init__(
        self,
        problem: Problem,
        leaf: Tensor,
        directions: Tensor,
        ways: Mapping[str, str],
        trusted: bool,
    ) -> None:
        self.problem, self.leaf = problem, leaf
        self.ways = {k: "ghost" if way == "auto" else way for k, way in ways.items()}
        self.reasons, self.sizes = dict[str, str](), set[int]()
        self.tables, self.work = True, dict[str, Work]()
        self.rows, self.trusted = directions.to(leaf), trusted

    def section(self, batch: Any) -> Found:
        entries = self.problem.space.entries
        squares = self.leaf.new_zeros(batch.examples, len(entries), dtype=torch.float64)
        along = squares.new_zeros(batch.examples, len(entries), len(self.rows))
        for way, measure in _WAYS.items():
            mine = [k for k, e in enumerate(entries) if self.ways[e.name] == way]
            if not mine:
                continue
            held = [entries[k] for k in mine]
            try:
                done, found = self._measured(measure, way, batch, held)
            except MISTAKES as error:
                if way == "loop" or type(error) not in MISTAKES:
                    raise
                self._give_up(held, way, f"{type(error).__name__}: {str(error)[:120]}")
                continue
            squares[:, mine], along[:, mine] = found
            self._give_up([e for e in held if e.name not in done], way, "no rule, or no use seen")
            wrong = self._wrong(batch, [e for e in held if e.name in done], way, squares)
            self._give_up(wrong, way, "not the gradient of the example by itself")
        self._join()
        if any(self.ways[e.name] != "loop" for e in entries):
            self.sizes.add(batch.examples)
        return squares, along

    def _measured(self, measure: Measure, way: str, batch: Any, held: Sequence[Any]) -> Any:
        """What `measure` gives; ghosts without tables where those are not what the model takes."""
        if way != "ghost":
            return measure(self.problem, self.leaf, batch, held, self.rows)
        ghosts = partial(by_ghosts, self.problem, self.leaf, batch, held, self.rows)
        if self.tables:
            try:
                self.work, found = ghosts()
                squares = self.leaf.new_zeros(batch.examples, len(self.ways), dtype=torch.float64)
                places = [k for k, e in enumerate(self.problem.space.entries) if e in held]
                squares[:, places] = found[0]
                known = [e for e in held if e.name in self.work]
                if not self._wrong(batch, known, way, squares):
                    return self.work, found
            except MISTAKES as error:
                if type(error) not in MISTAKES:
                    raise
            self.tables = False
        self.work, found = ghosts(tables=False)
        return self.work, found

    def _wrong(self, batch: Any, entries: Sequence[Any], way: str, squares: Tensor) -> list[Any]:
        """Tensors whose norms are not those of examples by themselves."""
        if way == "loop" or self.trusted or batch.examples in self.sizes:
            return []
        allowed = _ROUNDING.get(self.problem.dtype, 3e-3)
        places = {e.name: k for k, e in enumerate(self.problem.space.entries)}
        wrong: dict[str, Any] = {}
        for i in sorted({0, batch.examples - 1})[:LOOKED_AT]:
            one = _by_itself(self.problem, self.leaf, section(batch, i, i + 1)).double()
            size = float(one.square().sum())
            for e in entries:
                own = float(one[e.offset : e.stop].square().sum())
                gap = abs(float(squares[i, places[e.name]]) - own)
                if gap > allowed * (own + allowed * size):
                    wrong[e.name] = e
        return list(wrong.values())

    def _join(self) -> None:
        """Send ghosts by vmap with the others, where its pass costs less once it is made at all.

        Both make a forward and a backward pass. Where many numbers would be formed, few examples
        would go at once, so then ghosts stay.
        """
        ghosts = [e for e in self.problem.space.entries if self.ways[e.name] == "ghost"]
        if self.trusted or "vmap" not in self.ways.values() or not ghosts:
            return
        works = [self.work[e.name] for e in ghosts]
        many = self.leaf.numel() * TOGETHER > 4 * NUMBERS
        if not many and sum(w.forming for w in works) < sum(w.passing + w.ghost for w in works):
            self.ways |= {e.name: "vmap" for e in ghosts}
            self.reasons |= {
                e.name: "ghost: others go by vmap, and one pass is less" for e in ghosts
            }

    def _give_up(self, entries: Sequence[Any], way: str, reason: str) -> None:
        """Numbers of earlier batches stand: they agreed with the examples looked at there."""
        for e in entries:
            self.ways[e.name] = "vmap" if way == "ghost" else "loop"
            self.reasons[e.name] = f"{way}: {reason}"


def _by_itself(problem: Problem, leaf: Tensor, batch: Any) -> Float[Tensor, " params"]:
    try:
        return gradient_of_one(problem, leaf, batch)
    except MISTAKES as error:
        if type(error) not in MISTAKES:
            raise
        raise UnsupportedModel(
            "the model does not run on a single example, so that it has no gradient by itself: "
            f"{type(error).__name__}: {str(error)[:160]}",
            where=f"batch {batch.index + 1}",
            why="examples share statistics (BatchNorm without running statistics), or forward() "
            "expects batches of one size.",
            fix="make forward() work on a batch of one example.",
            code="E-Y18",
        ) from error


Measure = Callable[[Problem, Tensor, Any, Sequence[Any], Tensor], tuple[Collection[str], Found]]


def _all_of(measure: Callable[[Problem, Tensor, Any, Sequence[Any], Tensor], Found]) -> Measure:
    def measured(
        problem: Problem, leaf: Tensor, batch: Any, entries: Sequence[Any], directions: Tensor
    ) -> tuple[Collection[str], Found]:
        found = measure(problem, leaf, batch, entries, directions)
        return {e.name for e in entries}, found

    return measured


_WAYS: dict[str, Measure] = {
    "ghost": by_ghosts,
    "vmap": _all_of(by_vmap),
    "loop": _all_of(by_loop),
}
