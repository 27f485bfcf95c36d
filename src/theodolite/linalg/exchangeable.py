"""XTrace: the trace by a low-rank part known exactly and what is left by every test vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from theodolite.errors import InvalidArgument
from theodolite.linalg.leave_out import ProbeTrace, by_unit_vectors, calibrated_error
from theodolite.linalg.operator import Operator
from theodolite.linalg.products import working_dtype
from theodolite.linalg.sketch import (
    Progress,
    Tally,
    gram,
    gram_diagonal,
    images,
    probe_columns,
)

Square = Float64[np.ndarray, "probe probe"]

ALONE = 1e-8
"""A test vector's image is not in the span of the others when no more than this share is."""


def xtrace(
    operator: Operator,
    *,
    probes: int,
    seed: int = 0,
    resphered: bool = False,
    stream: str = "trace",
    progress: Progress | None = None,
) -> ProbeTrace:
    r"""Estimate the trace of an operator by XTrace.

    .. math:: t_i = \operatorname{tr} Q_i^\top A Q_i
        + \omega_i^\top (I - Q_i Q_i^\top) A (I - Q_i Q_i^\top) \omega_i, \qquad
        \hat t = \frac1k \sum_i t_i

    with :math:`Q_i` an orthonormal basis of the images :math:`A \omega_j` of all test vectors
    but the i-th.

    Parameters
    ----------
    operator
        Square; symmetry is not needed.
    probes
        Test vectors `k`, at least 2.
    seed, stream
        Probe `i` depends on them and `i` alone.
    resphered
        Take test vectors uniform on the sphere and scale what is left of each to the norm it
        has on average: less error where the rest of the spectrum is flat and `k` is not small
        beside the size. Otherwise signs.
    progress
        Called as ``progress(products done, products planned)``.

    Returns
    -------
    ProbeTrace
        Unbiased. ``samples`` are the :math:`t_i`; their correlation is in ``standard_error``:
        see `theodolite.linalg.leave_out`.

    Notes
    -----
    Costs ``2 * k`` products and one QR factorization: leaving a vector out is a rank-one change
    of `Q`, and everything else is of size `k`. Holds ``3 * k`` vectors. Where ``2 * k`` is not
    below the size, unit vectors are multiplied instead and the answer is exact. An operator of
    rank below `k` is exact to rounding too. The error falls with the matrix's tail: for a flat
    or nearly traceless spectrum use `trace_estimate`, which needs half the products there.
    Quadratic forms are accumulated in float64. Raises `InvalidArgument` for fewer than two probes.

    References
    ----------
    Epperly, Tropp, Webber (2024), SIAM J. Matrix Anal. Appl. 45.

    Examples
    --------
    >>> ones = Operator.from_matrix(torch.ones(9, 9, dtype=torch.float64))  # rank one
    >>> estimate = xtrace(ones, probes=3)
    >>> round(estimate.trace, 9), round(estimate.standard_error, 9), estimate.products
    (9.0, 0.0, 6)
    """
    if probes < 2:
        raise InvalidArgument(f"probes must be at least 2; got {probes}.", code="E-L30")
    if 2 * probes >= operator.size:
        return by_unit_vectors(operator, probes, progress)
    tally = Tally(2 * probes, progress)
    parts = _parts(operator, seed, stream, probes, resphered, tally)
    samples = _samples(parts)
    error = calibrated_error(samples, _pairs(parts))
    return ProbeTrace(float(samples.mean()), error, samples, tally.done)


@dataclass(frozen=True, eq=False)
class _Parts:
    """The small matrices every sample follows from, in the coordinates of the basis `Q`.

    ``s`` has in column `i` the unit vector along which the images of the other test vectors have
    nothing, or zero where there is none; ``w`` is Q' Omega and ``inner`` the symmetric part of
    Q'AQ. ``whole[i]`` is the form of what all of `Q` leaves of test vector `i`, and ``bend`` how
    it changes, to first order, as a vector of ``s`` is given back. ``size`` is that of the
    operator where what is left is rescaled, and else None.
    """

    s: Square
    w: Square
    inner: Square
    whole: Float64[np.ndarray, " probe"]
    bend: Square
    size: int | None


def _parts(
    operator: Operator, seed: int, stream: str, probes: int, resphered: bool, tally: Tally
) -> _Parts:
    """The products, and all that is of the operator's size."""
    omega = probe_columns(operator, seed, stream, probes, spherical=resphered)
    sketch = images(operator, omega, tally)
    forms = gram_diagonal(omega, sketch)
    basis, triangle = torch.linalg.qr(sketch)
    del sketch
    upper = triangle.to("cpu", torch.float64).numpy()
    s = alone(upper, float(torch.finfo(working_dtype(operator)).eps))
    after = images(operator, basis, tally)
    inner, w = gram(basis, after), gram(basis, omega)
    inner = (inner + inner.T) / 2
    cross = gram(after, omega) + upper  # Q'(A + A') Omega
    whole = forms - (cross * w).sum(0) + (w * (inner @ w)).sum(0)
    bend = s.T @ (cross - 2 * inner @ w)
    return _Parts(s, w, inner, whole, bend, operator.size if resphered else None)


def alone(upper: Square, rounding: float) -> Square:
    """For each column of `upper`, the unit vector in its span orthogonal to all other columns.

    Zero for a column that lies in the span of the others, as all do where the rank is deficient.

    >>> alone(np.array([[2.0, 3.0], [0.0, 4.0]]), 1e-16)[:, 0].round(6).tolist()
    [0.8, -0.6]
    """
    left, values, right = np.linalg.svd(upper)
    kept = values > len(upper) * rounding * values[0]
    dual = (left[:, kept] / values[kept]) @ right[kept]
    spanned = (right[kept] ** 2).sum(0) < 1 - ALONE
    length = np.linalg.norm(dual, axis=0)
    return np.asarray(np.where(spanned, 0.0, dual / np.where(length > 0, length, 1.0)))


def _samples(parts: _Parts) -> Float64[np.ndarray, " probe"]:
    """Sample `i`, made without vector `i` in the basis."""
    along = (parts.s * parts.w).sum(0)
    removed = (parts.s * (parts.inner @ parts.s)).sum(0)
    left = parts.whole + along * np.diagonal(parts.bend) + along**2 * removed
    inside = (parts.w**2).sum(0) - along**2
    gone = (parts.s != 0).any(0).astype(float)
    return np.asarray(np.trace(parts.inner) - removed + left * _rescaled(parts, inside, gone))


def _pairs(parts: _Parts) -> Square:
    """Sample `j` (column), made without vectors `i` (row) and `j` in the basis."""
    h = parts.s.T @ parts.inner @ parts.s
    c = parts.s.T @ parts.s
    np.fill_diagonal(c, 0)
    row, column = np.diagonal(h)[:, None], np.diagonal(h)[None, :]
    other = parts.s.T @ parts.w
    own = np.diagonal(other)[None, :]
    bent = np.diagonal(parts.bend)[None, :]
    apart = np.maximum(1 - c**2, np.finfo(np.float64).eps)
    a, b = (other - c * own) / apart, (own - c * other) / apart
    left = parts.whole + a * parts.bend + b * bent + a**2 * row + 2 * a * b * h + b**2 * column
    removed = (row + column - 2 * c * h) / apart
    inside = (parts.w**2).sum(0) - a * other - b * own
    gone = (parts.s != 0).any(0).astype(float)
    scale = _rescaled(parts, inside, gone[:, None] + gone)
    return np.asarray(np.trace(parts.inner) - removed + left * scale)


def _rescaled(parts: _Parts, inside: Any, gone: Any) -> Any:
    """What the norm of the rest should be over what it is: `inside` is the squared norm in the
    basis, from which `gone` vectors are missing."""
    if parts.size is None:
        return 1.0
    return (parts.size - (len(parts.s) - gone)) / (parts.size - inside)
