"""Does a product see every second derivative? Decided by differences on a few examples."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from theodolite import seeds
from theodolite.engines.comparison import (
    AGREES,
    NARROW_STEPS,
    ROUGHLY,
    STEPS,
    Probe,
    Verification,
    judged,
    nearby,
)
from theodolite.engines.failures import refuse_detached, require_finite
from theodolite.engines.memory import free_bytes
from theodolite.engines.parts import Builder, Kind, reach
from theodolite.engines.problem import (
    MISTAKES,
    Problem,
    default_dtype,
    derivative_at,
    over,
    section,
)
from theodolite.engines.stillness import loss_at, unmoved

LOSS_STEPS = (1e-6, 1e-5, 1e-4)
"""Relative steps of differences of the loss."""

SHRUNK, LOST = (0.5, 0.2, 0.05), 1000.0
"""Factors of the weights at which products are compared, and how many roundings add up in one."""

WIDE = 20
"""Vectors of parameters a check takes at its peak, measured on a transformer."""

EXAMPLES = 64
"""Examples of the first batch the check looks at: kinks are rare among few."""


def verified(
    kind: Kind, problem: Problem, theta: Tensor, build: Builder, *, seed: int = 0
) -> Verification:
    """Compare products made by `build` with swept central differences, on a few examples.

    Runs inside the guard. Costs one product and from three to a dozen gradients of at most
    `EXAMPLES` examples, in float64 where the model can and `WIDE` such vectors fit into the memory
    that is free. Raises `NotFinite` for a product that is
    not finite.
    """
    few = over(problem, (_few(problem, theta),))
    try:
        if theta.dtype == torch.float64 or 8 * WIDE * len(theta) <= free_bytes(theta.device):
            with default_dtype(torch.float64):
                wide: Problem = few.converted(torch.float64)
                return _verified(kind, wide, theta.detach().to(torch.float64), build, seed)
    except MISTAKES as error:
        if type(error) not in MISTAKES:
            raise  # a named error says more than a second attempt would
    return _verified(kind, few, theta.detach(), build, seed)


def _verified(
    kind: Kind, problem: Problem, theta: Tensor, build: Builder, seed: int
) -> Verification:
    probe = probe_of(kind, problem, theta, build, seed)
    product = probe.product(theta)
    require_finite(f"{kind.label} product", product, problem.space)
    found = judged(probe, theta, product, seed=seed)
    batch = problem.data.kept[0]
    other = probe_of(kind, problem, theta, build, seed + 2)
    asymmetry, size = _asymmetry(probe, other, theta, product)
    if found.outcome == "missing" or asymmetry > AGREES:
        lost = _rounding(probe, theta)
        if found.outcome == "missing" and found.gap * size <= lost:
            found = replace(found, outcome="unclear")
        if asymmetry * size <= lost:
            asymmetry = 0.0
    still = unmoved(problem, theta, batch, found.silent, curved=not kind.whole)
    false = 0.0
    if found.outcome == "missing":
        false = gradient_gap(problem, nearby(theta, seed), probe, seed)
    return replace(
        found,
        unused=still.unused,
        constant=still.constant,
        detached=still.detached,
        false_gradient=false,
        asymmetry=asymmetry,
    )


def _asymmetry(probe: Probe, other: Probe, theta: Tensor, product: Tensor) -> tuple[float, float]:
    """How far u'Hv is from v'Hu, relative to the norm of the larger product, and that norm."""
    image = other.product(theta)
    require_finite("product", image, probe.space)
    size = max(float(torch.linalg.norm(product)), float(torch.linalg.norm(image))) or 1.0
    return abs(float(other.vector @ product) - float(probe.vector @ image)) / size, size


def _rounding(probe: Probe, theta: Tensor) -> float:
    """What rounding can leave in a product where its parts cancel.

    A softmax whose largest entry is 1 to the last digit has derivatives made of rounding, which
    are far below those of the same network where it is less sure: with smaller weights.
    """
    sizes = [float(torch.linalg.norm(probe.product(theta * s))) for s in SHRUNK]
    return LOST * torch.finfo(theta.dtype).eps * max(s for s in (0.0, *sizes) if s < math.inf)


def gradient_gap(problem: Problem, theta: Tensor, probe: Probe, seed: int) -> float:
    """How far the gradient is from central differences of the loss in a random direction."""
    slope, batch = probe.gradient(theta), problem.data.kept[0]
    u = gaussian(theta, seed + 1)
    size = float((slope * u).abs().sum()) or 1.0
    gaps = []
    for step in LOSS_STEPS:
        h = step * reach(theta) / float(torch.linalg.norm(u))
        ends = [loss_at(problem, theta + s * h * u, batch) for s in (1, -1)]
        gaps.append(abs((ends[0] - ends[1]) / (2 * h) - float(slope @ u)) / size)
    return min(gaps)


def probe_of(kind: Kind, problem: Problem, theta: Tensor, build: Builder, seed: int) -> Probe:
    """The comparison of products by `build` with the kind's own differences, on one batch."""
    wide, batch = theta.dtype == torch.float64, problem.data.kept[0]
    vector = gaussian(theta, seed)

    def times(builder: Builder, point: Tensor) -> Tensor:
        part = builder(problem, point.detach().clone().requires_grad_(True), batch)
        if part is None:
            return torch.zeros_like(vector)
        return part(vector[None], False)[0].detach()

    def gradient(point: Tensor) -> Tensor:
        made = derivative_at(problem, point.detach().clone().requires_grad_(True), batch)
        return torch.zeros_like(vector) if made is None else made

    return Probe(
        problem.space,
        vector,
        lambda point: times(build, point),
        lambda point, step: times(kind.differences(step), point),
        gradient,
        STEPS if wide else NARROW_STEPS,
        AGREES if wide else ROUGHLY,
        str(theta.dtype).removeprefix("torch."),
    )


def gaussian(like: Tensor, seed: int) -> Tensor:
    """The random vector that is multiplied."""
    generator = seeds.torch_generator(seed, "verification")
    return torch.randn(like.numel(), generator=generator, dtype=torch.float64).to(like)


def _few(problem: Problem, theta: Tensor) -> Any:
    """The head of the first batch a derivative leads through (all of it if its head has none)."""
    for batch in problem.data:
        for some in (section(batch, 0, EXAMPLES), batch):
            leaf = theta.detach().clone().requires_grad_(True)
            if derivative_at(problem, leaf, some) is not None:
                return some
    refuse_detached()
