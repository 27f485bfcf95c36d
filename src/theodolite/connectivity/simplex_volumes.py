"""Volumes of simplexes from the distances of their vertices, and points drawn evenly from them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor


def log_volume(vertices: Float[Tensor, "vertex params"]) -> Float64[Tensor, ""]:
    r"""The logarithm of a simplex's volume, by the Cayley-Menger determinant; differentiable.

    .. math:: V^2 = \frac{(-1)^{n + 1}}{2^n (n!)^2} \det \begin{pmatrix} 0 & 1^\top \\ 1 & D
        \end{pmatrix}, \qquad D_{ij} = \lVert v_i - v_j \rVert^2

    for n + 1 vertices. Minus infinity where they lie in fewer dimensions.

    >>> corners = torch.eye(3).double()  # an equilateral triangle of side sqrt 2
    >>> round(float(log_volume(corners).exp()), 6), round(3**0.5 / 2, 6)
    (0.866025, 0.866025)
    """
    n = len(vertices) - 1
    offsets = (vertices - vertices[0].detach()).double()  # the volume does not move with it
    squares = (offsets[:, None] - offsets[None]).square().sum(-1)
    scale = squares.detach().max().clamp(min=torch.finfo(torch.float64).tiny)
    border = torch.ones(n + 2, n + 2, dtype=torch.float64, device=vertices.device)
    border[0, 0] = 0.0
    matrix = border.clone()
    matrix[1:, 1:] = squares / scale
    sign, logarithm = torch.linalg.slogdet(matrix)
    if float(sign.detach()) * (-1) ** (n + 1) <= 0:
        return torch.full_like(logarithm, -math.inf)
    constant = n * math.log(2) + 2 * math.lgamma(n + 1)
    made: Tensor = 0.5 * (logarithm + n * scale.log() - constant)
    return made


def complex_log_volume(
    vertices: Float[Tensor, "vertex params"], members: Sequence[Sequence[int]]
) -> Float64[Tensor, ""]:
    """The logarithm of the summed volumes of simplexes with these vertices."""
    logs = torch.stack([log_volume(vertices[list(one)]) for one in members])
    made: Tensor = torch.logsumexp(logs, 0)
    return made


def drawn(
    generator: np.random.Generator,
    log_volumes: Float64[np.ndarray, " simplex"],
    members: Sequence[Sequence[int]],
    vertices: int,
    samples: int,
) -> tuple[Float64[np.ndarray, "sample vertex"], Int64[np.ndarray, " sample"]]:
    """Shares of all vertices at points drawn evenly from the simplexes, and which one each is in.

    A simplex is chosen in proportion to its volume, a point in it by Dirichlet's distribution
    with all parameters 1, which is even.
    """
    relative = np.exp(log_volumes - log_volumes.max())
    chosen = generator.choice(len(members), size=samples, p=relative / relative.sum())
    made = np.zeros((samples, vertices))
    for row, k in zip(made, chosen, strict=True):
        row[list(members[k])] = generator.dirichlet(np.ones(len(members[k])))
    return made, chosen.astype(np.int64)
