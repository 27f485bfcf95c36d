"""The axes along which a set of points is spread most: principal directions of a training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from theodolite.directions.points import chunks, dtype_of, listed, size_of
from theodolite.errors import InvalidArgument, InvalidType, NotFinite
from theodolite.objective import Objective
from theodolite.parameters import ParameterSpace

CENTERS = ("last", "mean")
"""What distances are counted from: the last point (Li et al.) or the mean of all (PCA)."""

FLAT = 1e-12
"""An axis with a smaller share of the squared distances is rounding."""


@dataclass(frozen=True, eq=False)
class Principal:
    """Orthonormal axes through ``origin``, and where the points lie along them.

    ``explained_variance`` holds the share of every component, the largest first, relative to
    ``origin``: it is one of ``explained_variance_centered`` (distances from the mean of all
    points: what PCA reports) and ``explained_variance_from_last`` (distances from the last point:
    the definition of Li et al.). The two differ, on a random walk by 14 percentage points.
    """

    directions: Float[Tensor, "axis params"]
    origin: Float[Tensor, " params"]
    center: str
    coordinates: Float64[np.ndarray, "time axis"]
    explained_variance_centered: Float64[np.ndarray, " component"]
    explained_variance_from_last: Float64[np.ndarray, " component"]

    @property
    def explained_variance(self) -> Float64[np.ndarray, " component"]:
        last = self.center == "last"
        return self.explained_variance_from_last if last else self.explained_variance_centered


def principal_directions(
    space: Objective | ParameterSpace,
    thetas: Any,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    count: int = 2,
    center: str = "last",
) -> Principal:
    r"""The directions in which the points of a training lie farthest apart.

    .. math:: M_{t} = \theta_t - \theta_c, \qquad M M^\top = U \Lambda U^\top, \qquad
        d_k = \lambda_k^{-1/2} M^\top u_k, \qquad s_k = \lambda_k / \textstyle\sum_j \lambda_j

    Parameters
    ----------
    space
        The objective, or the space, that the points belong to.
    thetas
        Flat tensors, one a checkpoint, in the order of training: a list, a matrix, a sequence
        that loads each when asked, or `Points`, which are read by ranges of coordinates.
    theta
        The point taken as the last one; by default the last of `thetas`.
    count
        How many axes.
    center
        ``"last"``: distances count from the last point, and the axes go through it.
        ``"mean"``: from the mean of all points, as in principal component analysis.

    Returns
    -------
    Principal
        Orthonormal ``directions`` (axis, params) in the precision of the points, ``origin``,
        ``coordinates`` (time, axis) and the shares of all components by both definitions. The
        farthest point has a positive coordinate on every axis.

    Raises
    ------
    InvalidArgument
        For points or a `theta` of another length, or fewer than two points (E-J01), another
        `center` or a `count` below 1 (E-J03), or points that span fewer dimensions than `count`
        (E-J04).
    NotFinite
        For a point or a `theta` with NaN or infinity (E-J02).

    Notes
    -----
    Costs no forward pass. Reads every coordinate of every point twice, a part of the coordinates
    of all points at a time, so that one and a half gigabytes and twice `count` + 2 vectors in
    float64 are held however many points there are; sums are in float64. Not checked: that few axes
    mean anything. A random walk has much of its variance in two axes as well; `trajectory` says
    how much.

    References
    ----------
    Li, Xu, Taylor, Studer, Goldstein (2018), arXiv:1712.09913, section 7.2, whose code centers
    at the mean while the text counts from the last point. Lorch (2016), Visualizing deep network
    training trajectories with PCA.

    Examples
    --------
    >>> space = ParameterSpace.from_model(torch.nn.Linear(2, 1, bias=False))
    >>> path = torch.tensor([[3.0, 4.0], [1.5, 2.0], [0.0, 0.0]])
    >>> made = principal_directions(space, path, count=1)
    >>> made.directions.tolist(), made.coordinates.ravel().round(6).tolist()
    ([[0.6000000238418579, 0.800000011920929]], [5.0, 2.5, 0.0])
    """
    points = listed(thetas)
    _check(space, points, count, center)
    last = None if theta is None else _end(theta, size_of(points))
    gram = _gram(points, last)
    middle = np.eye(len(gram)) - 1 / len(gram)
    components = len(gram) - (1 if theta is None else 0)
    shares = {
        "last": _shares(gram, components),
        "mean": _shares(middle @ gram @ middle, components),
    }
    weights, roots = _combinations(gram if center == "last" else middle @ gram @ middle, count)
    if center == "mean":
        weights = middle @ weights
    directions, origin = _axes(points, weights / roots, last, center)
    return Principal(
        directions=directions.to(dtype_of(points)),
        origin=origin.to(dtype_of(points)),
        center=center,
        coordinates=_coordinates(gram, weights / roots, center),
        explained_variance_centered=shares["mean"],
        explained_variance_from_last=shares["last"],
    )


def _check(space: Any, points: Any, count: Any, center: Any) -> None:
    expected = (space.space if isinstance(space, Objective) else space).size
    if size_of(points) != expected:
        raise InvalidArgument(
            f"points must have {expected} coordinates; got {size_of(points)}.",
            fix="use objective.space.flatten(state_dict) to make them.",
            code="E-J01",
        )
    if len(points) < 2:
        raise InvalidArgument("two points are the least that span an axis; got 1.", code="E-J01")
    if center not in CENTERS:
        raise InvalidArgument(f'center must be "last" or "mean"; got {center!r}.', code="E-J03")
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise InvalidArgument(f"count must be at least 1; got {count!r}.", code="E-J03")


def _end(theta: Any, size: int) -> Tensor:
    """The point given as the last one, in float64."""
    if not isinstance(theta, Tensor) or not theta.is_floating_point():
        kind = theta.dtype if isinstance(theta, Tensor) else type(theta).__name__
        raise InvalidType(
            f"theta must be a flat tensor of floats; got {kind}.",
            fix="pass one of the points.",
            code="E-J01",
        )
    if tuple(theta.shape) != (size,):
        raise InvalidArgument(
            f"theta must have shape ({size},) as the points have; got {tuple(theta.shape)}.",
            fix="use objective.space.flatten(state_dict) to make it.",
            code="E-J01",
        )
    if not bool(torch.isfinite(theta).all()):
        raise NotFinite("theta holds NaN or infinity.", fix="pass another point.", code="E-J02")
    return theta.detach().cpu().double()


def _gram(points: Any, last: Tensor | None) -> Float64[np.ndarray, "time time"]:
    """Inner products of the differences to the last point, added up over ranges of coordinates."""
    total = torch.zeros(len(points), len(points), dtype=torch.float64)
    for start, stop, values in chunks(points):
        values -= values[-1].clone() if last is None else last[start:stop]
        total += values @ values.T
    if not bool(torch.isfinite(total).all()):
        raise NotFinite(
            "the points lie so far apart that squared distances leave the range of numbers.",
            fix="leave out the checkpoints of a training after it diverged.",
            code="E-J02",
        )
    return total.numpy()


def _shares(
    gram: Float64[np.ndarray, "time time"], components: int
) -> Float64[np.ndarray, " component"]:
    """The share of every component; differences to one of the points have one less than points."""
    values = np.linalg.eigvalsh(gram)[::-1][:components].clip(min=0.0)
    total = values.sum()
    return np.asarray(values / total if total > 0 else np.full_like(values, np.nan))


def _combinations(
    gram: Float64[np.ndarray, "time time"], count: int
) -> tuple[Float64[np.ndarray, "time axis"], Float64[np.ndarray, " axis"]]:
    """How the axes are made of the points, and their lengths before they are scaled."""
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1], vectors[:, ::-1]
    there = int((values > FLAT * max(values.sum(), 0.0)).sum())
    if there < count:
        raise InvalidArgument(
            f"the points span {there} dimension{'' if there == 1 else 's'}; "
            f"{count} axes were asked for.",
            why="the checkpoints are equal, lie on a line, or are too few.",
            fix="pass checkpoints that differ."
            if there == 0
            else "pass more checkpoints that differ, a lower count=, or directions= of your own.",
            code="E-J04",
        )
    kept = vectors[:, :count]
    signs = np.sign(kept[np.abs(kept).argmax(axis=0), np.arange(count)])
    return kept * signs, np.sqrt(values[:count])


def _axes(
    points: Any, weights: Float64[np.ndarray, "time axis"], last: Tensor | None, center: str
) -> tuple[Tensor, Tensor]:
    """The axes and the origin, in a second reading; orthonormal to the last digits of float64."""
    size, mix = size_of(points), torch.from_numpy(weights.T.copy())
    made = torch.empty(len(mix), size, dtype=torch.float64)
    origin = torch.empty(size, dtype=torch.float64)
    for start, stop, values in chunks(points):
        end = values[-1].clone() if last is None else last[start:stop]
        origin[start:stop] = end if center == "last" else values.mean(dim=0)
        made[:, start:stop] = mix @ values.sub_(end)
    for k in range(len(made)):  # the Gram matrix has half the digits of a small axis
        for j in range(k):
            made[k] -= (made[j] @ made[k]) * made[j]
        made[k] /= made[k].norm()
    return made, origin


def _coordinates(
    gram: Float64[np.ndarray, "time time"], weights: Float64[np.ndarray, "time axis"], center: str
) -> Float64[np.ndarray, "time axis"]:
    """Inner products of the points with the axes, from the Gram matrix."""
    found = gram @ weights
    return np.asarray(found - found.mean(axis=0) if center == "mean" else found)
