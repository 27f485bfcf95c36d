r"""The second moment of one batch's gradients, example by example: J' D J.

`J` is the Jacobian of the losses of the examples and `D` their weights, so no gradient of a
single example is ever formed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from theodolite.engines.jacobian_parts import Graph, Tangents, at_places, jacobian_kind
from theodolite.engines.problem import Problem
from theodolite.errors import UnsupportedModel

LABEL = "empirical Fisher"


def graph(problem: Problem, leaf: Tensor, batch: Any) -> Graph | None:
    """Run the model and its loss once; None where no derivative leads through or nothing counts."""
    state = problem.forward.fresh(leaf)

    def run(body: Callable[[], Any]) -> Any:
        return problem.forward.run_named(state, body)

    def losses_of() -> tuple[Tensor, Tensor]:
        losses, weights = problem.terms.losses(problem.model, batch)
        return losses if losses.dtype == torch.float64 else losses.float(), weights

    losses, weights = run(losses_of)
    _require_by_example(len(losses), batch)
    if not losses.requires_grad or not bool(weights.any()):
        return None
    shares = _shares(problem, losses.detach(), weights)

    def middle(tangents: Tangents, batched: bool) -> Tangents:
        return [tangents[0] * shares]

    return Graph(
        leaf,
        run,
        [losses],
        at_places(problem, lambda: losses_of()[:1]),
        middle,
        lambda tangents, step: middle(tangents, False),
    )


def _shares(problem: Problem, losses: Tensor, weights: Tensor) -> Tensor:
    """What each example's loss counts in the whole."""
    free = torch.zeros_like(losses, requires_grad=True)
    with torch.enable_grad():
        return torch.autograd.grad(problem.weighted(free, weights), free)[0]


def _require_by_example(count: int, batch: Any) -> None:
    if count != batch.examples:
        raise UnsupportedModel(
            f"the {LABEL} matrix needs a loss for every example; batch {batch.index} has "
            f"{batch.examples} examples and {count} losses.",
            why="the square of a mean gradient is not the mean of squared gradients.",
            fix="let batch_loss return (losses, weights) with one entry an example.",
            code="E-D22",
        )


EMPIRICAL_FISHER = jacobian_kind(LABEL, f"{LABEL} product", graph)
