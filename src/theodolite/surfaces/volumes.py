"""The loss over a grid of any number of axes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float64, Shaped
from torch import Tensor

from theodolite.directions.recognize import recognized
from theodolite.errors import InvalidArgument
from theodolite.objective import Objective
from theodolite.surfaces import agreement, labels
from theodolite.surfaces.coordinates import coordinates
from theodolite.surfaces.rows import Progress, Values, both
from theodolite.surfaces.sweep import Walk, step

MOST_POINTS = 250_000
"""Points beyond which a volume is taken for a mistake, unless asked for."""
DEPENDENT = 1e-10
"""Directions whose matrix of cosines has a smaller eigenvalue than this span less."""


def volume(
    objective: Objective,
    directions: Shaped[Tensor, ...],
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    span: Any = (-1, 1),
    steps: Any = 11,
    test: Objective | None = None,
    normalize: str | None = None,
    seed: int | None = None,
    most_points: int = MOST_POINTS,
    progress: Progress | None = None,
) -> xr.Dataset:
    r"""The loss over a grid along several directions at once.

    .. math:: (\alpha_1, \dots, \alpha_N) \mapsto L(\theta + \alpha_1 d_1 + \dots + \alpha_N d_N)

    Parameters
    ----------
    directions
        Shape ``(N, params)``, N at least 1, for example ``random_directions(objective, count=3)``.
    theta
        The point where all coordinates are zero; by default ``objective.start``.
    span, steps
        ``(first, last)`` and a count for every axis, or one of each for every axis.
    test
        A second objective of the same model, measured at the same points under its own settings.
    normalize, seed
        How the directions were made, recorded in the result.
    most_points
        Refuse larger grids. The points are the product of the counts.
    progress
        Called as ``progress(done, total)`` after every pass.

    Returns
    -------
    xarray.Dataset
        ``loss``, ``loss_error``, for class labels ``accuracy`` and ``accuracy_error``, the same
        with ``test_``, and ``status``, over the dimensions ``axis_1`` to ``axis_N``. Attributes
        hold the norms of the directions and their cosines, pair by pair (1 2, 1 3, 2 3, ...).

    Raises
    ------
    InvalidArgument
        For spans or steps that make no grid (E-G01), directions of another shape (E-G03, E-Q11)
        or zero (E-G05) or that depend on each other (E-Q12), more points than `most_points`
        (E-Q13), or a test objective of another model (E-G07).
    NotFinite
        For NaN or infinity in theta or the directions (E-G06).

    Notes
    -----
    Costs one pass over the data a point (and one over the test data). Holds ``2 N + 2`` vectors
    of the network's size. With two axes every number has the bits of the dense plane; where all
    coordinates are zero it is ``objective.value(theta)``. Not checked: that the axes are
    orthogonal, nor that anything seen here is seen along other directions.

    References
    ----------
    Chen et al. (2026), arXiv:2602.07135.

    Examples
    --------
    >>> model = torch.nn.Linear(3, 1, bias=False)
    >>> objective = Objective(model, torch.nn.MSELoss(), (torch.eye(3), torch.zeros(3, 1)))
    >>> cube = volume(objective, torch.eye(3), theta=torch.zeros(3), steps=3)
    >>> cube.loss.shape, float(cube.loss[0, 1, 2]) * 3
    ((3, 3, 3), 2.0)
    """
    axes = axes_of(span, steps, checked(objective, directions).shape[0], most_points)
    values = volume_rows(
        objective,
        directions,
        theta=theta,
        axes=axes,
        rows=range(len(axes[0])),
        test=test,
        progress=progress,
    )
    facts = volume_facts(
        objective, directions, theta=theta, axes=axes, test=test, normalize=normalize, seed=seed
    )
    return volume_dataset(values, axes, facts)


def volume_rows(
    objective: Objective,
    directions: Shaped[Tensor, ...],
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    axes: Sequence[Float64[np.ndarray, " _point"]],
    rows: Sequence[int],
    test: Objective | None = None,
    progress: Progress | None = None,
) -> Values:
    """The slices of a volume at the given places of its first axis: arrays ``(row, ...)``.

    Slices computed apart give the same bits as the whole. Costs one pass a point.
    """
    base = agreement.checked_theta(objective, theta)
    along = checked(objective, directions)
    chosen = [axes[0][row] for row in rows]
    places = [[float(v) for v in chosen], *([float(v) for v in axis] for axis in axes[1:])]
    shape = tuple(len(p) for p in places)

    def walk(point: Tensor) -> Walk:
        return grid_walk(point, along.to(point), places)

    found = both(objective, test, base, walk, math.prod(shape), progress, moved=theta is not None)
    return {name: values.reshape(shape) for name, values in found.items()}


def grid_walk(base: Tensor, directions: Tensor, places: Sequence[Sequence[float]]) -> Walk:
    """The points ``((base + a d_1) + b d_2) + ...``, the last axis fastest, each from `base`."""
    last = len(places) - 1

    def walk(point: Tensor) -> Iterator[tuple[float, ...]]:
        partial = [base, *(torch.empty_like(point) for _ in range(last)), point]

        def below(k: int, before: tuple[float, ...]) -> Iterator[tuple[float, ...]]:
            for distance in places[k]:
                step(partial[k], directions[k], distance, out=partial[k + 1])
                if k == last:
                    yield (*before, distance)
                else:
                    yield from below(k + 1, (*before, distance))

        yield from below(0, ())

    return walk


def axes_of(
    span: Any, steps: Any, count: int, most_points: int = MOST_POINTS
) -> tuple[Float64[np.ndarray, " _point"], ...]:
    """The coordinates of every axis; refuses grids that nobody can mean."""
    spans = list(span) if np.ndim(span) == 2 else [span] * count
    counts = list(steps) if np.ndim(steps) == 1 else [steps] * count
    for name, value in (("span", spans), ("steps", counts)):
        if len(value) != count:
            raise InvalidArgument(
                f"{name} must have one part for each of {count} axes, or one for all; "
                f"got {len(value)}.",
                code="E-G01",
            )
    axes = tuple(coordinates(spans[k], counts[k], f"[{k}]") for k in range(count))
    points = math.prod(len(axis) for axis in axes)
    if points > most_points:
        sizes = " x ".join(str(len(axis)) for axis in axes)
        raise InvalidArgument(
            f"a grid of {sizes} is {points:,} points; at most {most_points:,} are allowed.",
            why=f"every point is a pass over the data: at a millisecond each "
            f"{points / 3.6e6:,.1f} hours.",
            fix="use fewer steps or axes, or pass a larger most_points.",
            code="E-Q13",
        )
    return axes


def checked(objective: Objective, directions: Any) -> Tensor:
    """Directions of shape ``(N, params)``, finite, not zero and independent."""
    if not isinstance(directions, Tensor) or directions.ndim != 2 or not len(directions):
        got = tuple(directions.shape) if isinstance(directions, Tensor) else type(directions)
        raise InvalidArgument(
            f"directions must be a tensor of shape (axes, {objective.space.size}); got {got}.",
            fix="use random_directions(objective, count=3) to make some.",
            code="E-Q11",
        )
    rows = [agreement.checked_direction(objective, d) for d in directions]
    units = torch.stack([r.double() / agreement.length(r) for r in rows])
    if float(torch.linalg.eigvalsh(units @ units.T)[0]) < DEPENDENT:
        raise InvalidArgument(
            f"the {len(rows)} directions depend on each other: they span fewer axes.",
            fix="pass directions none of which is a combination of the others.",
            code="E-Q12",
        )
    return directions.detach()


def volume_facts(
    objective: Objective,
    directions: Shaped[Tensor, ...],
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    axes: Sequence[Float64[np.ndarray, " _point"]],
    test: Objective | None = None,
    normalize: str | None = None,
    seed: int | None = None,
) -> dict[str, Any]:
    """What a volume records besides its numbers; one pass unless `theta` is the start."""
    rows = checked(objective, directions)
    if normalize is None:
        point = agreement.checked_theta(objective, theta)
        normalize = recognized(rows, point, objective.space)
    ends = [(float(axis[0]), float(axis[-1])) for axis in axes]
    told = labels.line_facts(
        objective,
        rows[0],
        theta=theta,
        span=ends[0],
        steps=len(axes[0]),
        test=test,
        normalize=normalize,
        seed=seed,
    )
    pairs = [(j, k) for k in range(len(rows)) for j in range(k)]
    cosines = [agreement.axis_cosine(torch.stack([rows[j], rows[k]])) for j, k in pairs]
    return {
        **{k: v for k, v in told.items() if k not in ("line", "direction_norm_alpha")},
        "axes": len(rows),
        "direction_norms": [agreement.length(r) for r in rows],
        "axis_cosines": cosines,
        "span": [v for pair in ends for v in pair],
        "steps": [len(axis) for axis in axes],
    }


def volume_dataset(
    values: Values, axes: Sequence[Float64[np.ndarray, " _point"]], facts: dict[str, Any]
) -> xr.Dataset:
    """The values of `volume_rows` as a result of dimensions ``axis_1`` to ``axis_N``."""
    return labels.labeled("volume", values, {f"axis_{k + 1}": a for k, a in enumerate(axes)}, facts)
