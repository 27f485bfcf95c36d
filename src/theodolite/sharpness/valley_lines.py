"""The losses of all examples along one line, and the lowest point of their mean."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from theodolite.objective import Objective
from theodolite.objective.evaluation import Pass
from theodolite.sharpness.perturbed import at_points, weighted_mean_and_error


@dataclass(frozen=True, eq=False)
class Profile:
    """Losses of all examples along a line by point, their weights, and mean and error by point."""

    losses: Float[Tensor, "alpha example"]
    weights: Float[Tensor, " example"]
    means: list[tuple[float, float]]

    def slope(self, alphas: Float64[np.ndarray, " alpha"], at: float) -> float:
        """The derivative of the mean at a point, from differences on the grid."""
        means = np.array([mean for mean, _ in self.means])
        known = np.isfinite(means)
        slopes = np.gradient(means[known], alphas[known], edge_order=2)
        return float(np.interp(at, alphas[known], slopes))


@dataclass(frozen=True, eq=False)
class Valley:
    """The lowest point along one line: a parabola through the three lowest points of a grid.

    ``moves`` is by how much each example shifts the minimum, to first order and but for a
    constant (its influence), ``bends`` the curvature of each example's loss there.
    """

    minimum: float
    error: float
    curvature: float
    moves: Float[Tensor, " example"]
    bends: Float[Tensor, " example"]


NOWHERE = Valley(math.nan, math.nan, math.nan, torch.zeros(0), torch.zeros(0))
"""No lowest point: it lies at an end, or the line is flat."""


def losses_at(
    objective: Objective, theta: Tensor, direction: Tensor, alphas: Iterable[float]
) -> list[tuple[Tensor, Tensor]]:
    """Losses and weights of all examples at some points of a line."""

    def read(made: Pass) -> tuple[Tensor, Tensor]:
        return made.losses.cpu(), made.weights.cpu()

    start, along = theta.to(objective.device), direction.to(objective.device)
    return at_points(objective, start, (alpha * along for alpha in alphas), read)


def profiles(
    objectives: Sequence[Objective],
    theta: Tensor,
    direction: Tensor,
    alphas: Float64[np.ndarray, " alpha"],
) -> list[Profile]:
    """The losses of each objective along one direction."""
    made = []
    for one in objectives:
        found = losses_at(one, theta, direction, alphas.tolist())
        weights = found[0][1]
        means = [weighted_mean_and_error(losses, weights) for losses, _ in found]
        made.append(Profile(torch.stack([losses for losses, _ in found]), weights, means))
    return made


def valley(line: Profile, alphas: Float64[np.ndarray, " alpha"]) -> Valley:
    """The bottom of a line of losses, or `NOWHERE`."""
    losses, weights = line.losses, line.weights
    means = np.array([mean for mean, _ in line.means])
    if not np.isfinite(means).any():
        return NOWHERE
    k, h = int(np.nanargmin(means)), float(alphas[1] - alphas[0])
    if not 0 < k < len(alphas) - 1:
        return NOWHERE
    left, middle, right = (losses[k + step].double() for step in (-1, 0, 1))
    slopes, bends = (right - left) / (2 * h), (left - 2 * middle + right) / h**2
    slope, _ = weighted_mean_and_error(slopes, weights)
    bend, _ = weighted_mean_and_error(bends, weights)
    if not bend > 0 or not math.isfinite(bend):
        return NOWHERE
    move = -slope / bend
    pull = slopes + move * bends
    _, error = weighted_mean_and_error(pull, weights)
    return Valley(float(alphas[k]) + move, error / bend, bend, -pull / bend, bends)
