"""The plane through three points, or the one that fits more of them best."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from theodolite.directions.checkpoints import points_of, together
from theodolite.directions.shadows import projection
from theodolite.errors import InvalidArgument
from theodolite.objective import Objective

PIECE = 1 << 20
"""Coordinates taken at once, so that float64 copies stay small."""

FLAT = 1e-10
"""A plane has two dimensions where the second spread, squared, is more than this of the first."""


@dataclass(frozen=True, eq=False)
class PlaneThrough:
    """A plane and where points lie on it: ``theta + coordinates @ directions``.

    ``residuals`` are the distances of the points from the plane, in units of parameters;
    ``explained`` is the share of the squared distances from `theta` that lies in the plane.
    """

    theta: Shaped[Tensor, " params"]
    directions: Shaped[Tensor, "2 params"]
    coordinates: Float64[np.ndarray, "point 2"]
    residuals: Float64[np.ndarray, " point"]
    explained: float


def plane_through(
    objective: Objective,
    points: Iterable[Any],
    *,
    orthonormal: bool = False,
) -> PlaneThrough:
    r"""The plane through three points, or the one nearest to more than three.

    .. math:: u = w_2 - w_1, \qquad v = (w_3 - w_1)
        - \frac{\langle w_3 - w_1, u\rangle}{\langle u, u\rangle}\,u

    Parameters
    ----------
    points
        Three or more flat tensors or state dicts.
    orthonormal
        For three points: ``False`` leaves the axes :math:`w_2 - w_1` and :math:`w_3 - w_1` as
        they are, so that the points lie at (0, 0), (1, 0) and (0, 1). ``True`` takes
        :math:`u/\lVert u\rVert` and :math:`v/\lVert v\rVert`, so that distances and angles on the
        picture are those in the space of parameters. More points always have orthonormal axes:
        through their mean, along their two principal axes.

    Returns
    -------
    PlaneThrough
        ``theta`` (the first point, or the mean), ``directions`` of shape ``(2, params)``,
        ``coordinates`` of shape ``(point, 2)``, ``residuals`` and ``explained``. The lengths of
        the axes are in the coordinates: with ``orthonormal``, :math:`(\lVert u\rVert, 0)` and
        :math:`(\langle w_3 - w_1, u\rangle/\lVert u\rVert, \lVert v\rVert)`.

    Raises
    ------
    InvalidArgument
        For fewer than three points (E-V01) or points on a line (E-V09).
    InvalidType, NotFinite
        As `between`.

    Notes
    -----
    Costs no pass; holds all points, twice as they are and once in float64. Inner products are
    taken in float64; residuals of three points are rounding,
    and measured all the same. A principal axis has the sign that gives its farthest point a
    positive coordinate. As for `between`, buffers and frozen parameters stay the objective's own.

    References
    ----------
    Garipov, Izmailov, Podoprikhin, Vetrov, Wilson (2018), arXiv:1802.10026 (three points).

    Examples
    --------
    >>> data = torch.zeros(2, 2), torch.zeros(2, 1)
    >>> objective = Objective(torch.nn.Linear(2, 1, bias=False), torch.nn.MSELoss(), data)
    >>> corners = torch.tensor([[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]])
    >>> plane_through(objective, corners, orthonormal=True).coordinates.tolist()
    [[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]]
    """
    held = together(points_of(objective, points, "points"))
    if len(held) < 3:
        raise InvalidArgument(
            f"points must be three or more; got {len(held)}.",
            why="a plane is known by three points.",
            fix="use between(objective, [point]) for a line.",
            code="E-V01",
        )
    stacked = torch.stack(held)
    theta = held[0] if len(held) == 3 else stacked.double().mean(0).to(held[0])
    offsets = stacked - theta
    gram = products(offsets, offsets)
    if len(held) == 3:
        directions, coordinates = _through_three(offsets[1:], gram[1:, 1:], orthonormal)
    else:
        directions, coordinates = _best_fit(offsets, gram)
    found = projection(directions, stacked, theta)
    explained = 1.0 - float((found.residual**2).sum() / (found.distance**2).sum())
    return PlaneThrough(theta, directions, coordinates, found.residual, explained)


def products(
    a: Shaped[Tensor, "a params"], b: Shaped[Tensor, "b params"]
) -> Float64[np.ndarray, "a b"]:
    """Inner products of the rows of two matrices, in float64."""
    pieces = zip(a.split(PIECE, 1), b.split(PIECE, 1), strict=True)
    total = sum(
        (x.cpu().double() @ y.cpu().double().T for x, y in pieces), torch.zeros(()).double()
    )
    made: np.ndarray[Any, np.dtype[np.float64]] = total.numpy()
    return made


def _through_three(
    axes: Tensor, gram: Float64[np.ndarray, "2 2"], orthonormal: bool
) -> tuple[Tensor, Float64[np.ndarray, "3 2"]]:
    """Axes and coordinates of the origin and two points, as they are or orthonormal."""
    squared = gram[0, 0] * gram[1, 1]
    if squared == 0 or 1 - gram[0, 1] ** 2 / squared < FLAT:
        _refuse_line()
    if not orthonormal:
        return axes, np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    first = float(np.sqrt(gram[0, 0]))
    along = gram[0, 1] / first
    u = axes[0].double() / first
    v = axes[1].double()
    for _ in range(2):
        v = v - (v @ u) * u
    second = float(v.norm())
    made = torch.stack([u, v / second]).to(axes)
    return made, np.array([[0.0, 0.0], [first, 0.0], [along, second]])


def _best_fit(
    offsets: Tensor, gram: Float64[np.ndarray, "point point"]
) -> tuple[Tensor, Float64[np.ndarray, "point 2"]]:
    """The two principal axes of points about their mean, by the products of the points."""
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[:-3:-1], vectors[:, :-3:-1]
    if values[0] <= 0 or values[1] < FLAT * values[0]:
        _refuse_line()
    spread = np.sqrt(values)
    coordinates = vectors * spread
    farthest = np.abs(coordinates).argmax(0)
    coordinates *= np.sign(coordinates[farthest, [0, 1]])
    weights = torch.from_numpy((coordinates / values).T.copy())
    return (weights.to(offsets.device) @ offsets.double()).to(offsets), coordinates


def _refuse_line() -> NoReturn:
    raise InvalidArgument(
        "the points lie on a line, or are one point: they span no plane.",
        fix="pass points of which no three lie on a line, or use between() and line().",
        code="E-V09",
    )
