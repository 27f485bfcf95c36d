"""Checks of Hessian products: against gradients, against the loss, against each other."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from theodolite.certificates.check import Check, allowed, relative
from theodolite.certificates.sample import Sample
from theodolite.engines.comparison import (
    AGREES,
    NARROW_STEPS,
    ROUGHLY,
    STEPS,
    Probe,
    Verification,
    judged,
)
from theodolite.engines.parts import reach
from theodolite.linalg.lanczos import tridiagonalize
from theodolite.linalg.operator import Operator

SECOND_STEPS = (1e-4, 1e-3, 1e-5, 1e-2)
TAYLOR_STEPS = tuple(0.1 * 2.0**-k for k in range(11))
"""Steps of second differences of the loss and of its remainder, relative to theta."""

RESIDUAL_STEPS, RIGHT_STEPS = (1e-6, 1e-7, 1e-8, 1e-9, 1e-4), (1e-6, 1e-7, 1e-8, 1e-9)
"""The same for differences of gradients."""

SUBSPACE, LANCZOS = 2, 4
"""Random directions for the trace, and steps before a Ritz pair is recomputed."""

PRECISION = {torch.float32: 1e-2, torch.bfloat16: 0.3, torch.float16: 0.1}
"""How far a product in the objective's own precision may be from float64."""


def symmetry(sample: Sample, hu: Tensor, v: Tensor, hv: Tensor, engine: str) -> Check:
    """u'Hv against v'Hu."""
    gap = abs(float(sample.u @ hv) - float(v @ hu))
    norms = [float(torch.linalg.norm(t)) for t in (sample.u, hv, v, hu)]
    figure = relative(gap, max(norms[0] * norms[1], norms[2] * norms[3]))
    narrow = sample.theta.dtype != torch.float64 or sample.rounding > 1e-12 * abs(sample.loss)
    bound = 1e-4 if narrow or engine == "differences" else 1e-10
    return Check(
        "product is symmetric",
        figure,
        bound,
        f"the product is not symmetric: u'Hv and v'Hu differ by {figure:.1e}",
    )


def comparison(sample: Sample, engine: str, v: Tensor, hv: Tensor) -> Verification:
    """The product against swept differences of gradients, tensor by tensor."""

    def estimate(theta: Tensor, step: float) -> Tensor:
        return _slope_along(replace(sample, theta=theta), v, step)

    wide = sample.theta.dtype == torch.float64
    probe = Probe(
        sample.wide.space,
        v,
        lambda theta: sample.product(sample.operator(theta, engine), v),
        estimate,
        sample.gradient_at,
        STEPS if wide else NARROW_STEPS,
        AGREES if wide else ROUGHLY,
        str(sample.theta.dtype).removeprefix("torch."),
    )
    return judged(probe, sample.theta, hv, seed=sample.seed)


def product(found: Verification) -> Check:
    """The outcome of `comparison` as a line."""
    rough = found.outcome == "agrees" and found.gap > AGREES
    names = ", ".join(found.names[:3]) + (" and others" if len(found.names) > 3 else "")
    reasons = {
        "missing": f"second derivatives of {names} are missing from the product: differences of "
        "gradients agree with each other and not with it (hessian() uses the differences)",
        "non-smooth": f"the gradient has kinks at this point, in {names}; the product is right "
        "nearby",
        "coarse": "the gradient goes in stairs: part of the model runs in low precision",
        "unclear": f"differences of gradients settle nothing for {names}",
    }
    return Check(
        "product agrees with differences of gradients",
        found.gap,
        ROUGHLY if rough else AGREES,
        reasons.get(found.outcome, ""),
        kinks=found.outcome == "non-smooth",
    )


def taylor(sample: Sample, hu: Tensor, *, kinked: bool) -> Check:
    """How the remainder of the quadratic model falls: the deficit of its slope from 3."""
    slope, bend = float(sample.gradient @ sample.u), float(sample.u @ hu)
    points, eps = [], torch.finfo(sample.theta.dtype).eps
    for h in TAYLOR_STEPS:
        terms = (sample.loss, h * slope, h**2 / 2 * bend)
        rest = abs(sample.value(sample.theta + h * sample.u) - sum(terms))
        # outputs are rounded relative to their size, which counts times the slope at theta + h u
        rounding = max(sample.rounding, eps * h * max(abs(slope), abs(bend)))
        if math.isfinite(rest) and rest > 100 * rounding:
            points.append((math.log2(h), math.log2(rest)))
    last = points[-6:]  # the smallest steps above rounding, where the order shows
    if len(last) < 3:
        deficit, seen = 0.0, "no remainder beyond rounding"
    else:  # two terms of the remainder may cancel at one step: the best of a few windows
        windows = [last[k : k + 4] for k in range(max(1, len(last) - 3))]
        fitted = max(_slope(w) for w in windows)
        deficit, seen = max(0.0, 3 - fitted), f"slope {fitted:.2f}"
    return Check(
        "Taylor remainder falls with slope 3",
        deficit,
        0.3,
        f"the loss does not follow its quadratic model: {seen} where 3 is right",
        kinks=deficit > 0.3 and (kinked or right(sample, sample.u, hu)),
    )


def subspace(sample: Sample, operator: Operator, *, kinked: bool) -> Check:
    """The trace over a random subspace against second differences of the loss."""
    basis = _orthogonal(sample)
    products = [sample.product(operator, v) for v in basis]
    forms = [float(v @ hv) for v, hv in zip(basis, products, strict=True)]
    size = sum(map(abs, forms))
    figure = bound = math.inf
    for h in SECOND_STEPS:
        ends = [sample.value(sample.theta + s * h * v) for v in basis for s in (1, -1)]
        total = (sum(ends) - len(ends) * sample.loss) / h**2
        gap = relative(abs(total - sum(forms)), size)
        if gap < figure:
            noise = relative(len(ends) * sample.rounding / h**2, size)
            figure, bound = gap, allowed(1e-3, noise, 5e-2)
        if figure <= 1e-3:
            break
    fails, pairs = not figure <= bound, zip(basis, products, strict=True)
    return Check(
        "trace over a random subspace agrees with the loss",
        figure,
        bound,
        f"curvature by products and by second differences of the loss differ by {figure:.1e}",
        kinks=fails and (kinked or all(right(sample, v, hv) for v, hv in pairs)),
    )


def _orthogonal(sample: Sample) -> list[Tensor]:
    """A few random orthogonal directions of the size of theta."""
    basis: list[Tensor] = []
    for k in range(min(SUBSPACE, len(sample.theta))):
        v = sample.random(f"column {k}")
        for w in basis:
            v = v - (w @ v) / (w @ w) * w
        basis.append(v * (reach(sample.theta) / torch.linalg.norm(v)))
    return basis


def residual(sample: Sample, operator: Operator, *, kinked: bool) -> Check:
    """The residual of a Ritz pair by Lanczos against one recomputed from gradients."""
    made = tridiagonalize(operator, sample.random("Lanczos"), steps=min(LANCZOS, len(sample.theta)))
    off = made.off_diagonal
    t = torch.diag(made.diagonal) + torch.diag(off, 1) + torch.diag(off, -1)
    values, vectors = torch.linalg.eigh(t)
    top = int(values.abs().argmax())
    y = made.basis.T @ vectors[:, top].to(made.basis)
    claimed = 0.0 if made.invariant else abs(made.residual_norm * float(vectors[-1, top]))
    size = abs(float(values[top]))
    best = (math.inf, 0.0)
    for step in RESIDUAL_STEPS:
        again = torch.linalg.norm(_slope_along(sample, y, step) - float(values[top]) * y)
        noise = 4 * sample.rounding / (step * reach(sample.theta))
        best = min(best, (abs(float(again) - claimed), noise))
    figure, noise = (relative(b, size) for b in best)
    return Check(
        "residual of a Ritz pair agrees with differences",
        figure,
        allowed(1e-3, noise, 5e-2),
        f"the residual of an eigenpair is off by {figure:.1e} of its eigenvalue",
        kinks=kinked,
    )


def right(sample: Sample, vector: Tensor, product: Tensor) -> bool:
    """Whether a product agrees with differences of gradients at some small step."""
    size = float(torch.linalg.norm(product))
    for step in RIGHT_STEPS:
        gap = float(torch.linalg.norm(_slope_along(sample, vector, step) - product))
        if relative(gap, size) <= 10 * AGREES:
            return True
    return False


def _slope_along(sample: Sample, vector: Tensor, step: float) -> Tensor:
    """The central difference of gradients along a vector."""
    h = step * reach(sample.theta) / float(torch.linalg.norm(vector))
    ends = [sample.gradient_at(sample.theta + s * h * vector) for s in (1, -1)]
    return (ends[0] - ends[1]) / (2 * h)


def precision(sample: Sample, multiply: Callable[[Tensor], Tensor], v: Tensor, hv: Tensor) -> Check:
    """The product in the objective's own precision against the one in float64."""
    dtype = sample.native.dtype
    own = multiply(v.to(sample.native.start.dtype)).to(hv.dtype)
    figure = relative(float(torch.linalg.norm(own - hv)), float(torch.linalg.norm(hv)))
    name = str(dtype).removeprefix("torch.")
    return Check(
        f"product in {name} agrees with float64",
        figure,
        PRECISION.get(dtype, 1e-10),
        f"the product in {name} is off by {figure:.1e}; build the objective with "
        "dtype=torch.float64",
    )


def _slope(points: list[tuple[float, float]]) -> float:
    """The slope of the least-squares line."""
    x, y = (torch.tensor(c, dtype=torch.float64) for c in zip(*points, strict=True))
    x = x - x.mean()
    return float((x @ y) / (x @ x))
