r"""The Gauss-Newton matrix of one batch's share: J' H J.

`J` is the Jacobian of the model's outputs and `H` the Hessian of the loss in the outputs, which
is known by double backward through the loss alone, so any torch loss will do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from theodolite.engines.jacobian_parts import Graph, Tangents, at_places, jacobian_kind
from theodolite.engines.parts import pulled
from theodolite.engines.problem import Problem


@dataclass(frozen=True, eq=False)
class Loss:
    """The batch's share of the loss as a function of its outputs.

    ``share(outputs)`` is the share; ``slopes`` is its gradient, with its graph, at ``free``,
    detached copies of the outputs.
    """

    share: Callable[[Sequence[Tensor]], Tensor]
    free: list[Tensor]
    slopes: list[Tensor]

    def bent(self, tangents: Tangents, batched: bool) -> Tangents:
        """The Hessian of the loss in the outputs times tangents of the outputs."""
        curved = [(s, t) for s, t in zip(self.slopes, tangents, strict=True) if s.requires_grad]
        slopes, weights = zip(*curved, strict=True)
        return pulled(slopes, self.free, weights, batched)

    def bent_by_differences(self, tangents: Tangents, step: float) -> Tangents:
        """The same for one row, by central differences of the gradient along it."""
        size = _norm(tangents)
        if size == 0:
            return [torch.zeros_like(t) for t in tangents]
        h = step * (_norm(self.free) or 1.0) / size
        slopes = []
        for sign in (1, -1):
            moved = [
                (o.detach() + sign * h * t).requires_grad_(True)
                for o, t in zip(self.free, tangents, strict=True)
            ]
            slopes.append(torch.autograd.grad(self.share(moved), moved, materialize_grads=True))
        return [(up - down) / (2 * h) for up, down in zip(*slopes, strict=True)]


def graph(problem: Problem, leaf: Tensor, batch: Any) -> Graph | None:
    """Run the model once and the loss on a detached copy of its outputs; None where detached."""
    state = problem.forward.fresh(leaf)

    def run(body: Callable[[], Any]) -> Any:
        return problem.forward.run_named(state, body)

    def leaves_of() -> tuple[list[Any], Any]:
        return pytree.tree_flatten(problem.terms.run(problem.model, batch))

    leaves, spec = run(leaves_of)
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
    loss = Loss(
        partial(share, places), [free[k] for k in used], [s for s in slopes if s is not None]
    )
    return Graph(
        leaf,
        run,
        [leaves[k] for k in places],
        at_places(problem, lambda: [leaves_of()[0][k] for k in places]),
        loss.bent,
        loss.bent_by_differences,
        zero=not any(s.requires_grad for s in loss.slopes),  # linear in the outputs
        places=tuple(places),
    )


def _norm(tensors: Sequence[Tensor]) -> float:
    return math.hypot(*(float(torch.linalg.vector_norm(t.detach())) for t in tensors))


GAUSS_NEWTON = jacobian_kind("GGN", "Gauss-Newton product", graph)
