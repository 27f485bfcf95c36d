"""Products of other libraries on the same model, loss and batches, as functions of a flat vector.

All keep their own ways: what they recompute at every product they recompute here too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Problem:
    """A model in evaluation mode, a loss module, and batches of inputs and labels."""

    model: nn.Module
    loss: nn.Module
    batches: list[tuple[Tensor, Tensor]]


def pyhessian(problem: Problem, loader: bool) -> Product:
    """PyHessian 0.1: a kept graph for one batch, everything anew for a loader."""
    from pyhessian import hessian
    from pyhessian.utils import hessian_vector_product

    data = {"dataloader": problem.batches} if loader else {"data": problem.batches[0]}
    made = hessian(problem.model, problem.loss, cuda=False, **data)

    def product(v: Tensor) -> Tensor:
        pieces = torch.split(v, [p.numel() for p in made.params])
        shaped = [s.view_as(p) for s, p in zip(pieces, made.params, strict=True)]
        if loader:
            image = made.dataloader_hv_product(shaped)[1]
        else:
            image = hessian_vector_product(made.gradsH, made.params, shaped)
        return torch.cat([h.detach().reshape(-1) for h in image])

    return product


def curvlinops(kind: str) -> Callable[[Problem, bool], Product]:
    """curvlinops 3.0.1: a directional derivative of the gradient, anew for every vector."""

    def make(problem: Problem, loader: bool) -> Product:
        from curvlinops import GGNLinearOperator, HessianLinearOperator

        operator = HessianLinearOperator if kind == "Hessian" else GGNLinearOperator
        params = [p for p in problem.model.parameters() if p.requires_grad]
        made = operator(
            problem.model, problem.loss, params, problem.batches, check_deterministic=False
        )
        product: Product = lambda v: made @ v  # noqa: E731
        return product

    return make


def eigenthings(kind: str) -> Callable[[Problem, bool], Product]:
    """hessian-eigenthings 1.0.0a5: double backward, anew for every vector."""

    def make(problem: Problem, loader: bool) -> Product:
        from hessian_eigenthings.loss_fns import standard
        from hessian_eigenthings.operators import GGNOperator, HessianOperator

        if kind == "Hessian":
            loss = standard.supervised_loss(problem.loss)
            product: Product = HessianOperator(problem.model, problem.batches, loss).matvec
            return product
        of_output = standard.supervised_loss_of_output(problem.loss)
        made = GGNOperator(problem.model, problem.batches, standard.supervised_forward, of_output)
        own: Product = made.matvec
        return own

    return make


PEERS: Mapping[str, Mapping[str, Callable[[Problem, bool], Product]]] = {
    "Hessian": {
        "PyHessian": pyhessian,
        "curvlinops": curvlinops("Hessian"),
        "hessian-eigenthings": eigenthings("Hessian"),
    },
    "GGN": {"curvlinops": curvlinops("GGN"), "hessian-eigenthings": eigenthings("GGN")},
}
