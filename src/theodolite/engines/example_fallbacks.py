"""Gradients of single examples formed outright: many at once by vmap, or one after the other."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import _pytree as pytree

from theodolite.engines.example_parts import slices
from theodolite.engines.problem import Problem, section

Found = tuple[Tensor, Tensor]
"""Squared norms ``(example, tensor)`` and products ``(example, tensor, direction)``, float64."""

TOGETHER = 64
"""Examples that go through vmap together at most."""


def by_vmap(
    problem: Problem, leaf: Tensor, batch: Any, entries: Sequence[Any], directions: Tensor
) -> Found:
    """Norms and products of the gradients for `entries`, each formed; inside the guard.

    Raises what vmap raises where the model cannot be batched (control flow that depends on data).
    """
    points = {e.name: leaf.detach()[e.offset : e.stop].view(e.shape) for e in entries}
    mapped, rebuilt = _by_example(batch)
    one = torch.func.grad(lambda point, rows: _loss(problem, leaf, point, entries, rebuilt(rows)))
    together = torch.func.vmap(one, (None, 0))
    held = sum(e.size for e in entries)
    found = []
    for start, stop in slices(batch.examples, held):
        for first in range(start, stop, TOGETHER):
            some = [t[first : min(first + TOGETHER, stop)] for t in mapped]
            with batched_operations():
                made = together(points, some)
            found.append(_reduced(made, entries, directions))
    return _stacked(found)


@contextmanager
def batched_operations() -> Iterator[None]:
    """Attention by the kernel that vmap knows; silent on operations that go one by one."""
    with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):
        warnings.filterwarnings("ignore", message="There is a performance drop")
        yield


def by_loop(
    problem: Problem, leaf: Tensor, batch: Any, entries: Sequence[Any], directions: Tensor
) -> Found:
    """As `by_vmap`, one forward and backward pass an example: for every model."""
    found = []
    for k in range(batch.examples):
        whole = gradient_of_one(problem, leaf, section(batch, k, k + 1))
        each = {e.name: whole[e.offset : e.stop].view(1, *e.shape) for e in entries}
        found.append(_reduced(each, entries, directions))
    return _stacked(found)


def gradient_of_one(problem: Problem, leaf: Tensor, batch: Any) -> Float[Tensor, " params"]:
    """The gradient of the loss of a batch of one example, zero where it does not count."""

    def gradient() -> Tensor | None:
        losses, weights = problem.terms.losses(problem.model, batch)
        total = counted(losses, weights).sum()
        if not total.requires_grad:
            return None
        return torch.autograd.grad(total, leaf, allow_unused=True)[0]

    made = problem.forward.run_named(problem.forward.fresh(leaf), gradient)
    return torch.zeros_like(leaf).detach() if made is None else made


def mean_weights(problem: Problem, batch: Any) -> Float[Tensor, " example"] | None:
    """What each example weighs in a loss that gives its batch's mean alone; None for others."""
    weighing = getattr(problem.terms, "weighing", None)
    if weighing is None:
        return None
    ones = (section(batch, k, k + 1) for k in range(batch.examples))
    return torch.tensor([float(weighing(one)) for one in ones], dtype=torch.float64)


def counted(losses: Tensor, weights: Tensor) -> Tensor:
    """The losses, zero where they do not count: their values there may be NaN."""
    return torch.where(weights == 0, torch.zeros_like(losses), losses)


def _loss(
    problem: Problem,
    leaf: Tensor,
    point: dict[str, Tensor],
    entries: Sequence[Any],
    one: Any,
) -> Tensor:
    state = problem.forward.fresh(leaf.detach())
    for e in entries:
        for name in (e.name, *e.aliases):
            held = state[f"model.{name}"]
            state[f"model.{name}"] = point[e.name].to(held.dtype)

    def total() -> Tensor:
        if getattr(problem.terms, "weighing", None) is not None:  # it counts, and vmap cannot
            value: Tensor = problem.terms.run(problem.model, one)
            return value
        losses, weights = problem.terms.losses(problem.model, one)
        return counted(losses, weights).sum()

    made: Tensor = problem.forward.run_named(state, total)
    return made


def _by_example(batch: Any) -> tuple[list[Tensor], Callable[[Sequence[Tensor]], Any]]:
    """The tensors of a batch that have a row an example, and a batch of one from such rows."""
    own = batch.targets is not None or batch.inputs or batch.keywords
    trees = {"raw": None if own else batch.raw, "inputs": batch.inputs}
    trees |= {"keywords": dict(batch.keywords), "targets": batch.targets}
    leaves, form = pytree.tree_flatten(trees)
    places = [k for k, leaf in enumerate(leaves) if _has_rows(leaf, batch.examples)]

    def rebuilt(rows: Sequence[Tensor]) -> Any:
        filled = list(leaves)
        for k, row in zip(places, rows, strict=True):
            filled[k] = row.unsqueeze(0)
        return replace(batch, **pytree.tree_unflatten(filled, form), examples=1)

    return [leaves[k] for k in places], rebuilt


def _has_rows(leaf: Any, examples: int) -> bool:
    return isinstance(leaf, Tensor) and leaf.dim() > 0 and len(leaf) == examples


def _reduced(made: dict[str, Tensor], entries: Sequence[Any], directions: Tensor) -> Found:
    found = [made[e.name].detach() for e in entries]
    flat = [g.flatten(1) if g.dim() > 1 else g[:, None] for g in found]  # a scalar has no axes
    flat = [g.float() if g.dtype in (torch.bfloat16, torch.float16) else g for g in flat]
    squares = torch.stack([g.square().sum(1) for g in flat], 1).double()
    rows = [directions[:, e.offset : e.stop] for e in entries]
    along = torch.stack([g @ d.to(g).T for g, d in zip(flat, rows, strict=True)], 1).double()
    return squares, along


def _stacked(found: Sequence[Found]) -> Found:
    return torch.cat([f[0] for f in found]), torch.cat([f[1] for f in found])
