"""Where points lie in the span of some directions, and how far from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Shaped
from torch import Tensor

from theodolite.directions.points import chunks, listed, size_of
from theodolite.errors import InvalidArgument, InvalidType, NotFinite

DEPENDENT = 1e-10
"""Unit directions whose Gram matrix has a smaller eigenvalue do not span what they should."""


@dataclass(frozen=True, eq=False)
class Projection:
    """``coordinates`` (time, axis) in units of each direction, ``residual`` (time) in the norm of
    parameters: the distance of a point from its shadow ``origin + coordinates @ directions``."""

    coordinates: Float64[np.ndarray, "time axis"]
    residual: Float64[np.ndarray, " time"]
    distance: Float64[np.ndarray, " time"]


def projection(
    directions: Shaped[Tensor, ...],
    points: Any,
    origin: Shaped[Tensor, ...],
) -> Projection:
    r"""The coordinates of points in the span of directions of any lengths and angles.

    .. math:: c_t = \arg\min_c \lVert \theta_t - \theta_0 - c\,D \rVert
        = (\theta_t - \theta_0) D^\top (D D^\top)^{-1}

    Parameters
    ----------
    directions
        Shape ``(axis, params)``; neither orthogonal nor of unit length.
    points
        Flat tensors in a list, a matrix, a sequence that loads each when asked, or `Points`.
    origin
        Where all coordinates are zero, shape ``(params,)``.

    Returns
    -------
    Projection
        ``coordinates`` (time, axis), ``residual`` (time): the distance from the span, and
        ``distance`` (time) from the origin.

    Raises
    ------
    InvalidArgument
        For shapes that do not fit (E-J01), or directions that depend on one another (E-J05).
    NotFinite
        For NaN or infinity in a point, the directions or the origin (E-J02).

    Notes
    -----
    Costs no forward pass. Reads the points twice, in float64; the residual is the norm of the
    difference itself, not of squares subtracted. An inner product with each direction would give
    the same only for orthonormal ones.

    Examples
    --------
    >>> skew = torch.tensor([[2.0, 0.0, 0.0], [1.0, 1.0, 0.0]])
    >>> found = projection(skew, [torch.tensor([3.0, 1.0, 5.0])], torch.zeros(3))
    >>> found.coordinates.round(9).tolist(), found.residual.tolist()
    ([[1.0, 1.0]], [5.0])
    """
    points = listed(points)
    axes, start = _checked(directions, points, origin)
    inner = torch.zeros(len(points), len(axes), dtype=torch.float64)
    for low, high, values in chunks(points):
        inner += values.sub_(start[low:high]) @ axes[:, low:high].T
    found = torch.from_numpy(np.linalg.solve(_gram(axes), inner.numpy().T).T.copy())
    off = torch.zeros(len(points), dtype=torch.float64)
    far = torch.zeros(len(points), dtype=torch.float64)
    for low, high, values in chunks(points):
        values -= start[low:high]
        for k, moved in enumerate(values):  # one at a time: no second copy of all of them
            far[k] += moved.square().sum()
            off[k] += (moved - found[k] @ axes[:, low:high]).square().sum()
    return Projection(found.numpy(), off.sqrt().numpy(), far.sqrt().numpy())


def _checked(directions: Any, points: Any, origin: Any) -> tuple[Tensor, Tensor]:
    size = size_of(points)
    for name, value, dims in (("directions", directions, 2), ("origin", origin, 1)):
        if not isinstance(value, Tensor):
            raise InvalidType(f"{name} must be a tensor; got {type(value).__name__}.", code="E-J01")
        if value.dim() != dims or value.shape[-1] != size:
            wanted = f"(axis, {size})" if dims == 2 else f"({size},)"
            raise InvalidArgument(
                f"{name} must have shape {wanted}; got {tuple(value.shape)}.",
                fix="all of them belong to one network.",
                code="E-J01",
            )
        if not bool(torch.isfinite(value).all()):
            raise NotFinite(
                f"{name} must be finite; got NaN or infinity in it.",
                fix=f"make {name} anew from finite points.",
                code="E-J02",
            )
    return directions.detach().cpu().double(), origin.detach().cpu().double()


def _gram(axes: Tensor) -> Float64[np.ndarray, "axis axis"]:
    """The inner products of the directions, refused where some depend on the others."""
    gram = (axes @ axes.T).numpy()
    lengths = np.sqrt(np.diag(gram))
    scaled = gram / np.outer(lengths, lengths) if lengths.all() else np.zeros_like(gram)
    least = float(np.linalg.eigvalsh(scaled)[0])
    if not least > DEPENDENT:
        raise InvalidArgument(
            f"the {len(axes)} directions span fewer dimensions: they depend on one another.",
            why=f"scaled to length one, their Gram matrix has the eigenvalue {least:.1e}.",
            fix="leave out the directions that others already span.",
            code="E-J05",
        )
    return np.asarray(gram)
