"""The points of a grid measured so far, and those that must be because the loss diverges there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import binary_dilation
from scipy.spatial import cKDTree
from torch import Tensor

from theodolite.objective import Objective
from theodolite.results import DIVERGED, OK, TODO
from theodolite.surfaces.evaluators import Evaluator
from theodolite.surfaces.fitting import unit_square
from theodolite.surfaces.sweep import scattered_walk, summary_names, swept

AROUND = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True, eq=False)
class Sheet:
    """A grid over a plane of one objective; ``values`` are NaN and ``status`` 0 until measured."""

    objective: Objective
    base: Tensor
    directions: Tensor
    alphas: Float[np.ndarray, " alpha"]
    betas: Float[np.ndarray, " beta"]
    points: Float[np.ndarray, "point 2"]
    values: dict[str, Float[np.ndarray, " point"]]
    ticked: Callable[[], None]
    evaluator: Evaluator | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.alphas), len(self.betas)

    @property
    def status(self) -> Float[np.ndarray, " point"]:
        return self.values["status"]

    @property
    def taken(self) -> Bool[np.ndarray, " point"]:
        """Which points are measured."""
        return np.asarray(self.status != TODO)

    @property
    def usable(self) -> list[int]:
        """The points measured whose loss is finite."""
        return np.flatnonzero(self.status == OK).tolist()


def blank(
    objective: Objective,
    base: Tensor,
    directions: Tensor,
    alphas: Float[np.ndarray, " alpha"],
    betas: Float[np.ndarray, " beta"],
    *,
    ticked: Callable[[], None],
    evaluator: Evaluator | None = None,
) -> Sheet:
    """A sheet with nothing on it."""
    size = len(alphas) * len(betas)
    names = summary_names(objective.start_pass.hits is not None)
    values = {n: np.full(size, TODO if n == "status" else np.nan, np.float64) for n in names}
    points = unit_square(alphas, betas)
    return Sheet(objective, base, directions, alphas, betas, points, values, ticked, evaluator)


def measure(sheet: Sheet, wanted: Iterable[int]) -> list[int]:
    """Measure those of the points that are not; returns them, in the grid's order."""
    new = sorted({int(k) for k in wanted if sheet.status[int(k)] == TODO})
    columns = len(sheet.betas)
    places = [(float(sheet.alphas[k // columns]), float(sheet.betas[k % columns])) for k in new]
    walk = scattered_walk(sheet.base, sheet.directions, places)
    if new:
        found = swept(sheet.objective, sheet.base, walk, sheet.ticked, sheet.evaluator)
        for name, values in found.items():
            sheet.values[name][new] = values
    return new


def survey_divergence(sheet: Sheet) -> None:
    """Measure every point that is closer to a diverged one than to another, and all around them.

    Where the loss is not finite nothing can be fitted: the region is measured point by point,
    until a ring of finite losses closes it.
    """
    while (sheet.status == DIVERGED).any():
        bad = sheet.status == DIVERGED
        known = np.flatnonzero(sheet.taken)
        nearest = known[cKDTree(sheet.points[known]).query(sheet.points)[1]]
        beside = binary_dilation(bad.reshape(sheet.shape), AROUND).reshape(-1)
        wanted = (bad[nearest] | beside) & ~sheet.taken
        if not wanted.any():
            return
        measure(sheet, np.flatnonzero(wanted).tolist())
