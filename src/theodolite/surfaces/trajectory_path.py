"""The path of a training through the space of parameters, seen on a plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Shaped
from torch import Tensor

from theodolite.directions import Principal, Projection, principal_directions, projection
from theodolite.directions.points import chunks
from theodolite.errors import InvalidArgument
from theodolite.objective import Objective
from theodolite.surfaces.trajectory_null import RandomWalks, random_walks
from theodolite.surfaces.trajectory_points import Checkpoints
from theodolite.surfaces.trajectory_runs import Run

APART = 1e-3
"""Runs begin at one point if their first checkpoints differ by less than this share of a path."""


@dataclass(frozen=True, eq=False)
class Path:
    """The checkpoints of all runs, run after run, and their shadows on the span of the axes."""

    runs: tuple[Run, ...]
    points: Checkpoints
    directions: Tensor
    origin: Tensor
    axes: str
    principal: Principal
    shadow: Projection
    distance_from_start: Float64[np.ndarray, " time"]
    step_length: Float64[np.ndarray, " time"]
    null: RandomWalks | None
    same_steps: RandomWalks | None
    null_reason: str

    @property
    def axis_count(self) -> int:
        return len(self.directions)

    def plane_share(self) -> float:
        """The share of the squared distances from the origin that lies within the axes' span."""
        whole = float((self.shadow.distance**2).sum())
        return 1 - float((self.shadow.residual**2).sum()) / whole


def path_of(
    objective: Objective,
    runs: Sequence[Run],
    *,
    directions: Any = "principal",
    center: str | None = None,
    null_walks: int = 200,
    seed: int = 0,
) -> Path:
    """Axes, shadows and null of the runs; costs no forward pass, and five readings."""
    sources = tuple(source for run in runs for source in run.sources)
    labels = tuple(label for run in runs for label in run.labels())
    points = Checkpoints(objective.space, sources, labels)
    if center is None:
        center = "last" if len(runs) == 1 else "mean"
    count = 2 if isinstance(directions, str) else len(_checked(objective, directions))
    if isinstance(directions, str) and directions != "principal":
        raise InvalidArgument(
            f'directions must be "principal" or a tensor of shape (axis, params); '
            f"got {directions!r}.",
            code="E-J13",
        )
    principal = principal_directions(
        objective, points, count=count if isinstance(directions, str) else 1, center=center
    )
    chosen = principal.directions if isinstance(directions, str) else directions.detach().cpu()
    chosen = chosen.to(objective.space.dtype)  # before coordinates are found: those they will have
    axes = "principal" if isinstance(directions, str) else "given"
    shadow = projection(chosen, points, principal.origin)
    far, moved, apart = _distances(runs, points)
    reason = _no_null(apart, float(far.max()), null_walks)
    null, same = (
        (None, None) if reason else _nulls(objective, runs, moved, center, null_walks, seed)
    )
    return Path(
        runs=tuple(runs),
        points=points,
        directions=chosen,
        origin=principal.origin.to(objective.space.dtype),
        axes=axes,
        principal=principal,
        shadow=shadow,
        distance_from_start=far,
        step_length=moved,
        null=null,
        same_steps=same,
        null_reason=reason,
    )


def _checked(objective: Objective, directions: Any) -> Shaped[Tensor, "axis params"]:
    size = objective.space.size
    good = isinstance(directions, Tensor) and directions.dim() == 2 and len(directions) >= 1
    if not good or directions.shape[1] != size or not directions.is_floating_point():
        shape = tuple(directions.shape) if isinstance(directions, Tensor) else type(directions)
        raise InvalidArgument(
            f'directions must be "principal" or floats of shape (axis, {size}); got {shape}.',
            fix="use random_directions(objective) to make some.",
            code="E-J13",
        )
    return directions  # type: ignore[no-any-return]


def _distances(
    runs: Sequence[Run], points: Checkpoints
) -> tuple[Float64[np.ndarray, " time"], Float64[np.ndarray, " time"], Float64[np.ndarray, " run"]]:
    """From the first checkpoint of the run, from the one before, and between the first of runs.

    The first checkpoint of a run has none before it: zero.
    """
    counts = [len(run.sources) for run in runs]
    firsts = np.cumsum([0, *counts[:-1]])
    own = np.repeat(firsts, counts)
    before = np.maximum(np.arange(len(points)) - 1, own)
    every = np.arange(len(points))
    pairs = ((every, own), (every, before), (firsts, np.zeros_like(firsts)))
    sums = [np.zeros(len(first)) for first, _ in pairs]
    for _, _, values in chunks(points):
        for total, (first, second) in zip(sums, pairs, strict=True):
            for k, (a, b) in enumerate(zip(first, second, strict=True)):
                total[k] += float((values[a] - values[b]).square().sum())
    far, moved, apart = map(np.sqrt, sums)
    return far, moved, apart


def _no_null(apart: Float64[np.ndarray, " run"], longest: float, walks: int) -> str:
    """Why there is no random walk to compare with; empty where there is one."""
    if walks == 0:
        return "no random walks were asked for"
    if float(apart.max()) > APART * longest:
        return "the runs begin at different points, which no random walk explains"
    return ""


def _nulls(
    objective: Objective,
    runs: Sequence[Run],
    moved: Float64[np.ndarray, " time"],
    center: str,
    walks: int,
    seed: int,
) -> tuple[RandomWalks, RandomWalks]:
    """Random walks with the runs' times, and those with the lengths of the runs' own steps."""
    size, pruned = objective.space.size, objective.space.pruned
    moving = size if pruned is None else size - int(pruned.sum())
    firsts = np.cumsum([len(run.sources) for run in runs])[:-1]
    squares = [np.cumsum(part**2) for part in np.split(moved, firsts)]
    plain, same = (
        random_walks(times, params=moving, center=center, walks=walks, seed=seed)
        for times in ([run.times for run in runs], squares)
    )
    return plain, same
