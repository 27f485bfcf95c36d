"""Balls around a point, in units of their own: how far and which way a perturbation may go."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from theodolite.errors import InvalidArgument

Vector = Float[Tensor, " params"]


@dataclass(frozen=True, eq=False)
class Ball:
    r"""Perturbations :math:`e = T v` with :math:`\|v\|_p \le \rho`.

    ``units`` is the diagonal of T, ``None`` for the identity; ``p`` is 2 or infinity. All
    functions work on v.
    """

    radius: float
    p: float
    units: Tensor | None = None

    def moved(self, v: Vector) -> Vector:
        """The perturbation itself, in units of the parameters."""
        return v if self.units is None else self.units * v

    def length(self, v: Vector) -> float:
        """The norm of v."""
        return float(torch.linalg.vector_norm(v, self.p))

    def inside(self, v: Vector) -> Vector:
        """The nearest point of the ball."""
        if self.p == math.inf:
            return v.clamp(-self.radius, self.radius)
        length = self.length(v)
        return v if length <= self.radius else v * (self.radius / length)

    def steepest(self, gradient: Vector) -> Vector:
        """The v of norm one along which a loss with this gradient rises most; zero if none does."""
        slope = self.moved(gradient)
        if self.p == math.inf:
            return slope.sign()
        length = float(torch.linalg.vector_norm(slope))
        return slope / length if length > 0 else torch.zeros_like(slope)

    def random(self, noise: Vector) -> Vector:
        """A point of the ball from Gaussian noise: on the sphere, or uniform in the cube."""
        if self.p == math.inf:
            return self.radius * torch.erf(noise / math.sqrt(2))
        return noise * (self.radius / self.length(noise))


def norm_of(p: Any) -> float:
    """`p` as a number: 2 or infinity."""
    if p in (2, math.inf) and not isinstance(p, bool):
        return float(p)
    raise InvalidArgument(f"p must be 2 or math.inf; got {p!r}.", code="E-H16")


def label_of(p: float) -> str:
    """The norm as a word."""
    return "inf" if p == math.inf else "2"
