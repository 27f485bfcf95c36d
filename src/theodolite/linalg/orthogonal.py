"""Orthogonal remainders by classical Gram-Schmidt, done twice."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from theodolite.linalg.products import norm


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


def random_direction(
    rows: Float[Tensor, "rows size"], generator: torch.Generator
) -> Float[Tensor, " size"]:
    """A unit vector, uniform among those orthogonal to `rows`; there must be one.

    Drawn on the CPU, so that every device starts from the same numbers.
    """
    drawn = torch.randn(rows.shape[1], generator=generator, dtype=torch.float64)
    vector = drawn.to(rows.dtype).to(rows.device)
    for _ in range(2):  # a remainder that is small beside its vector is cleaned once more
        vector, _ = orthogonalize(rows, vector)
        vector = vector / norm(vector)
    return vector
