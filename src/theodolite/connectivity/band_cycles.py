"""The cycles of an elastic band: relax, look at it densely, put in points, until it settles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from theodolite.connectivity.bending import mixed
from theodolite.connectivity.chains import (
    between_nodes,
    chain_weights,
    inserted,
    peaks,
    places_of,
    zoomed,
)
from theodolite.connectivity.ends import passed
from theodolite.connectivity.pivot_gradients import Way, chosen_way
from theodolite.connectivity.relaxing import Band, Relaxation, Relaxed, in_batches, relaxed
from theodolite.connectivity.segments import Advance
from theodolite.objective import Objective
from theodolite.objective.evaluation import Pass
from theodolite.seeds import child_seed

GAIN = 0.01
"""A cycle has lowered the maximum where its height above the higher end fell by this share."""

SAME = 1e-3
"""Of bands whose maxima differ by less than this share the later one, with more points, is kept."""

PROMINENT = 0.01
"""A point climbs where it is a peak by this share of the range of all losses."""

IDLE = 2
"""So many cycles without that end the search."""


@dataclass(frozen=True)
class Cycling:
    """How many cycles a band goes through, and how densely it is looked at after each."""

    cycles: int
    between: int
    excess: float
    climb: bool
    evaluation: str


@dataclass(eq=False)
class Dense:
    """A chain and the passes made at places of it, one objective each."""

    chain: Shaped[Tensor, "point params"]
    nodes: Float64[np.ndarray, " point"]
    known: dict[tuple[str, float], Pass] = field(default_factory=dict)

    def point(self, place: float) -> Tensor:
        """The point at a share of the length; exactly a point of the chain at its node."""
        return mixed(chain_weights(self.nodes, np.array([place]))[0], self.chain)

    def at(self, objective: Objective, place: float) -> Pass:
        """One pass at a place, made once."""
        key = objective.fingerprint, place
        if key not in self.known:
            self.known[key] = passed(objective, self.point(place), {})
        return self.known[key]

    def losses(
        self, objective: Objective, places: Float64[np.ndarray, " place"]
    ) -> Float64[np.ndarray, " place"]:
        """The losses at these places."""
        return np.array([self.at(objective, float(place)).loss() for place in places])


@dataclass(eq=False)
class History:
    """What the cycles did: after each its largest loss and number of pivots; by step the rest."""

    way: str
    tops: list[float] = field(default_factory=list)
    pivots: list[int] = field(default_factory=list)
    relaxations: list[Relaxed] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    gradients: int = 0
    passes: int = 0
    stopped: str = "cycles"


@dataclass(frozen=True, eq=False)
class Found:
    """The lowest band of all cycles, as it was looked at, and how it came about."""

    dense: Dense
    climbed: tuple[int, ...]
    history: History


def cycled(
    objective: Objective,
    measuring: Objective,
    chain: Tensor,
    how: Relaxation,
    cycling: Cycling,
    rates: Sequence[float],
) -> Found:
    """Relax a chain in cycles, by `objective`, and look at it by `measuring`.

    After each cycle a point is put into every piece whose loss rises far above its straight line.
    Ends when the largest loss of the dense looks has not fallen in two cycles, is that of an
    end, or the band runs away at the last rate.
    """
    pieces = len(chain) - 1
    band = Band(chain, np.full(pieces, 1 / pieces))
    way = in_batches(objective, partial(chosen_way, objective, chain[1:-1], cycling.evaluation))
    history = History(way.name, rates=[rates[0]])
    first = Dense(chain, places_of(chain))
    ends = tuple(first.losses(measuring, np.array([0.0, 1.0])).tolist())
    best, idle = first, 0
    for cycle in range(cycling.cycles):
        own = replace(
            how,
            seed=child_seed(how.seed, "cycle", cycle),
            progress=_in_cycle(how.progress, cycle),
        )
        step = _relaxed(objective, band, ends, own, way, rates, history)
        if step.stopped and not history.tops:
            best = Dense(step.chain, places_of(step.chain))
        if step.stopped:
            history.stopped = step.stopped
            break
        dense = Dense(step.chain, places_of(step.chain))
        places = between_nodes(dense.nodes, cycling.between)
        losses = dense.losses(measuring, places)
        history.passes += len(places) - 2
        top, lowest = float(losses.max()), min(history.tops, default=np.inf)
        history.tops.append(top)
        history.pivots.append(len(step.chain) - 2)
        height = max(lowest - max(ends), 0.0)
        idle = 0 if not history.tops[:-1] or lowest - top > GAIN * height else idle + 1
        if top <= lowest + SAME * height:
            best = dense
        if top <= max(ends) or idle >= IDLE:
            history.stopped = "no barrier" if top <= max(ends) else "settled"
            break
        longer, shares, _ = inserted(step.chain, band.shares, places, losses, cycling.excess)
        band = Band(longer, shares)
    if cycling.climb and history.stopped in ("settled", "cycles"):
        return _climbed(objective, measuring, best, ends, (how, cycling, way), history)
    return Found(best, (), history)


def _in_cycle(progress: Advance | None, cycle: int) -> Advance | None:
    """Says in which cycle a step is."""
    if progress is None:
        return None
    return lambda what, done, most: progress(f"cycle {cycle + 1}, {what}", done, most)


def _climbed(
    objective: Objective,
    measuring: Objective,
    best: Dense,
    ends: tuple[float, float],
    settings: tuple[Relaxation, Cycling, Way],
    history: History,
) -> Found:
    """The band with its peaks on saddles: points close around each, of which the middle climbs."""
    how, cycling, way = settings
    places = between_nodes(best.nodes, cycling.between)
    losses = best.losses(measuring, places)
    tops = [places[k] for k in peaks(losses, PROMINENT * float(np.ptp(losses)))]
    near = 1 / (2 * (cycling.between + 1) * (len(best.nodes) - 1))
    nodes, climbers = zoomed(best.nodes, tops, near)
    chain = torch.stack([best.point(float(place)) for place in nodes])
    band = Band(chain, np.diff(nodes))
    made = _relaxed(objective, band, ends, how, way, [history.rates[-1]], history, tuple(climbers))
    if made.stopped:
        history.stopped = made.stopped
        return Found(best, (), history)
    dense = Dense(made.chain, places_of(made.chain))
    found = dense.losses(measuring, between_nodes(dense.nodes, cycling.between))
    history.passes += len(found) - 2
    history.tops.append(float(found.max()))
    history.pivots.append(len(nodes) - 2)
    return Found(dense, tuple(climbers), history)


def _relaxed(
    objective: Objective,
    band: Band,
    ends: tuple[float, float],
    how: Relaxation,
    way: Way,
    rates: Sequence[float],
    history: History,
    climbers: tuple[int, ...] = (),
) -> Relaxed:
    """A cycle at the rate that holds now, or at the next ones where the band runs away."""
    left = list(rates[rates.index(history.rates[-1]) :])
    batches = objective.data.whole if how.descent == "fire" else 1
    while True:
        made = relaxed(objective, band, ends, replace(how, learning_rate=left[0]), way, climbers)
        history.relaxations.append(made)
        history.gradients += (len(band.chain) - 2) * len(made.tops) * batches
        if not made.stopped or len(left) == 1:
            return made
        left.pop(0)
        history.rates.append(left[0])
