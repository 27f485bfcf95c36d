"""Squared norms of J_i' c_i by example, for many weights c of the outputs of all examples at once.

An example's own gradient is never formed where all tensors go by ghosts, and no example meets
another, as they do in one pullback of a batch.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from theodolite.engines.example_gradients import example_gradients
from theodolite.engines.ghost_gradients import squares_by_ghosts
from theodolite.engines.jacobian_parts import Tangents
from theodolite.engines.problem import Problem, over

ROWS = 16
"""Weights that share a forward pass."""


@dataclass(frozen=True, eq=False)
class WeightedOutputs:
    """Losses <c_i, f(x_i)>, linear in the outputs; the targets of a batch are its weights."""

    inner: Any
    places: Sequence[int]

    def losses(self, model: nn.Module, batch: Any) -> tuple[Tensor, Tensor]:
        """A loss an example, each with weight one."""
        found = self.along(self.outputs(model, batch), batch.targets)
        return found, torch.ones_like(found)

    def outputs(self, model: nn.Module, batch: Any) -> Tangents:
        """The outputs that the weights are for."""
        leaves = pytree.tree_leaves(self.inner.run(model, batch))
        return [leaves[k] for k in self.places]

    @staticmethod
    def along(outputs: Tangents, weights: Sequence[Tensor]) -> Tensor:
        """The sum over an example's outputs, each times its weight."""
        parts = [(o * w).reshape(len(o), -1).sum(1) for o, w in zip(outputs, weights, strict=True)]
        return torch.stack(parts).sum(0)


class OutputNorms:
    """Remembers which ways gradients of single examples go; inside the guard, with gradients."""

    def __init__(self, problem: Problem, leaf: Tensor) -> None:
        self.problem, self.leaf = problem, leaf
        self.ways: dict[int, dict[str, str]] = {}

    def squares(
        self, batch: Any, places: Sequence[int], rows: Tangents
    ) -> Float64[Tensor, "row example"] | None:
        """Squared norms for rows of weights, all ``(row, example, ...)``.

        None where a tensor's gradients are formed one example at a time: then a pullback of
        several examples costs less.
        """
        weighted: Any = copy.copy(self.problem)
        terms = WeightedOutputs(self.problem.terms, places)
        object.__setattr__(weighted, "terms", terms)
        ways = self._ways(weighted, batch, rows)
        if "loop" in ways.values():
            return None
        found: list[Tensor] = []
        for first in range(0, len(rows[0]), ROWS):
            some = [r[first : first + ROWS] for r in rows]
            if set(ways.values()) == {"ghost"}:
                sums = partial(_sums, terms, weighted.model, batch, some)
                found.append(squares_by_ghosts(weighted, self.leaf, batch, sums))
            else:
                found += [
                    self._found(weighted, batch, [r[k] for r in some], ways).squares.sum(1)[None]
                    for k in range(len(some[0]))
                ]
        return torch.cat(found)

    def _ways(self, weighted: Problem, batch: Any, rows: Tangents) -> dict[str, str]:
        """Found, and compared with examples by themselves, once for each size of batch."""
        if batch.examples not in self.ways:
            found = self._found(weighted, batch, [r[0] for r in rows])
            self.ways[batch.examples] = found.ways
        return self.ways[batch.examples]

    def _found(
        self, weighted: Problem, batch: Any, row: Tangents, known: dict[str, str] | None = None
    ) -> Any:
        one = over(weighted, (replace(batch, targets=tuple(row)),))
        return example_gradients(
            one, self.leaf, self.leaf.new_zeros(0, len(self.leaf)), known=known
        )


def _sums(terms: WeightedOutputs, model: nn.Module, batch: Any, rows: Tangents) -> list[Tensor]:
    """The sum over examples for each row, from one forward pass."""
    outputs = terms.outputs(model, batch)
    return [terms.along(outputs, row).sum() for row in zip(*rows, strict=True)]
