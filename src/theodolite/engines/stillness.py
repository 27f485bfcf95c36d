"""Parameters with a gradient of zero: do they really not move the loss?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from theodolite import seeds
from theodolite.engines.problem import Problem

SMALL, LARGE = 1e-5, (0.1, 1.0, -1.0, 4.0)
"""Moves tried, relative to the root mean square of a tensor (or absolute, where that is zero)."""

SINGLY = 64
"""So many tensors are moved one by one; of more, all are told together."""


@dataclass(frozen=True)
class Still:
    """``unused`` tensors do not move the loss.

    ``constant`` ones do, in jumps (a derivative of zero is right almost everywhere); ``detached``
    ones do at the smallest move, so that a gradient of zero is wrong. ``stationary`` ones do with
    the square of the move, as they may where nothing is said of second derivatives.
    """

    unused: tuple[str, ...] = ()
    constant: tuple[str, ...] = ()
    detached: tuple[str, ...] = ()
    stationary: tuple[str, ...] = ()


def unmoved(
    problem: Problem, theta: Tensor, batch: Any, names: Sequence[str], *, curved: bool = False
) -> Still:
    """Move the tensors called `names`, all together and then one by one, and look at the loss.

    `curved` allows a loss that moves with the square of the smallest move: second derivatives
    that are not zero, where only the first are known to be.
    """
    if not names:
        return Still()
    base = loss_at(problem, theta, batch)

    def moved(some: Sequence[str], size: float) -> float:
        return loss_at(problem, _moved(problem, theta, some, size), batch) - base

    def sort(some: Sequence[str]) -> str:
        small = moved(some, SMALL)
        if _differs(small, base):
            bent = curved and _even(small, moved(some, -SMALL), base, theta.dtype)
            return "stationary" if bent else "detached"
        far = any(_differs(moved(some, size), base) for size in LARGE)
        return "constant" if far else "unused"

    if sort(names) == "unused":
        return Still(unused=tuple(names))
    if len(names) > SINGLY:
        return Still(**{sort(names): tuple(names)})
    found: dict[str, tuple[str, ...]] = {}
    for name in names:
        kind = sort([name])
        found[kind] = (*found.get(kind, ()), name)
    return Still(**found)


def loss_at(problem: Problem, theta: Tensor, batch: Any) -> float:
    """The share of a batch in the loss, as a number."""
    with torch.no_grad():
        state = problem.forward.fresh(theta)
        return float(problem.forward.run_named(state, lambda: problem.share(batch)))


def _differs(change: float, base: float) -> bool:
    return abs(change) > 1e-12 * max(abs(base), 1e-30)


def _even(up: float, down: float, base: float, dtype: torch.dtype) -> bool:
    """Whether a loss moves alike both ways, which a slope does not."""
    rounding = 8 * torch.finfo(dtype).eps * abs(base)
    return abs(up - down) <= abs(up + down) / 2 + rounding


def _moved(problem: Problem, theta: Tensor, names: Sequence[str], size: float) -> Tensor:
    moved = theta.detach().clone()
    for name in names:
        e = problem.space.entry(name)
        generator = seeds.torch_generator(0, "stillness", name)
        piece = moved[e.offset : e.stop]
        scale = float(piece.square().mean().sqrt()) if e.size else 0.0
        noise = torch.randn(e.size, generator=generator, dtype=torch.float64).to(piece)
        piece += size * (scale or 1.0) * noise
    return moved
