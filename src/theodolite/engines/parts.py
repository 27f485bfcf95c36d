"""A matrix as a sum of parts, one a batch, each known by its products with rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from theodolite.engines.problem import Problem

Part = Callable[[Tensor, bool], Tensor]
"""``part(rows, batched)`` maps ``(k, params)`` to ``(k, params)``, one by one or as one batch."""

Builder = Callable[[Problem, Tensor, Any], Part | None]
"""``build(problem, leaf, batch)``: one batch's part at a leaf; None where the loss is detached."""


@dataclass(frozen=True, eq=False)
class Kind:
    """A matrix of second derivatives, and the ways to multiply by it.

    ``keep`` differentiates a kept graph twice; ``forward`` (called ``forward_name``) uses forward
    mode; ``linearize`` records a linear program; ``differences(step)`` needs first derivatives.
    ``whole`` says that the loss cannot bend where the matrix is zero: true of the Hessian alone.
    ``linear`` is what recording a linear program costs, in products it saves.
    """

    label: str
    keep: Builder
    forward_name: str
    forward: Builder
    linearize: Builder
    differences: Callable[[float], Builder]
    whole: bool = False
    linear: int = 8

    def builder(self, engine: str) -> Builder:
        """The builder behind the name of an engine (differences at their default step)."""
        named = {
            "kept": self.keep,
            "recompute": self.keep,
            self.forward_name: self.forward,
            "linearize": self.linearize,
            "differences": self.differences(STEP),
        }
        return named[engine]

    @property
    def engines(self) -> tuple[str, ...]:
        """All names ``engine`` may take."""
        return ("auto", "kept", "recompute", self.forward_name, "linearize", "differences")


STEP = 1e-6
"""Step of central differences in float64, relative to the norm of theta: the error of truncation
and that of rounding are both near 1e-9 there, and few kinks lie that close."""

NARROW_STEP = 5e-3
"""The same in float32, for models that cannot run in float64: errors near 1e-4."""


def nothing(rows: Tensor, batched: bool) -> Tensor:
    """The part of a batch whose loss is linear in the parameters."""
    return torch.zeros_like(rows)


def pulled(
    outputs: Sequence[Tensor],
    inputs: Sequence[Tensor],
    weights: Sequence[Tensor],
    batched: bool,
) -> list[Tensor]:
    """Vector-Jacobian products along a kept graph: one gradient of `inputs` a row of `weights`."""
    settings: dict[str, Any] = {"retain_graph": True, "materialize_grads": True}
    if batched:
        return list(
            torch.autograd.grad(outputs, inputs, list(weights), is_grads_batched=True, **settings)
        )
    rows = [
        torch.autograd.grad(outputs, inputs, list(row), **settings)
        for row in zip(*weights, strict=True)
    ]
    return [stacked(column) for column in zip(*rows, strict=True)]


def stacked(rows: Sequence[Tensor]) -> Tensor:
    """Rows as one tensor; a single one is not copied."""
    return rows[0][None] if len(rows) == 1 else torch.stack(list(rows))


@contextmanager
def forward_mode() -> Iterator[None]:
    """Without the warning torch gives itself when it first loads its forward-mode formulas."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.script", DeprecationWarning)
        yield


def by_rows(
    one: Callable[[Tensor], Tensor], rows: Float[Tensor, "k params"], batched: bool
) -> Float[Tensor, "k params"]:
    """A function of one vector applied to each row."""
    if batched:
        made: Tensor = torch.func.vmap(one)(rows)
        return made
    return torch.stack([one(v) for v in rows])


def units(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of unit norm and their norms, shape ``(k, 1)``; a zero row stays zero."""
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return rows / torch.where(norms == 0, torch.ones_like(norms), norms), norms


def reach(theta: Tensor) -> float:
    """What relative steps are relative to: the norm of theta (one at the origin)."""
    return float(torch.linalg.vector_norm(theta)) or 1.0
