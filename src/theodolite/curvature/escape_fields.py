"""A loss as descent sees it: its gradient, its Hessian and, for data, the gradients of batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64
from torch import Tensor

from theodolite.errors import InvalidArgument, InvalidType
from theodolite.linalg.operator import Operator
from theodolite.objective import Objective
from theodolite.objective.batches import Batch
from theodolite.objective.differentiation import gradient as gradient_of
from theodolite.operators import hessian

Loss = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Field:
    """A twice differentiable loss in float64; `batches` are empty where it has no data.

    ``guarded(body)`` runs `body` with what `gradient` and `batch_gradient` need in place.
    ``shares`` are the probabilities with which batches are drawn: their shares of the examples.
    """

    value: Callable[[Tensor], float]
    gradient: Callable[[Tensor], Tensor]
    hessian: Callable[[Tensor], Operator]
    guarded: Callable[[Callable[[], Any]], Any]
    batch_gradient: Callable[[Tensor, int], Tensor]
    shares: Float64[Tensor, " batch"]
    facts: Mapping[str, Any]


def field_of(
    given: Any, theta: Tensor | None
) -> tuple[Field, Float64[Tensor, " params"], Objective | None]:
    """The field of an objective or of a function, the point, and the objective in float64."""
    if isinstance(given, Objective):
        double = given.converted(torch.float64)
        return _of_objective(double), given.point(theta).double(), double
    if not callable(given):
        raise InvalidType(
            f"the loss must be an Objective or a function of theta; got {type(given).__name__}.",
            code="E-K31",
        )
    if theta is None or theta.dim() != 1 or not bool(theta.isfinite().all()):
        raise InvalidArgument(
            "a function needs a point: a finite tensor of shape (params,).", code="E-K32"
        )
    return _of_function(given), theta.detach().double(), None


def _of_objective(objective: Objective) -> Field:
    kept = objective.data.kept if objective.ranks is None else None
    batches = kept if kept is not None and len(kept) > 1 else ()
    counts = torch.tensor([b.examples for b in batches], dtype=torch.float64)
    shares = counts / counts.sum() if len(batches) else counts
    objective.refuse_recompute("gradient")

    def batch_gradient(theta: Tensor, index: int) -> Tensor:
        return _pulled(objective, theta, batches[index]) / float(shares[index])

    return Field(
        value=lambda theta: float(objective.value(theta)),
        gradient=lambda theta: gradient_of(objective, theta),
        hessian=lambda theta: hessian(objective, theta, engine="kept"),
        guarded=lambda body: objective.guarded(body, grad=True),
        batch_gradient=batch_gradient,
        shares=shares,
        facts=objective.facts(),
    )


def _pulled(objective: Objective, theta: Tensor, batch: Batch) -> Tensor:
    """The gradient of one batch's share in the loss; inside the objective's guard."""
    leaf = theta.clone().requires_grad_(True)

    def body() -> Tensor:
        share = objective.share(batch)
        if not share.requires_grad:
            return torch.zeros_like(theta)
        (made,) = torch.autograd.grad(share, leaf, allow_unused=True)
        return torch.zeros_like(theta) if made is None else made

    return objective.forward.run(leaf, body)


def _of_function(loss: Loss) -> Field:
    def gradient(theta: Tensor, create: bool = False) -> tuple[Tensor, Tensor]:
        leaf = theta.clone().requires_grad_(True)
        with torch.enable_grad():
            value = loss(leaf)
            if not isinstance(value, Tensor) or value.dim() or not value.requires_grad:
                raise InvalidType(
                    "the function must return a scalar tensor that depends on theta.",
                    code="E-K31",
                )
            (made,) = torch.autograd.grad(value, leaf, create_graph=create)
        return made, leaf

    def operator(theta: Tensor) -> Operator:
        slope, leaf = gradient(theta, create=True)

        def product(vector: Tensor) -> Tensor:
            if not slope.requires_grad:
                return torch.zeros_like(vector)
            (made,) = torch.autograd.grad(slope, leaf, vector, retain_graph=True, allow_unused=True)
            return torch.zeros_like(vector) if made is None else made

        return Operator(product, len(theta), theta.dtype, "Hessian", theta.device)

    def unavailable(theta: Tensor, index: int) -> Tensor:
        raise InvalidArgument("a function has no batches.", code="E-K33")

    return Field(
        value=lambda theta: float(loss(theta)),
        gradient=lambda theta: gradient(theta)[0].detach(),
        hessian=operator,
        guarded=lambda body: body(),
        batch_gradient=unavailable,
        shares=torch.empty(0, dtype=torch.float64),
        facts={"loss_function": getattr(loss, "__name__", type(loss).__name__)},
    )
