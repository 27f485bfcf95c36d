"""The whole grid over a small fixed subset of the examples: cheap, and it sees what is sharp."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.interpolate import RectBivariateSpline
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from theodolite.objective import Objective
from theodolite.objective.arrangement import subset
from theodolite.seeds import numpy_generator
from theodolite.surfaces.overhead import share_of_a_pass
from theodolite.surfaces.sweep import plane_walk, swept

FEWEST_EXAMPLES, MOST_EXAMPLES, LARGEST_SHARE = 8, 48, 1 / 16
"""A scout holds so many examples, or this share of them where there are few."""

FEWEST_LINES = 13
"""A scout leaves out lines of an axis, evenly, but does not visit fewer than this."""

MOST_PASSES = 48.0
"""What a scout may cost, in passes over all examples: it should save more than that."""


@dataclass(frozen=True, eq=False)
class Scout:
    """Loss and accuracy over the grid as the subset has them; NaN where its loss diverged."""

    loss: Float[np.ndarray, "alpha beta"]
    accuracy: Float[np.ndarray, "alpha beta"] | None
    examples: int
    points: int
    passes: float


def scouted(
    objective: Objective,
    base: Tensor,
    directions: Tensor,
    alphas: Float[np.ndarray, " alpha"],
    betas: Float[np.ndarray, " beta"],
    *,
    seed: int,
    ticked: Callable[[float], None],
) -> Scout | None:
    """A scout of the plane; None where a subset would cost more than `MOST_PASSES`.

    `ticked` is told the share of a pass after every point.
    """
    examples = examples_of(objective)
    if not examples:
        return None
    chosen = numpy_generator(seed, "scout").permutation(objective.examples)[:examples]
    fewer = subset(objective, chosen.tolist())
    share = share_of_a_pass(objective, fewer, base)
    lines = affordable(len(alphas), len(betas), share)
    if lines is None:
        return None
    rows, columns = lines
    at = [[float(v[k]) for k in places] for v, places in ((alphas, rows), (betas, columns))]
    found = swept(fewer, base, plane_walk(base, directions, *at), lambda: ticked(share))
    grids = {
        name: _spread_out(np.reshape(values, (len(rows), len(columns))), rows, columns, shape)
        for shape in [(len(alphas), len(betas))]
        for name, values in found.items()
        if name in ("loss", "accuracy")
    }
    points = len(rows) * len(columns)
    return Scout(grids["loss"], grids.get("accuracy"), examples, points, points * share)


def examples_of(objective: Objective) -> int:
    """How many examples a scout holds; zero where it would not pay."""
    if objective.ranks is not None:  # each process sees its own examples only
        return 0
    examples = min(MOST_EXAMPLES, math.floor(LARGEST_SHARE * objective.examples))
    return examples if examples >= FEWEST_EXAMPLES else 0


def expected_passes(
    objective: Objective,
    alphas: Float[np.ndarray, " alpha"],
    betas: Float[np.ndarray, " beta"],
) -> float:
    """What a scout of the plane costs, in passes over all examples, if few examples cost as much
    less as they are fewer."""
    examples = examples_of(objective)
    share = examples / objective.examples
    lines = affordable(len(alphas), len(betas), share) if examples else None
    return 0.0 if lines is None else len(lines[0]) * len(lines[1]) * share


def affordable(rows: int, columns: int, share: float) -> tuple[list[int], list[int]] | None:
    """The lines a scout visits, as close together as it may cost; None where it costs too much."""
    for stride in range(1, max(rows, columns)):
        lines = visited(rows, stride), visited(columns, stride)
        if len(lines[0]) * len(lines[1]) * share <= MOST_PASSES:
            return lines
    return None


def visited(count: int, stride: int) -> list[int]:
    """Every `stride`-th place of an axis and its last one, or closer, to have `FEWEST_LINES`."""
    widest = max(1, (count - 1) // (FEWEST_LINES - 1))
    return sorted({*range(0, count, min(stride, widest)), count - 1})


def _spread_out(
    values: Float[np.ndarray, "row column"],
    rows: list[int],
    columns: list[int],
    shape: tuple[int, int],
) -> Float[np.ndarray, "alpha beta"]:
    """Values between those measured, by a bicubic spline of their logarithms where positive."""
    if values.shape == shape or min(values.shape) < 4:
        full = np.full(shape, np.nan)
        full[np.ix_(rows, columns)] = values
        return full if values.shape == shape else _nearest(full)
    finite = np.isfinite(values)
    log = bool((values[finite] > 0).all()) and bool(finite.any())
    heights = np.log(values) if log else values
    heights = np.where(finite, heights, heights[finite].max() if finite.any() else 0.0)
    made = RectBivariateSpline(rows, columns, heights)(range(shape[0]), range(shape[1]))
    made = np.exp(np.minimum(made, 700.0)) if log else made
    beside = _beside(finite, rows, columns, shape)
    return np.where(beside, made, np.nan)


def _beside(
    finite: np.ndarray, rows: list[int], columns: list[int], shape: tuple[int, int]
) -> np.ndarray:
    """Where every measured neighbor is finite."""
    up, left = (np.searchsorted(v, range(n)) for v, n in ((rows, shape[0]), (columns, shape[1])))
    down, right = (
        np.searchsorted(v, range(n), side="right") - 1
        for v, n in ((rows, shape[0]), (columns, shape[1]))
    )
    corners = [finite[np.ix_(a, b)] for a in (up, down) for b in (left, right)]
    return np.asarray(np.logical_and.reduce(corners))


def _nearest(values: np.ndarray) -> np.ndarray:
    places = distance_transform_edt(
        ~np.isfinite(values), return_distances=False, return_indices=True
    )
    return np.asarray(values[tuple(places)])
