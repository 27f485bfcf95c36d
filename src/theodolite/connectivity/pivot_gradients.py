"""Gradients at several points from one batch: in one call by vmap, or point after point."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from theodolite.engines.example_fallbacks import batched_operations
from theodolite.engines.failures import named_failures
from theodolite.engines.memory import default_budget, held_bytes
from theodolite.engines.problem import MISTAKES
from theodolite.errors import InvalidArgument, UnsupportedModel
from theodolite.objective import Objective
from theodolite.objective.batches import Batch

WAYS = ("auto", "vmap", "loop")

Points = Float[Tensor, "pivot params"]
Slopes = tuple[Float64[Tensor, " pivot"], Float[Tensor, "pivot params"]]
"""Losses of the points and their gradients."""


@dataclass(frozen=True)
class Way:
    """How gradients are made: so many points together, or 0 for one after the other."""

    together: int

    @property
    def name(self) -> str:
        """The name that asks for this way again."""
        return "vmap" if self.together else "loop"


def batch_slopes(objective: Objective, points: Points, batch: Batch, way: Way) -> Slopes:
    """The mean loss of a batch at every point, and its gradients; inside the guard.

    Zero where no label counts.
    """
    shares, gradients, weight = _shares(objective, points, batch, way)
    factor = objective.total_weight / weight if weight > 0 else 0.0
    return shares * factor, gradients * factor


def whole_slopes(
    objective: Objective, points: Points, way: Way, batches: Iterable[Batch] | None = None
) -> Slopes:
    """The loss over all data at every point, and its gradients; inside the guard."""
    losses = torch.zeros(len(points), dtype=torch.float64)
    gradients = torch.zeros_like(points)
    for batch in objective.data if batches is None else batches:
        share, gradient, _ = _shares(objective, points, batch, way)
        losses += share
        gradients += gradient
    return losses, gradients


def chosen_way(objective: Objective, points: Points, asked: str) -> Way:
    """The way asked for, or for "auto" the faster one on the first batch; inside the guard.

    vmap is not taken where the model cannot be batched, or where its gradients are not those
    of points one by one.
    """
    loop, batch = Way(0), next(iter(objective.data))
    if asked == "loop" or (asked == "auto" and batch.shielded):
        return loop
    held = held_bytes(partial(_share, objective, points[0].clone().requires_grad_(True), batch))
    room = default_budget(objective.device)
    each = held + 4 * points.shape[1] * points.element_size()
    vmap = Way(max(1, min(len(points), room // max(each, 1))))
    work: Callable[[Way], Slopes] = partial(batch_slopes, objective, points, batch)
    try:
        ours = work(vmap)
    except (*MISTAKES, UnsupportedModel) as error:
        if asked == "vmap":
            raise UnsupportedModel(
                "gradients at several points cannot be taken together: "
                f"{type(error).__name__}: {str(error)[:160]}",
                fix='use evaluation="loop".',
                code="E-A26",
            ) from error
        return loop
    if asked == "vmap":
        return vmap
    if not _alike(ours, work(loop)):
        return loop
    return vmap if _seconds(work, vmap) < _seconds(work, loop) else loop


def check_way(asked: str) -> None:
    """Raise for a way there is not."""
    if asked not in WAYS:
        raise InvalidArgument(
            f"evaluation must be one of {', '.join(map(repr, WAYS))}; got {asked!r}.", code="E-A23"
        )


def _alike(ours: Slopes, theirs: Slopes) -> bool:
    """Whether two gradients of each point differ by rounding only."""
    allowed = 1e-7 if ours[1].dtype == torch.float64 else 2e-2
    gap = torch.linalg.vector_norm(ours[1] - theirs[1], dim=1)
    size = torch.linalg.vector_norm(theirs[1], dim=1)
    return bool((gap <= allowed * size + 1e-12).all())


def _seconds(work: Callable[[Way], Slopes], way: Way) -> float:
    begun = time.perf_counter()
    work(way)
    return time.perf_counter() - begun


def _shares(
    objective: Objective, points: Points, batch: Batch, way: Way
) -> tuple[Float64[Tensor, " pivot"], Float[Tensor, "pivot params"], float]:
    """The shares of a batch in the loss at every point, their gradients, the batch's weight."""
    with named_failures("gradient", batch.index):
        if way.together:
            return _by_vmap(objective, points, batch, way.together)
        found = [_by_itself(objective, point, batch) for point in points]
    shares = torch.tensor([share for share, _, _ in found], dtype=torch.float64)
    return shares, torch.stack([gradient for _, gradient, _ in found]), found[0][2]


def _by_itself(objective: Objective, point: Tensor, batch: Batch) -> tuple[float, Tensor, float]:
    leaf = point.detach().clone().requires_grad_(True)
    share, weight = _share(objective, leaf, batch)
    if not share.requires_grad:
        return float(share), torch.zeros_like(point), float(weight)
    (found,) = torch.autograd.grad(share, leaf, allow_unused=True)
    slope = torch.zeros_like(point) if found is None else found
    return float(share.detach()), slope, float(weight)


def _by_vmap(
    objective: Objective, points: Points, batch: Batch, together: int
) -> tuple[Float64[Tensor, " pivot"], Float[Tensor, "pivot params"], float]:
    kept = objective.forward.pristine

    def one(point: Tensor, buffers: dict[str, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        state = objective.forward.fresh(point) | buffers
        share, weight = _weighed(objective, state, batch)
        return share, (share.detach(), weight)

    slopes = torch.func.vmap(torch.func.grad(one, has_aux=True), randomness="error")
    shares, gradients, weight = [], [], 0.0
    for some in points.detach().split(together):
        # BatchNorm layers write their statistics: every point has its own
        own = {n: t.expand(len(some), *t.shape).clone() for n, t in kept.items()}
        with batched_operations():
            gradient, (share, weights) = slopes(some, own)
        shares.append(share.double().cpu())
        gradients.append(gradient)
        weight = float(weights[0])
    return torch.cat(shares), torch.cat(gradients), weight


def _share(objective: Objective, point: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    return _weighed(objective, objective.forward.fresh(point), batch)


def _weighed(objective: Objective, state: dict[str, Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
    """The share of a batch in the loss, and the weight of its examples."""

    def body() -> tuple[Tensor, Tensor]:
        losses, weights = objective.terms.losses(objective.model, batch)
        counted = torch.where(weights == 0, torch.zeros_like(losses), losses)
        return objective.weighted(counted, weights), weights.sum()

    return objective.forward.run_named(state, body)
