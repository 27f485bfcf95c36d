"""An elastic band relaxed: its pivots descend across the band and are spaced along it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from theodolite.connectivity.bending import STRATA, endless_batches, fraction
from theodolite.connectivity.chains import arcs, spaced, tangents
from theodolite.connectivity.pivot_gradients import Way, batch_slopes, whole_slopes
from theodolite.connectivity.segments import Advance
from theodolite.objective import Objective
from theodolite.objective.statistics import batch_norm_layers

Result = TypeVar("Result")

GROW, SHRINK, PATIENCE, MIX, FORGET = 1.1, 0.5, 5, 0.1, 0.99
"""Of FIRE: how its step grows and shrinks, how many good steps that takes, how velocities turn."""

FIRST_MOVE, LARGEST_MOVE = 0.05, 0.3
"""The first step, and the largest, of a pivot under FIRE: shares of the mean piece."""


@dataclass(frozen=True)
class Relaxation:
    """How a band is relaxed in one cycle."""

    descent: str
    steps: int
    learning_rate: float
    momentum: float
    weight_decay: float
    longest: float
    tolerance: float
    seed: int
    progress: Advance | None = None

    def told(self, done: int) -> None:
        """Say how many steps are done."""
        if self.progress is not None:
            self.progress("step", done, self.steps)


@dataclass(frozen=True, eq=False)
class Relaxed:
    """A band after a cycle: all its points, how it went, and why it was left, if so.

    By step: the largest loss of a pivot, and the largest norm of a pivot's projected gradient.
    """

    chain: Shaped[Tensor, "point params"]
    tops: Float64[np.ndarray, " step"]
    forces: Float64[np.ndarray, " step"]
    stopped: str = ""


@dataclass(frozen=True, eq=False)
class Band:
    """A chain and the shares of its length that its pieces are held to."""

    chain: Float[Tensor, "point params"]
    shares: Float64[np.ndarray, " piece"]

    def spaced(self, inner: Tensor, fixed: tuple[int, ...] = ()) -> Band:
        """The band with other inner points, moved along it to their places."""
        whole = torch.cat([self.chain[:1], inner, self.chain[-1:]])
        return replace(self, chain=spaced(whole, self.shares, fixed))


def relaxed(
    objective: Objective,
    band: Band,
    ends: tuple[float, float],
    how: Relaxation,
    way: Way,
    climbers: tuple[int, ...] = (),
) -> Relaxed:
    """One cycle of descent from a band whose ends have these losses; climbers climb (FIRE only).

    BatchNorm layers normalize by the batch.
    """
    if how.descent == "sgd":
        return in_batches(objective, lambda: _by_sgd(objective, band, ends, how, way))
    return in_batches(objective, lambda: _by_fire(objective, band, ends, how, way, climbers))


def in_batches(objective: Objective, body: Callable[[], Result]) -> Result:
    """`body()` inside the guard, with BatchNorm layers that normalize by the batch."""

    def inside() -> Result:
        for layer in batch_norm_layers(objective.model):
            layer.train()
        return body()

    return objective.guarded(inside, grad=True)


def projected(
    chain: Tensor, losses: Float64[np.ndarray, " pivot"], ends: tuple[float, float], slopes: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of the pivots without their parts along the band, and the tangents."""
    along = tangents(chain, np.array([ends[0], *losses, ends[1]]))
    parts = (slopes * along).sum(1, keepdim=True)
    return slopes - parts * along, along


def _by_sgd(
    objective: Objective, band: Band, ends: tuple[float, float], how: Relaxation, way: Way
) -> Relaxed:
    """Momentum on the projected gradient of one batch a step, at a rate that falls off."""
    speed = torch.zeros_like(band.chain[1:-1])
    tops, forces = list[float](), list[float]()
    kept, longest = band, how.longest * _chord(band)
    batches = endless_batches(objective, how.seed, "band batches")
    for step in range(how.steps):
        pivots = band.chain[1:-1]
        losses, slopes = batch_slopes(objective, pivots, next(batches), way)
        how.told(step + 1)
        if not bool(torch.isfinite(losses).all()) or not bool(torch.isfinite(slopes).all()):
            return Relaxed(kept.chain, np.array(tops), np.array(forces), "diverged")
        slopes = slopes + how.weight_decay * pivots
        force, _ = projected(band.chain, losses.numpy(), ends, slopes)
        speed = how.momentum * speed + force
        tops.append(float(losses.max()))
        forces.append(float(torch.linalg.vector_norm(force, dim=1).max()))
        moved = pivots - how.learning_rate * fraction(step / how.steps) * speed
        if not np.isfinite(arcs(torch.cat([band.chain[:1], moved, band.chain[-1:]]))).all():
            return Relaxed(kept.chain, np.array(tops), np.array(forces), "diverged")
        band = band.spaced(moved)
        if (step + 1) % STRATA == 0 or step + 1 == how.steps:
            reason = _unfit(band, longest, tops)
            if reason:
                return Relaxed(kept.chain, np.array(tops), np.array(forces), reason)
            kept = band
    return Relaxed(band.chain, np.array(tops), np.array(forces))


def _by_fire(
    objective: Objective,
    band: Band,
    ends: tuple[float, float],
    how: Relaxation,
    way: Way,
    climbers: tuple[int, ...],
) -> Relaxed:
    """Descent by FIRE with the gradient over all data; climbers go up along the band instead.

    Ends where no pivot's force is above `tolerance` of the largest gradient of the first step.
    """
    fire = Fire()
    tops, forces = list[float](), list[float]()
    longest, first = how.longest * _chord(band), 0.0
    for step in range(how.steps):
        pivots = band.chain[1:-1]
        losses, slopes = whole_slopes(objective, pivots, way)
        how.told(step + 1)
        if not bool(torch.isfinite(losses).all()) or not bool(torch.isfinite(slopes).all()):
            return Relaxed(band.chain, np.array(tops), np.array(forces), "diverged")
        slopes = slopes + how.weight_decay * pivots
        force, along = projected(band.chain, losses.numpy(), ends, slopes)
        for k in climbers:  # uphill along the band, downhill across it
            force[k - 1] = slopes[k - 1] - 2 * (slopes[k - 1] @ along[k - 1]) * along[k - 1]
        tops.append(float(losses.max()))
        forces.append(float(torch.linalg.vector_norm(force, dim=1).max()))
        first = max(first, float(torch.linalg.vector_norm(slopes, dim=1).max()) * (step == 0))
        if forces[-1] <= how.tolerance * first:
            break
        mean = float(arcs(band.chain)[-1]) / (len(band.chain) - 1)
        move = fire.move(-force, mean)
        band = band.spaced(pivots + move, climbers)
        if float(arcs(band.chain)[-1]) > longest:
            return Relaxed(band.chain, np.array(tops), np.array(forces), "too long")
    return Relaxed(band.chain, np.array(tops), np.array(forces))


@dataclass(eq=False)
class Fire:
    """Bitzek et al.'s fast inertial relaxation: velocities turned downhill, steps that adapt."""

    step: float = 0.0
    mix: float = MIX
    good: int = 0
    speed: Tensor | None = None

    def move(self, force: Tensor, length: float) -> Tensor:
        """How far to go by this force, no pivot farther than a share of `length`."""
        size = float(torch.linalg.vector_norm(force, dim=1).max())
        if self.speed is None:
            self.speed = torch.zeros_like(force)
            self.step = (FIRST_MOVE * length / size) ** 0.5 if size > 0 else 1.0
        power = float((force * self.speed).sum())
        if power > 0:
            turned = force * (self.speed.norm() / force.norm())
            self.speed = (1 - self.mix) * self.speed + self.mix * turned
            self.good += 1
            if self.good > PATIENCE:
                self.step, self.mix = self.step * GROW, self.mix * FORGET
        elif bool(self.speed.any()):
            self.speed = torch.zeros_like(force)
            self.step, self.mix, self.good = self.step * SHRINK, MIX, 0
        self.speed = self.speed + self.step * force
        move = self.step * self.speed
        farthest = float(torch.linalg.vector_norm(move, dim=1).max())
        return move * min(1.0, LARGEST_MOVE * length / farthest) if farthest > 0 else move


def _chord(band: Band) -> float:
    return float(torch.linalg.vector_norm(band.chain[-1].double() - band.chain[0].double()))


def _unfit(band: Band, longest: float, tops: list[float]) -> str:
    """Why a band is of no use: not finite, or too long."""
    if not np.isfinite(tops[-STRATA:]).all() or not bool(torch.isfinite(band.chain).all()):
        return "diverged"
    return "too long" if float(arcs(band.chain)[-1]) > longest else ""
