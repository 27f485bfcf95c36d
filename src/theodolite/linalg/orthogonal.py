"""Orthogonal remainders by classical Gram-Schmidt, done twice."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from theodolite.linalg.precision import without_autocast


@without_autocast
def orthogonalize(
    rows: Float[Tensor, "rows size"], vector: Float[Tensor, " size"]
) -> tuple[Float[Tensor, " size"], Float[Tensor, " rows"]]:
    r"""Split `vector` into its part orthogonal to orthonormal `rows` and its coefficients.

    .. math:: w - V^\top V w, \qquad V w

    One pass loses orthogonality by the ratio of the norms; two passes restore it to rounding
    ("twice is enough"). Each pass is two matrix-vector products. The coefficients of both passes
    are added in float64. The input is not modified.

    References: Giraud, Langou, Rozloznik (2005), Computers & Mathematics with Applications 50.

    >>> rest, inside = orthogonalize(torch.eye(2, 3), torch.tensor([1.0, 2.0, 3.0]))
    >>> rest.tolist(), inside.tolist()
    ([0.0, 0.0, 3.0], [1.0, 2.0])
    """
    coefficients = torch.zeros(len(rows), dtype=torch.float64)
    for _ in range(2):
        inside = rows @ vector
        vector = torch.addmv(vector, rows.T, inside, alpha=-1)
        coefficients += inside.to("cpu", torch.float64)
    return vector, coefficients
