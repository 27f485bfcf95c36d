"""Is a loss's Hessian, tensor by tensor, its Gauss-Newton matrix? Decided on a few examples.

Where outputs are linear in each parameter tensor by itself, as in a rectified network, the two
agree in every diagonal block and so in the trace, though not elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from theodolite import seeds
from theodolite.engines.gauss_newton_parts import GAUSS_NEWTON
from theodolite.engines.hessian_parts import HESSIAN
from theodolite.engines.problem import MISTAKES, Problem, default_dtype, over, section

EXAMPLES = 16
"""Examples of the first batch the check looks at."""

LINEAR = 1e-9
"""Relative difference of two quadratic forms in float64 that is rounding."""

BLOCKS = 400
"""With more tensors the check is left out: it costs two products a tensor."""


@dataclass(frozen=True)
class Linearity:
    """``holds`` where every tensor's block of the Hessian is that of the Gauss-Newton matrix.

    ``gap`` is the largest difference of two quadratic forms, relative to the larger of both
    forms' absolute sums over tensors, and ``tensor`` where it was seen; ``why`` says what stood
    in the way of looking.
    """

    holds: bool
    gap: float = float("nan")
    tensor: str = ""
    why: str = ""


def linearity(problem: Problem, theta: Tensor, *, apart: bool, seed: int = 0) -> Linearity:
    """Compare random quadratic forms within each tensor; inside the guard, with gradients."""
    if len(problem.space.entries) > BLOCKS:
        return Linearity(False, why=f"more than {BLOCKS} parameter tensors")
    first = next(iter(problem.data))
    few = over(problem, (section(first, 0, EXAMPLES) if apart else first,))
    try:
        with default_dtype(torch.float64):
            wide: Problem = few.converted(torch.float64)
            return _compared(wide, theta.detach().double(), seed)
    except MISTAKES as error:
        if type(error) not in MISTAKES:
            raise
        return Linearity(False, why="the model does not run in float64")


def _compared(problem: Problem, theta: Tensor, seed: int) -> Linearity:
    batch, leaf = problem.data.kept[0], theta.clone().requires_grad_(True)
    curved, flat = (k.keep(problem, leaf, batch) for k in (HESSIAN, GAUSS_NEWTON))
    if curved is None or flat is None:
        return Linearity(False, why="no derivative leads through the first batch")
    forms = []
    for e in problem.space.entries:
        row = torch.zeros(1, len(theta), dtype=theta.dtype, device=theta.device)
        generator = seeds.torch_generator(seed, "linearity", e.name)
        noise = torch.randn(e.size, generator=generator, dtype=torch.float64)
        row[0, e.offset : e.stop] = noise.to(theta)
        forms.append([float((row * part(row, False)).sum()) for part in (curved, flat)])
    pairs = torch.tensor(forms, dtype=torch.float64)
    size = float(pairs.abs().sum(0).max()) or 1.0
    gaps = (pairs[:, 0] - pairs[:, 1]).abs() / size
    worst = int(gaps.argmax())
    gap = float(gaps[worst])
    return Linearity(gap <= LINEAR, gap, problem.space.names[worst])
