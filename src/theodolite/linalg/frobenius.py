"""The squared Frobenius norm of an operator, unbiased, with its standard error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64

from theodolite.errors import InvalidArgument
from theodolite.linalg.exchangeable import alone
from theodolite.linalg.leave_out import calibrated_error
from theodolite.linalg.operator import Operator
from theodolite.linalg.products import product, wide_dtype, working_dtype
from theodolite.linalg.sketch import (
    Progress,
    Tally,
    gram,
    gram_diagonal,
    images,
    probe_columns,
    unit_columns,
)

Square = Float64[np.ndarray, "probe probe"]


@dataclass(frozen=True, eq=False)
class NormEstimate:
    r"""``squared_norm`` is the mean of ``samples``; ``plain`` are :math:`\|A z_i\|^2` alone."""

    squared_norm: float
    standard_error: float
    samples: Float64[np.ndarray, " probe"]
    plain: Float64[np.ndarray, " probe"]
    products: int
    exact: bool = False


def squared_norm_estimate(
    operator: Operator, *, probes: int, seed: int = 0, progress: Progress | None = None
) -> NormEstimate:
    r"""Estimate the squared Frobenius norm of an operator.

    .. math:: \|A\|_F^2 = \mathbb E \, \|A z\|^2, \qquad
        t_i = \|A Q_i\|_F^2 + \|(I - Q_i Q_i^\top) A z_i\|^2

    with signs `z` and :math:`Q_i` an orthonormal basis of the images of all probes but the i-th:
    the part of the norm in that basis is measured exactly, the rest by the probe it has not seen.

    Parameters
    ----------
    operator
        Symmetric.
    probes
        At least 2.
    seed, progress
        As for `xtrace`.

    Returns
    -------
    NormEstimate
        Unbiased, as is the mean of ``plain``. Errors as those of `xtrace`.

    Notes
    -----
    Costs ``2 * probes`` products and holds ``3 * probes`` vectors. A few large eigenvalues, which
    make :math:`\|A z\|^2` vary by its own size, are taken out by the basis. Exact where twice the
    probes are not below the size, and to rounding where the rank is below `probes`. Squares are
    accumulated in float64. Raises `InvalidArgument` for fewer than two probes.

    References
    ----------
    Hutchinson (1990), Communications in Statistics 19 (of the square). Epperly, Tropp, Webber
    (2024), SIAM J. Matrix Anal. Appl. 45 (the exchangeable form).

    Examples
    --------
    >>> ones = Operator.from_matrix(torch.ones(9, 9, dtype=torch.float64))
    >>> round(squared_norm_estimate(ones, probes=3).squared_norm, 9)
    81.0
    """
    if probes < 2:
        raise InvalidArgument(f"probes must be at least 2; got {probes}.", code="E-L34")
    if 2 * probes >= operator.size:
        tally = Tally(operator.size, progress)
        exact = _exact(operator, tally)
        samples = np.full(probes, exact)
        return NormEstimate(exact, 0.0, samples, samples, tally.done, exact=True)
    tally = Tally(2 * probes, progress)
    sketch = images(operator, probe_columns(operator, seed, "frobenius", probes), tally)
    plain = gram_diagonal(sketch, sketch)
    basis, triangle = torch.linalg.qr(sketch)
    del sketch
    upper = triangle.to("cpu", torch.float64).numpy()
    after = images(operator, basis, tally)
    s = alone(upper, float(torch.finfo(working_dtype(operator)).eps))
    samples, pairs = _samples(s, upper, gram(after, after))
    error = calibrated_error(samples, pairs)
    return NormEstimate(float(samples.mean()), error, samples, plain, tally.done)


def _samples(
    s: Square, upper: Square, inner: Square
) -> tuple[Float64[np.ndarray, " probe"], Square]:
    """Sample `i`, and sample `j` without vectors `i` and `j`: see `exchangeable` for ``s``."""
    h, c = s.T @ inner @ s, s.T @ s
    np.fill_diagonal(c, 0)
    apart = np.maximum(1 - c**2, np.finfo(np.float64).eps)
    removed = np.diagonal(h)
    left = (s * upper).sum(0) ** 2
    both = (removed[:, None] + removed - 2 * c * h) / apart
    total = float(np.trace(inner))
    return total - removed + left, total - both + left / apart


def _exact(operator: Operator, tally: Tally) -> float:
    """The sum of all squares, by products with all unit vectors."""
    total = 0.0
    for _, units in unit_columns(operator):
        image = product(operator, units, step=tally.done + 1)
        total += float(image.square().sum(dtype=wide_dtype(operator.device)))
        tally.add(units.shape[1])
    return total
