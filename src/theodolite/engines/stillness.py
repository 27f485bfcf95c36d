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
    ones do at the smallest move, so that a gradient of zero is wrong.
    """

    unused: tuple[str, ...] = ()
    constant: tuple[str, ...] = ()
    detached: tuple[str, ...] = ()


def unmoved(problem: Problem, theta: Tensor, batch: Any, names: Sequence[str]) -> Still:
    """Move the tensors called `names`, all together and then one by one, and look at the loss."""
    if not names:
        return Still()
    base = loss_at(problem, theta, batch)

    def moves(some: Sequence[str], *sizes: float) -> bool:
        points = (_moved(problem, theta, some, size) for size in sizes)
        return any(_differs(loss_at(problem, point, batch), base) for point in points)

    if not moves(names, SMALL, *LARGE):
        return Still(unused=tuple(names))
    if len(names) > SINGLY:
        together = tuple(names)
        return Still(detached=together) if moves(names, SMALL) else Still(constant=together)
    detached = tuple(n for n in names if moves([n], SMALL))
    constant = tuple(n for n in names if n not in detached and moves([n], *LARGE))
    unused = tuple(n for n in names if n not in (*detached, *constant))
    return Still(unused, constant, detached)


def loss_at(problem: Problem, theta: Tensor, batch: Any) -> float:
    """The share of a batch in the loss, as a number."""
    with torch.no_grad():
        state = problem.forward.fresh(theta)
        return float(problem.forward.run_named(state, lambda: problem.share(batch)))


def _differs(value: float, base: float) -> bool:
    return abs(value - base) > 1e-12 * max(abs(base), 1e-30)


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
