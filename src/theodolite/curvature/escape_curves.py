"""The ways of runs away from a saddle, step by step, beside that of the quadratic model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64, Int64
from torch import Tensor

from theodolite import results
from theodolite.curvature.descents import Line
from theodolite.curvature.escape_fields import Field

MOST = 201
"""Steps kept of the longest run; the last one may be one more."""

FARTHEST = 10.0
"""The model is not followed beyond so many radii."""


@dataclass(frozen=True, eq=False)
class Way:
    """One run as it is seen: the distance along the line at every step, the loss at some.

    Losses are noted at every step up to 200, then at every second one up to 400, at every fourth
    one up to 800 and so on: at the steps that a curve of so many keeps.
    """

    of: Field
    line: Line
    distances: list[float] = field(default_factory=list)
    losses: dict[int, float] = field(default_factory=dict)

    def seen(self, theta: Tensor) -> None:
        """Note a point; costs 1 F where its loss is kept."""
        step = len(self.distances)
        self.distances.append(abs(self.line.projection(theta)))
        if step % stride(step) == 0:
            self.losses[step] = self.of.value(theta)

    def ended(self, theta: Tensor) -> None:
        """Note the loss where the run ended."""
        last = len(self.distances) - 1
        if last not in self.losses:
            self.losses[last] = self.of.value(theta)


def stride(longest: int) -> int:
    """The steps between those kept of a run of so many: a power of two.

    >>> stride(200), stride(201), stride(1000)
    (1, 2, 8)
    """
    return 1 << max(0, math.ceil(math.log2(max(longest, 1) / (MOST - 1))))


@dataclass(frozen=True)
class Linear:
    """The quadratic model along the direction.

    ``added`` is what noise adds to the squared displacement as seen from the end; of a ``jump``
    it is there from the first step on, of noise at every step it builds up.
    """

    start: float
    growth: float
    added: float
    jump: bool

    def distance(self, steps: Int64[np.ndarray, " step"]) -> Float64[np.ndarray, " step"]:
        """Its typical distance after so many steps."""
        with np.errstate(over="ignore"):
            stretched = self.growth ** (2.0 * steps)
            built = np.where(steps > 0, stretched, 0.0) if self.jump else stretched - 1
            made: Float64[np.ndarray, " step"] = np.sqrt(
                self.start**2 * stretched + self.added * built
            )
        return made


def curve_variables(
    ways: Sequence[Way], linear: Linear
) -> tuple[dict[str, results.Variable], Int64[np.ndarray, " step"]]:
    """Variables over ``run`` and ``step``, and the steps kept."""
    longest = max(len(way.distances) for way in ways) - 1
    steps = np.arange(0, longest + 1, stride(longest), dtype=np.int64)
    if steps[-1] < longest:
        steps = np.append(steps, longest)
    kept = [np.minimum(steps, len(way.distances) - 1) for way in ways]
    base = ways[0].of.value(ways[0].line.origin)
    distance = np.array([np.array(w.distances)[k] for w, k in zip(ways, kept, strict=True)])
    rise = np.array(
        [[w.losses[int(k)] - base for k in own] for w, own in zip(ways, kept, strict=True)]
    )
    theory = linear.distance(steps)
    theory = np.where(theory <= FARTHEST * ways[0].line.radius, theory, np.nan)
    long = "loss above that at the point"
    return {
        "distance": (("run", "step"), distance, {"long_name": "distance along the direction"}),
        "rise": (("run", "step"), rise, {"long_name": long}),
        "theory": (("step",), theory, {"long_name": "distance of the quadratic model"}),
    }, steps
