"""Checks of the loss, its gradient and what evaluating them leaves behind."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from torch import Tensor

from theodolite.certificates.check import Check, allowed, relative
from theodolite.certificates.sample import Sample
from theodolite.certificates.state import changes
from theodolite.engines.comparison import nearby
from theodolite.engines.problem import default_dtype
from theodolite.engines.stillness import Still, unmoved

FIRST_STEPS = (1e-5, 1e-4, 1e-3, 1e-6, 1e-7, 1e-8, 1e-9)
"""Steps of first differences of the loss, relative to theta: the small ones stay short of kinks,
the large ones above rounding."""


def determinism(sample: Sample) -> Check:
    """Two passes over the data, without anything put back in between."""
    objective, theta = sample.native, sample.theta.to(sample.native.start.dtype)

    def twice() -> tuple[Tensor, Tensor]:
        first = objective.forward.run(theta, objective.sweep).losses
        return first, objective.forward.run(theta, objective.sweep).losses

    first, second = objective.guarded(twice)
    size = float(first.abs().mean()) or 1.0
    gap = float((first - second).abs().max()) / size
    bound = 0.0 if objective.device.type == "cpu" else 1e-6
    return Check(
        "two passes agree bit for bit",
        gap,
        bound,
        f"two evaluations at one point differ by {gap:.1e} of the mean loss",
    )


def gradient(sample: Sample, hu: Tensor) -> Check:
    """The derivative along a random direction against central differences of the loss.

    Relative to what the derivative would be without cancellation, and to a thousandth of the
    curvature, which is all there is at a stationary point.
    """
    figure, bound = _gradient_gap(sample, hu)
    wrong = not figure <= bound
    return Check(
        "gradient agrees with differences of the loss",
        figure,
        bound,
        f"the gradient is not the derivative of the loss: they differ by {figure:.1e}",
        kinks=wrong and _right_nearby(sample, hu),
    )


def _right_nearby(sample: Sample, hu: Tensor) -> bool:
    """Whether the gradient is right at a point 1 % away, where no kink lies exactly."""
    theta = nearby(sample.theta, sample.seed)
    there = replace(sample, theta=theta, gradient=sample.gradient_at(theta))
    figure, bound = _gradient_gap(there, hu)
    return figure <= bound


def _gradient_gap(sample: Sample, hu: Tensor) -> tuple[float, float]:
    """The relative difference at the best step, and what is allowed there."""
    expected = float(sample.gradient @ sample.u)
    size = float((sample.gradient * sample.u).abs().sum()) + 1e-3 * abs(float(sample.u @ hu))
    best = (math.inf, 0.0)
    for h in FIRST_STEPS:
        up, down = (sample.value(sample.theta + s * h * sample.u) for s in (1, -1))
        gap = abs((up - down) / (2 * h) - expected)
        best = min(best, (gap, sample.rounding / h))
    figure, noise = (relative(b, size) for b in best)
    return figure, allowed(1e-5, noise, 1e-2)


def stillness(sample: Sample, silent: tuple[str, ...]) -> Check:
    """Parameters with a gradient of zero must not move the loss."""

    def moved() -> Still:
        with default_dtype(sample.theta.dtype):
            batch = next(iter(sample.wide.data))
            return unmoved(sample.wide, sample.theta, batch, silent, curved=True)

    found = sample.wide.guarded(moved)
    moving = (*found.detached, *found.constant)
    why = "by the smallest step" if found.detached else "in jumps: they are piecewise constant"
    return Check(
        "no loss moves where the gradient is zero",
        float(len(moving)),
        0.0,
        f"the gradient is 0 for {', '.join(moving[:3])}, though the loss moves with them {why}",
        kinks=bool(moving) and not found.detached,
    )


def restored(before: dict[str, Any], after: dict[str, Any]) -> Check:
    """Everything of the caller's, hashed before the first evaluation and after the last."""
    changed = changes(before, after)
    return Check(
        "state of the caller restored",
        float(len(changed)),
        0.0,
        f"evaluation changed {', '.join(changed[:3])}",
    )
