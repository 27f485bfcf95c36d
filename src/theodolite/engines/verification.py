"""Does a product see every second derivative? Decided by differences, tensor by tensor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from theodolite import seeds
from theodolite.engines.failures import require_finite
from theodolite.engines.parts import Builder, Kind, reach
from theodolite.engines.problem import Problem, derivative_at, head, over
from theodolite.engines.stillness import unmoved

EXAMPLES = 64
"""Examples of the first batch the check looks at: kinks are rare among few."""

STEPS = (1e-6, 1e-7, 1e-5, 1e-8, 1e-4, 1e-3)
"""Relative steps in float64 in the order they are tried; the first that agrees ends the search."""

NARROW_STEPS = (1e-3, 3e-3, 1e-2, 3e-2)
"""The same where the model cannot run in float64."""

AGREES, PLATEAU, ROUGHLY = 1e-4, 1e-3, 2e-2
"""Relative differences: a product is right below the first; steps confirm each other below the
second; where rounding inside the model hides both, the product is right below the third."""

COARSE_STEPS = (1e-2, 3e-2)
"""Steps across the stairs of a gradient that is computed in half precision."""

NEARBY = 1e-2
"""How far away, relative to theta, a point is tried where this one is not smooth."""

MISTAKES = (
    RuntimeError,
    NotImplementedError,
    TypeError,
    ValueError,
    AttributeError,
    KeyError,
    IndexError,
    AssertionError,
)


@dataclass(frozen=True)
class Verification:
    """What came of the check.

    ``outcome`` is "agrees", "missing" (differences at several steps confirm each other and not
    the product), "non-smooth" (they do not confirm each other at this point, though the product
    agrees nearby) or "unclear" (they confirm each other nowhere). ``names`` are the tensors it
    is about, ``gap`` the largest relative difference left, ``step`` where it was reached.
    "coarse" is a gradient in stairs that follow the product: rounding inside the model hides more.
    ``silent`` tensors have zero gradients and are sorted into ``unused``, ``constant`` and
    ``detached`` (see `stillness.Still`).
    """

    outcome: str
    names: tuple[str, ...]
    gap: float
    step: float
    precision: str
    silent: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    constant: tuple[str, ...] = ()
    detached: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Sample:
    """A few examples at one point: the problem, the point, a vector, and how to compare."""

    kind: Kind
    problem: Problem
    theta: Tensor
    vector: Tensor
    steps: tuple[float, ...]
    tolerance: float
    precision: str

    @property
    def batch(self) -> Any:
        return self.problem.data.kept[0]

    def leaf(self) -> Tensor:
        return self.theta.detach().clone().requires_grad_(True)

    def product(self, build: Builder) -> Tensor:
        """The product of the sample's vector, zero where the loss is detached."""
        part = build(self.problem, self.leaf(), self.batch)
        if part is None:
            return torch.zeros_like(self.vector)
        return part(self.vector[None], False)[0].detach()


def verified(
    kind: Kind, problem: Problem, theta: Tensor, build: Builder, *, seed: int = 0
) -> Verification:
    """Compare products made by `build` with swept central differences, on a few examples.

    Runs inside the guard. Costs one product and from two to a dozen gradients of at most
    `EXAMPLES` examples, in float64 where the model can. Raises `NotFinite` for a product that is
    not finite.
    """
    few = over(problem, (_few(problem, theta),))
    try:
        with default_dtype(torch.float64):
            return checked(wide_sample(kind, few, theta, seed), build, seed)
    except MISTAKES as error:
        if type(error) not in MISTAKES:
            raise  # a named error says more than a second attempt would
    return checked(narrow_sample(kind, few, theta, seed), build, seed)


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """Tensors that forward() makes without a dtype have this one."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def wide_sample(kind: Kind, few: Problem, theta: Tensor, seed: int) -> Sample:
    """The sample in float64."""
    point = theta.detach().to(torch.float64)
    return Sample(
        kind, few.converted(torch.float64), point, _gaussian(point, seed), STEPS, AGREES, "float64"
    )


def narrow_sample(kind: Kind, few: Problem, theta: Tensor, seed: int) -> Sample:
    """The sample in the precision of theta, for models that cannot run in float64."""
    point, precision = theta.detach(), str(theta.dtype).removeprefix("torch.")
    return Sample(kind, few, point, _gaussian(point, seed), NARROW_STEPS, ROUGHLY, precision)


def _gaussian(point: Tensor, seed: int) -> Tensor:
    generator = seeds.torch_generator(seed, "verification")
    return torch.randn(point.numel(), generator=generator, dtype=torch.float64).to(point)


def _few(problem: Problem, theta: Tensor) -> Any:
    """The head of the first batch a derivative leads through (all of it if its head has none)."""
    first = None
    for batch in problem.data:
        first = first or batch
        for some in (head(batch, EXAMPLES), batch):
            leaf = theta.detach().clone().requires_grad_(True)
            if derivative_at(problem, leaf, some) is not None:
                return some
    return first


def checked(sample: Sample, build: Builder, seed: int) -> Verification:
    """The outcome at the sample's point and, where differences settle nothing there, near it."""
    product = sample.product(build)
    require_finite(f"{sample.kind.label} product", product, sample.problem.space)
    here = compared(sample, product)
    still = unmoved(sample.problem, sample.theta, sample.batch, here.silent)
    if here.outcome == "missing" and _coarse(sample, product):
        here = replace(here, outcome="coarse")
    elif here.outcome == "non-smooth":
        near = replace(sample, theta=_moved(sample.theta, seed))
        here = _settled_nearby(here, compared(near, near.product(build)))
    return replace(here, unused=still.unused, constant=still.constant, detached=still.detached)


def _settled_nearby(here: Verification, there: Verification) -> Verification:
    """What a point without exact kinks says about one with them."""
    if there.outcome == "agrees":
        return here
    if there.outcome == "missing":
        return there
    rough = max(here.gap, there.gap) <= ROUGHLY
    return replace(here, outcome="agrees" if rough else "unclear")


def _coarse(sample: Sample, product: Tensor) -> bool:
    """Whether the gradient is a staircase (rounded inside the model) that follows the product."""
    small = sample.product(sample.kind.differences(min(sample.steps)))
    for step in COARSE_STEPS:
        large = sample.product(sample.kind.differences(step))
        size = float(torch.linalg.vector_norm(large)) or 1.0
        followed = float(torch.linalg.vector_norm(large - product)) / size
        confirmed = float(torch.linalg.vector_norm(large - small)) / size
        if followed <= 0.25 and followed < confirmed / 2:
            return True
    return False


def compared(sample: Sample, product: Tensor) -> Verification:
    """Sort the parameter tensors into those that agree at some step, and the others."""
    names = sample.problem.space.names
    slope = derivative_at(sample.problem, sample.leaf(), sample.batch)
    noise = 0.0 if slope is None else _rounding(sample, slope)
    estimates: dict[float, Tensor] = {}
    best, where = torch.full((len(names),), torch.inf, dtype=torch.float64), 0.0
    for step in sample.steps:
        estimates[step] = sample.product(sample.kind.differences(step))
        gaps = _gaps(sample, product, estimates[step], noise / step)
        where = step if bool((gaps < best).any()) else where
        best = torch.minimum(best, gaps)
        if bool((best <= sample.tolerance).all()):
            break
    seen = [product, *estimates.values(), *([] if slope is None else [slope])]
    sizes = sum(_norms(sample, v) for v in seen).tolist()
    silent = tuple(n for n, size in zip(names, sizes, strict=True) if size == 0)
    off = [n for n, gap in zip(names, best.tolist(), strict=True) if gap > sample.tolerance]
    shown = float(best.max())
    made = Verification("agrees", (), shown, where, sample.precision, silent=silent)
    if not off:
        return made
    settled = _settled(sample, estimates, noise)
    missing = tuple(n for n in off if n in settled)
    if missing:
        return replace(made, outcome="missing", names=missing)
    return replace(made, outcome="non-smooth", names=tuple(off))


def _gaps(sample: Sample, a: Tensor, b: Tensor, noise: float) -> Tensor:
    """Relative differences by parameter tensor, what rounding explains taken off."""
    far = (_norms(sample, a - b) - noise).clamp(min=0)
    size = torch.maximum(_norms(sample, a), _norms(sample, b))
    return torch.nan_to_num(
        far / torch.where(size == 0, torch.ones_like(size), size), nan=torch.inf
    )


def _settled(sample: Sample, estimates: dict[float, Tensor], noise: float) -> set[str]:
    """The tensors for which two neighboring steps, of the smallest, confirm each other."""
    found: set[str] = set()
    for small, large in pairwise(sorted(estimates)[:4]):
        gaps = _gaps(sample, estimates[small], estimates[large], noise / small)
        close = (gaps <= max(PLATEAU, sample.tolerance)).tolist()
        found |= {n for n, yes in zip(sample.problem.space.names, close, strict=True) if yes}
    return found


def _rounding(sample: Sample, slope: Tensor) -> float:
    """What rounding in two gradients can leave in their difference quotient, times the step."""
    sizes = float(torch.linalg.vector_norm(slope)) * float(torch.linalg.vector_norm(sample.vector))
    return 4 * torch.finfo(sample.theta.dtype).eps * sizes / reach(sample.theta)


def _norms(sample: Sample, vector: Tensor) -> Tensor:
    """Norms by parameter tensor, float64."""
    pieces = torch.split(vector.detach().double(), [e.size for e in sample.problem.space.entries])
    return torch.stack([torch.linalg.vector_norm(p) for p in pieces])


def _moved(theta: Tensor, seed: int) -> Tensor:
    """A point 1 % away in a random direction: no kink lies exactly there."""
    noise = torch.randn(theta.numel(), generator=seeds.torch_generator(seed, "nearby"))
    return theta + NEARBY * reach(theta) * (noise / noise.norm()).to(theta)
