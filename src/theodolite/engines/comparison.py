"""A product against swept differences, parameter tensor by parameter tensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from theodolite import seeds
from theodolite.engines.parts import reach
from theodolite.parameters import ParameterSpace

STEPS = (1e-6, 1e-7, 1e-5, 1e-8, 1e-4, 1e-3)
"""Relative steps in float64 in the order they are tried; the first that agrees ends the search."""

NARROW_STEPS = (1e-3, 3e-3, 1e-2, 3e-2)
"""The same where the model cannot run in float64."""

AGREES, PLATEAU, ROUGHLY = 1e-4, 1e-3, 2e-2
"""Relative differences: a product is right below the first; steps confirm each other below the
second; where rounding inside the model hides both, the product is right below the third."""

COARSE_STEPS, FOLLOWS = (1e-2, 3e-2), 0.25
"""Steps across the stairs of a gradient computed in half precision, and how near is near there."""

NEARBY = 1e-2
"""How far away, relative to theta, a point is tried where this one is not smooth."""


@dataclass(frozen=True)
class Verification:
    """What came of the comparison.

    ``outcome`` is

    - "agrees";
    - "missing": differences at several steps confirm each other and not the product;
    - "non-smooth": they do not confirm each other here, but agree with the product nearby;
    - "coarse": the gradient goes in stairs, which follow the product;
    - "unclear": they confirm each other nowhere, or the product is made of rounding.

    ``names`` are the tensors it is about (of all that are ``off``), ``gap`` the largest relative
    difference left beyond rounding, ``step`` where it was reached. ``silent`` tensors have zero
    gradients and products, and are sorted into ``unused``, ``constant`` and ``detached`` (see
    `stillness.Still`).
    ``false_gradient`` is how far, relative to it, the gradient is from the derivative of the loss;
    looked at only where something is missing. ``asymmetry`` is by how much of a product u'Hv and
    v'Hu differ (0 where the product is made of rounding).
    """

    outcome: str
    names: tuple[str, ...]
    gap: float
    step: float
    precision: str
    off: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    constant: tuple[str, ...] = ()
    detached: tuple[str, ...] = ()
    false_gradient: float = 0.0
    asymmetry: float = 0.0


@dataclass(frozen=True, eq=False)
class Probe:
    """What is compared: a product, its differences at a step and the gradient, at any point."""

    space: ParameterSpace
    vector: Tensor
    product: Callable[[Tensor], Tensor]
    estimate: Callable[[Tensor, float], Tensor]
    gradient: Callable[[Tensor], Tensor]
    steps: tuple[float, ...]
    tolerance: float
    precision: str


def judged(probe: Probe, theta: Tensor, product: Tensor, *, seed: int) -> Verification:
    """The outcome at `theta` and, unless they agree there, near it.

    Exactly on a kink the central difference of a gradient that bends there is a mean of two
    sides: it settles, and need not be the product. No kink lies exactly at the other point.
    """
    here = compared(probe, theta, product)
    if here.outcome == "agrees":
        return here
    near = nearby(theta, seed)
    there = compared(probe, near, probe.product(near))
    if there.outcome == "agrees":
        return replace(here, outcome="non-smooth", names=here.off)
    if there.outcome == "missing":
        coarse = _coarse(probe, theta, product)
        return replace(there, outcome="coarse") if coarse else there
    rough = max(here.gap, there.gap) <= ROUGHLY
    return replace(here, outcome="agrees" if rough else "unclear")


def nearby(theta: Tensor, seed: int) -> Tensor:
    """A point 1 % away in a random direction: no kink lies exactly there."""
    noise = torch.randn(theta.numel(), generator=seeds.torch_generator(seed, "nearby"))
    made: Tensor = theta + NEARBY * reach(theta) * (noise / torch.linalg.norm(noise)).to(theta)
    return made


def compared(probe: Probe, theta: Tensor, product: Tensor) -> Verification:
    """Sort the parameter tensors into those that agree at some step, and the others."""
    names, slope = probe.space.names, probe.gradient(theta)
    noise = _rounding(probe, theta, slope)
    best, where = torch.full((len(names),), torch.inf, dtype=torch.float64), 0.0
    sizes = _norms(probe, product) + _norms(probe, slope)
    del slope  # such vectors fill the memory of large models: none is held longer than needed
    neighbors, held, settled = list(pairwise(sorted(probe.steps)[:4])), {}, set[str]()
    for step in probe.steps:
        held[step] = probe.estimate(theta, step)
        sizes += _norms(probe, held[step])
        gaps = _gaps(probe, product, held[step], noise / step)
        where = step if bool((gaps < best).any()) else where
        best = torch.minimum(best, gaps)
        if bool((best <= probe.tolerance).all()):
            break
        for pair in [p for p in neighbors if p[0] in held and p[1] in held]:
            settled |= _confirmed(probe, held[pair[0]], held[pair[1]], noise / pair[0])
            neighbors.remove(pair)
        held = {s: e for s, e in held.items() if any(s in pair for pair in neighbors)}
    silent = tuple(n for n, size in zip(names, sizes.tolist(), strict=True) if size == 0)
    off = tuple(n for n, gap in zip(names, best.tolist(), strict=True) if gap > probe.tolerance)
    made = Verification("agrees", (), float(best.max()), where, probe.precision, off, silent)
    if not off:
        return made
    missing = tuple(n for n in off if n in settled)
    return replace(
        made, outcome="missing" if missing else "non-smooth", names=missing if missing else off
    )


def _coarse(probe: Probe, theta: Tensor, product: Tensor) -> bool:
    """Whether the gradient is a staircase (rounded inside the model) that follows the product."""
    small = probe.estimate(theta, min(probe.steps))
    for step in COARSE_STEPS:
        large = probe.estimate(theta, step)
        size = float(torch.linalg.norm(large)) or 1.0
        followed = float(torch.linalg.norm(large - product)) / size
        confirmed = float(torch.linalg.norm(large - small)) / size
        if followed <= FOLLOWS and followed < confirmed / 2:
            return True
    return False


def _gaps(probe: Probe, a: Tensor, b: Tensor, noise: float) -> Tensor:
    """Relative differences by parameter tensor, what rounding explains taken off."""
    far = (_norms(probe, a - b) - noise).clamp(min=0)
    size = torch.maximum(_norms(probe, a), _norms(probe, b))
    relative = far / torch.where(size == 0, torch.ones_like(size), size)
    return torch.nan_to_num(relative, nan=torch.inf)


def _confirmed(probe: Probe, small: Tensor, large: Tensor, noise: float) -> set[str]:
    """The tensors for which the differences at two neighboring steps confirm each other."""
    close = _gaps(probe, small, large, noise) <= max(PLATEAU, probe.tolerance)
    return {n for n, yes in zip(probe.space.names, close.tolist(), strict=True) if yes}


def _rounding(probe: Probe, theta: Tensor, slope: Tensor) -> float:
    """What rounding in two gradients can leave in their difference quotient, times the step."""
    sizes = float(torch.linalg.norm(slope)) * float(torch.linalg.norm(probe.vector))
    return 4 * torch.finfo(theta.dtype).eps * sizes / reach(theta)


def _norms(probe: Probe, vector: Tensor) -> Tensor:
    """Norms by parameter tensor, float64."""
    pieces = torch.split(vector.detach().double(), [e.size for e in probe.space.entries])
    return torch.stack([torch.linalg.norm(p) for p in pieces])
