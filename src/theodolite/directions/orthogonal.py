"""Directions made orthogonal to each other."""

from __future__ import annotations

import torch
from jaxtyping import Shaped
from torch import Tensor

from theodolite.errors import InvalidArgument, InvalidType, NotFinite
from theodolite.linalg.orthogonal import orthogonalize
from theodolite.linalg.products import norm, wide_dtype

DEPENDENT = 1e-5
"""A direction of which less than this share is left spans nothing new: it is rounding."""


def orthogonalized(
    directions: Shaped[Tensor, "direction params"],
) -> Shaped[Tensor, "direction params"]:
    r"""Each direction without its parts along the ones before it, at the length it had.

    .. math:: r_k = d_k - \sum_{j<k} \frac{\langle d_k, r_j\rangle}{\langle r_j, r_j\rangle}\,r_j,
        \qquad d_k \leftarrow \frac{\lVert d_k\rVert}{\lVert r_k\rVert}\,r_k

    Parameters
    ----------
    directions
        Shape ``(direction, params)``; the first stays as it is. Normalize before: giving filters
        the norms of theta afterwards makes directions oblique again, by a cosine of about one
        over the square root of the parameters that move. `plane` reports the cosine.

    Returns
    -------
    Tensor
        The same shape, dtype and device. Cosines are those of rounding: about 1e-16 in float64,
        1e-8 in float32 for long vectors.

    Raises
    ------
    InvalidArgument
        For a direction that the others span, or that is zero (E-V04).
    InvalidType
        For anything but a matrix of floats (E-V05).
    NotFinite
        For NaN or infinity (E-V06).

    Notes
    -----
    Gram-Schmidt in float64, done twice ("twice is enough"). Costs no pass; memory: the directions
    once more in float64. Each direction keeps the sign of its own part, so the result depends on
    the order.

    References
    ----------
    Giraud, Langou, Rozloznik (2005), Computers & Mathematics with Applications 50.

    Examples
    --------
    >>> orthogonalized(torch.tensor([[2.0, 0.0], [3.0, 4.0]])).tolist()
    [[2.0, 0.0], [0.0, 5.0]]
    """
    _check(directions)
    wide = directions.detach().to(wide_dtype(directions.device))
    basis = torch.empty_like(wide)
    made = directions.detach().clone()
    for k, direction in enumerate(wide):
        length = norm(direction)
        rest, _ = orthogonalize(basis[:k], direction / length if length else direction)
        left = norm(rest)
        if left < DEPENDENT:
            raise InvalidArgument(
                f"directions[{k}] is zero, or a combination of the ones before it "
                f"({left:.1e} of its length is left).",
                fix="pass directions that span as many dimensions as there are.",
                code="E-V04",
            )
        basis[k] = rest / left
        if k:
            made[k] = (basis[k] * length).to(made)
    return made


def _check(directions: Tensor) -> None:
    if directions.ndim != 2 or not directions.is_floating_point():
        raise InvalidType(
            "directions must be floats of shape (direction, params); got "
            f"{directions.dtype} of shape {tuple(directions.shape)}.",
            fix="stack them: torch.stack([first, second]).",
            code="E-V05",
        )
    for k, direction in enumerate(directions):
        if not bool(torch.isfinite(direction).all()):
            raise NotFinite(f"directions[{k}] must be finite.", code="E-V06")
