"""Projected gradient ascent in a ball: the largest rise of a loss that it finds."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from theodolite.objective import Objective
from theodolite.sharpness import noise
from theodolite.sharpness.ball import Ball

FIRST, LONGEST = 2.0, 16.0
"""Lengths of the first step, which from the center ends on the boundary, and of any, in radii."""


@dataclass(frozen=True, eq=False)
class Climb:
    """One ascent: the loss's rise at every point tried, and the best point, as the ball counts it.

    ``rises[0]`` is that of the start. A rise is NaN where the loss is not finite.
    """

    rises: list[float]
    best: float
    v: Tensor


@dataclass(frozen=True, eq=False)
class Summit:
    """The best of some ascents, and all their rises by restart and step."""

    best: float
    boundary: float
    rises: list[list[float]]

    @property
    def diverged(self) -> bool:
        """Whether the loss was not finite somewhere: then no number bounds it."""
        return any(math.isnan(r) for rises in self.rises for r in rises)


def summit(
    objective: Objective, theta: Tensor, ball: Ball, *, steps: int, restarts: int, seed: int
) -> Summit:
    """The best point of a ball found by `restarts` ascents of `steps` steps.

    The first starts at the center, unless the gradient is zero there and there is more than one
    step; the others on random points. Costs 1 F, and 4 F a step.
    """
    base = float(objective.value(theta))
    center = torch.zeros_like(theta)
    climbs = []
    for restart in range(restarts):
        start, slope = center, None
        if restart == 0:
            slope = objective.gradient(theta)
        if restart or (steps > 1 and slope is not None and not bool(ball.moved(slope).any())):
            start, slope = ball.random(noise.gaussian(theta, seed, "ascent", restart)), None
        climbs.append(_climbed(objective, theta, base, ball, start, slope, steps))
    top = max(climbs, key=lambda c: -math.inf if math.isnan(c.best) else c.best)
    rises = [c.rises for c in climbs]
    if not top.best > 0:
        return Summit(0.0, 0.0, rises)  # nothing is higher than the center
    return Summit(top.best, ball.length(top.v) / ball.radius, rises)


def _climbed(
    objective: Objective,
    theta: Tensor,
    base: float,
    ball: Ball,
    v: Tensor,
    slope: Tensor | None,
    steps: int,
) -> Climb:
    """Longer steps while the loss rises, from the best point with shorter ones when it does not."""

    def rise(at: Tensor) -> float:
        loss = float(objective.value(theta + ball.moved(at)))
        return loss - base if math.isfinite(loss) else math.nan

    best = rise(v) if bool(v.any()) else 0.0
    rises, length = [best], FIRST
    for _ in range(steps):
        if math.isnan(best):
            rises.append(math.nan)
            continue
        if slope is None:
            slope = objective.gradient(theta + ball.moved(v))
        candidate = ball.inside(v + length * ball.radius * ball.steepest(slope))
        rises.append(rise(candidate))
        if rises[-1] > best:
            best, v, slope = rises[-1], candidate, None
            length = min(2 * length, LONGEST)
        else:
            length /= 4
    return Climb(rises, best, v)
