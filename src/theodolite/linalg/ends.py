"""The lowest eigenvalues of an operator with bounds of their errors: all of them, or a few."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from theodolite import seeds
from theodolite.errors import NotConverged
from theodolite.linalg.completeness import miss_bound
from theodolite.linalg.lanczos import tridiagonalize
from theodolite.linalg.operator import Operator
from theodolite.linalg.orthogonal import orthogonalize
from theodolite.linalg.products import norm, product, working_dtype
from theodolite.linalg.selection import Which
from theodolite.linalg.symmetry import require_symmetry
from theodolite.linalg.thick_restart import RitzPairs, ritz_pairs

COLUMNS = 64
"""Columns of the identity multiplied at once."""

TOGETHER = 4
"""Random columns multiplied at once: of large operators each is a vector of the network's size."""

ROUNDING = 4.0
"""Roundings of the largest eigenvalue, times the root of the size, that a dense one may be off."""

TOLERANCE, SETTLED = 1e-6, 1e-5
"""Residuals wanted of pairs found by iteration, and those that will do, over the largest size."""


@dataclass(frozen=True, eq=False)
class LowEnd:
    """Eigenvalues from the lowest on: one of the operator's lies within each one's error.

    ``scale`` is the largest size of an eigenvalue, at most ``scale_error`` too small. Where not
    all are there (``complete``), ``missed`` bounds for each cut the chance that one below it is
    not among them.
    """

    values: Float64[np.ndarray, " direction"]
    errors: Float64[np.ndarray, " direction"]
    scale: float
    scale_error: float
    complete: bool
    missed: Float64[np.ndarray, " tau"]
    products: int


def whole_spectrum(operator: Operator, cuts: Float64[np.ndarray, " tau"]) -> LowEnd:
    """All eigenvalues, by ``size`` products and a dense solver in float64.

    The error of each is at most half the asymmetry of the matrix in the Frobenius norm (by
    Weyl's theorem) and what rounding adds. Memory ``4 * size**2`` numbers.
    """
    size, dtype = operator.size, working_dtype(operator)
    matrix = np.empty((size, size))
    for first in range(0, size, COLUMNS):
        last = min(first + COLUMNS, size)
        columns = torch.zeros(size, last - first, dtype=dtype, device=operator.device)
        columns[range(first, last), range(last - first)] = 1.0
        made = product(operator, columns, step=first + 1)
        matrix[:, first:last] = made.to("cpu", torch.float64).numpy()
    lengths = np.linalg.norm(matrix, axis=0)
    gap = matrix - matrix.T
    require_symmetry(operator, float(np.abs(gap).max()), float(lengths.max()), size)
    values = np.linalg.eigvalsh((matrix + matrix.T) / 2)
    scale = float(np.abs(values).max())
    rounding = ROUNDING * float(torch.finfo(operator.dtype).eps) * size**0.5 * scale
    error = float(np.linalg.norm(gap)) / 2 + rounding
    certain = np.zeros(len(cuts))
    errors = np.full(size, error)
    return LowEnd(values, errors, scale, error, True, certain, size)


def iterated_end(
    operator: Operator, cuts: Float64[np.ndarray, " tau"], *, count: int, steps: int, seed: int
) -> LowEnd:
    """`count` eigenvalues by thick-restart Lanczos, and the chance that a lower one hides.

    That chance comes from a run of `steps` from one uniformly random vector orthogonal to those
    that settled, for each cut (a share of ``scale``): see `theodolite.linalg.completeness`. It
    says something at cuts that the dense bulk around zero does not reach, while the search of
    `ritz_pairs` for one more gives up in the bulk.
    """
    top = _reached(operator, 1, "magnitude", seeds.child_seed(seed, "low_end", "scale"))
    low = _reached(operator, count, "smallest", seeds.child_seed(seed, "low_end", "pairs"))
    scale = max(float(top.values.abs().max()), float(low.values.abs().max()))
    rows = low.vectors[low.residuals <= SETTLED * scale]
    missed, made = _chances(operator, rows, cuts * scale, steps, seed)
    return LowEnd(
        values=low.values.numpy()[::-1].copy(),
        errors=low.residuals.numpy()[::-1].copy(),
        scale=scale,
        scale_error=float(top.residuals.max()),
        complete=count == operator.size,
        missed=missed,
        products=top.products + low.products + made,
    )


def _chances(
    operator: Operator,
    rows: Float[Tensor, "settled size"],
    cuts: Float64[np.ndarray, " tau"],
    steps: int,
    seed: int,
) -> tuple[Float64[np.ndarray, " tau"], int]:
    """For each cut, how likely an eigenvalue below it has its vector outside `rows`."""
    dimension = operator.size - len(rows)
    if dimension == 0:
        return np.zeros(len(cuts)), 0
    generator = seeds.torch_generator(seed, "low_end", "search")
    start = torch.randn(operator.size, generator=generator, dtype=torch.float64)
    start, _ = orthogonalize(rows, start.to(rows))
    run = tridiagonalize(_deflated(operator, rows), start, steps=min(steps, dimension))
    beside = torch.diag(run.off_diagonal, 1)
    section = (torch.diag(run.diagonal) + beside + beside.T).numpy()
    left = -np.inf
    if not run.invariant:
        left = float(run.off_diagonal.log().sum()) + float(np.log(run.residual_norm))
    chances = [miss_bound(section, left, dimension, (-cut, np.inf)) for cut in cuts]
    return np.array(chances), run.products


def _deflated(operator: Operator, rows: Float[Tensor, "settled size"]) -> Operator:
    """The operator as seen by the vectors orthogonal to `rows`."""

    def product_outside(vector: Tensor) -> Tensor:
        image = operator.matvec(vector).to(rows)
        return orthogonalize(rows, image)[0].to(vector)

    return Operator(product_outside, operator.size, operator.dtype, operator.label, operator.device)


def _reached(operator: Operator, count: int, which: Which, seed: int) -> RitzPairs:
    """The pairs, settled or not: their residuals say how far they are."""
    try:
        return ritz_pairs(operator, count=count, which=which, tolerance=TOLERANCE, seed=seed)
    except NotConverged as error:
        pairs: RitzPairs = error.result
        return pairs


def frobenius_norm(operator: Operator, *, probes: int = 16, seed: int = 0) -> tuple[float, int]:
    r"""The Frobenius norm and the products it took.

    Exact by the columns of the identity up to `COLUMNS` of them; for larger operators the root
    of the mean of :math:`\|A z\|^2` over random signs, with a relative error of about
    ``1 / sqrt(2 * probes)`` at most and less for matrices of high rank.

    >>> frobenius_norm(Operator.from_matrix(torch.diag(torch.tensor([3.0, -4.0]))))
    (5.0, 2)
    """
    if operator.size <= COLUMNS:
        columns = torch.eye(operator.size, dtype=working_dtype(operator), device=operator.device)
        return norm(product(operator, columns, step=1).flatten()), operator.size
    generator = seeds.torch_generator(seed, "frobenius_norm")
    coins = torch.randint(2, (operator.size, probes), generator=generator, dtype=torch.int8)
    squares = 0.0
    for first in range(0, probes, TOGETHER):
        columns = (2 * coins[:, first : first + TOGETHER] - 1).to(operator.device)
        image = product(operator, columns.to(working_dtype(operator)), step=first + 1)
        squares += norm(image.flatten()) ** 2
    return (squares / probes) ** 0.5, probes
