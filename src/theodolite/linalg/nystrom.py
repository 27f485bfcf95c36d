"""XNysTrace: the trace of a positive semidefinite operator by one product a test vector."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from scipy.linalg import solve_triangular
from torch import Tensor

from theodolite.errors import InvalidArgument
from theodolite.linalg.leave_out import ProbeTrace, by_unit_vectors, calibrated_error
from theodolite.linalg.operator import Operator
from theodolite.linalg.products import norm, working_dtype
from theodolite.linalg.sketch import Progress, Tally, gram, images, probe_columns
from theodolite.linalg.symmetry import ASYMMETRY

Square = Float64[np.ndarray, "probe probe"]


def xnystrace(
    operator: Operator,
    *,
    probes: int,
    seed: int = 0,
    resphered: bool = False,
    stream: str = "trace",
    progress: Progress | None = None,
) -> ProbeTrace:
    r"""Estimate the trace of a positive semidefinite operator by XNysTrace.

    .. math:: t_i = \operatorname{tr} A_i + \omega_i^\top (A - A_i) \, \omega_i, \qquad
        A_i = A \Omega_i (\Omega_i^\top A \Omega_i)^{-1} \Omega_i^\top A, \qquad
        \hat t = \frac1k \sum_i t_i

    with :math:`\Omega_i` all test vectors but the i-th.

    Parameters
    ----------
    operator
        Symmetric and positive semidefinite, as a Gauss-Newton or Fisher matrix is.
    probes
        Test vectors `k`, at least 2.
    seed, stream, resphered, progress
        As for `xtrace`.

    Returns
    -------
    ProbeTrace
        As from `xtrace`.

    Notes
    -----
    Costs `k` products, half of what `xtrace` needs for as many test vectors, and holds ``3 * k``
    vectors during one QR factorization. Where `k` is not below the size the answer is exact, and
    to rounding where the rank is below `k`. Works on :math:`A + \nu I` with :math:`\nu` of the
    order of rounding, whose trace is known and subtracted; :math:`\nu` grows where products are
    less accurate than their dtype. Semidefiniteness is checked on the test vectors only: raises
    `InvalidArgument` where a form :math:`v^\top A v` is negative beyond rounding.

    References
    ----------
    Epperly, Tropp, Webber (2024), SIAM J. Matrix Anal. Appl. 45.

    Examples
    --------
    >>> ones = Operator.from_matrix(torch.ones(9, 9, dtype=torch.float64))  # rank one
    >>> estimate = xnystrace(ones, probes=3)
    >>> round(estimate.trace, 6), round(estimate.standard_error, 6), estimate.products
    (9.0, 0.0, 3)
    """
    if probes < 2:
        raise InvalidArgument(f"probes must be at least 2; got {probes}.", code="E-L31")
    if probes >= operator.size:
        return by_unit_vectors(operator, probes, progress)
    tally = Tally(probes, progress)
    omega = probe_columns(operator, seed, stream, probes, spherical=resphered)
    sketch = images(operator, omega, tally)
    if not bool(sketch.any()):
        return ProbeTrace(0.0, 0.0, np.zeros(probes), tally.done)
    parts = _parts(operator, omega, sketch, resphered)
    samples = _samples(parts)
    error = calibrated_error(samples, _pairs(parts))
    return ProbeTrace(float(samples.mean()), error, samples, tally.done)


@dataclass(frozen=True, eq=False)
class _Parts:
    r"""What every sample follows from, for :math:`A_\nu = A + \nu I`.

    ``inverse`` is :math:`G = (\Omega^\top A_\nu \Omega)^{-1}`, ``squares`` is
    :math:`G \, \Omega^\top A_\nu^2 \, \Omega \, G`, ``explained`` the trace of the approximation
    with all test vectors less :math:`\nu` times the size. ``free``, where what is left is
    rescaled, is :math:`(\Omega^\top \Omega)^{-1}`, and ``size`` the operator's.
    """

    inverse: Square
    squares: Square
    explained: float
    free: Square | None
    size: int


def _parts(
    operator: Operator,
    omega: Float[Tensor, "size probe"],
    sketch: Float[Tensor, "size probe"],
    resphered: bool,
) -> _Parts:
    """From test vectors and their images, which are overwritten."""
    rounding = float(torch.finfo(working_dtype(operator)).eps)
    scale = norm(sketch.flatten())
    form, lengths = gram(omega, sketch), gram(omega, omega)
    form = (form + form.T) / 2
    require_semidefinite(operator, form)
    shift, factor = _shifted(form, lengths, rounding * scale / math.sqrt(operator.size))
    sketch.add_(omega, alpha=shift)
    upper = torch.linalg.qr(sketch, mode="r").R.to("cpu", torch.float64).numpy()
    half = solve_triangular(factor, upper.T, trans="T").T  # R C^-1
    root = solve_triangular(factor, np.eye(len(form)))  # C^-1
    dual = half @ root.T
    return _Parts(
        root @ root.T,
        dual.T @ dual,
        float((half**2).sum()) - shift * operator.size,
        np.linalg.inv(lengths) if resphered else None,
        operator.size,
    )


def shows_negative(operator: Operator, form: Square) -> bool:
    """Whether forms v'Av on some vectors are negative beyond what rounding can explain."""
    values = np.linalg.eigvalsh(form)
    root = float(torch.finfo(operator.dtype).eps) ** 0.5
    slack = ASYMMETRY.get(operator.dtype, root) * max(values[-1], -values[0])
    return bool(values[0] < -slack)


def require_semidefinite(operator: Operator, form: Square) -> None:
    """Raise where `shows_negative`."""
    if shows_negative(operator, form):
        values = np.linalg.eigvalsh(form)
        raise InvalidArgument(
            f"operator {operator.label!r} must be positive semidefinite for xnystrace; a form "
            f"v'Av on the test vectors is {values[0]:.3g} where the largest is {values[-1]:.3g}.",
            fix='use method="xtrace" or "hutchinson", which need no sign.',
            code="E-L32",
        )


def _shifted(form: Square, lengths: Square, shift: float) -> tuple[float, Square]:
    """The smallest shift tried that makes the form positive definite, and its upper factor.

    The ridge, a thousandth of the shift, is for test vectors that are equal up to sign.
    """
    raised = lengths + np.diag(1e-3 * np.diagonal(lengths))
    while True:
        try:
            return shift, np.linalg.cholesky(form + shift * raised).T
        except np.linalg.LinAlgError:
            shift = 10 * shift


def _samples(parts: _Parts) -> Float64[np.ndarray, " probe"]:
    own = np.diagonal(parts.inverse)
    left = 1 / own
    if parts.free is not None:
        left = left * (parts.size - len(own) + 1) * np.diagonal(parts.free)
    return np.asarray(parts.explained - np.diagonal(parts.squares) / own + left)


def _pairs(parts: _Parts) -> Square:
    """Sample `j` (column), made without test vectors `i` (row) and `j`."""
    g, f = parts.inverse, parts.squares
    row, column = np.diagonal(g)[:, None], np.diagonal(g)[None, :]
    area = np.maximum(row * column - g**2, np.finfo(np.float64).eps * row * column)
    lost = (column * np.diagonal(f)[:, None] + row * np.diagonal(f)[None, :] - 2 * g * f) / area
    left = row / area
    if parts.free is not None:
        own = np.diagonal(parts.free)
        alone = own[None, :] - parts.free**2 / own[:, None]
        left = left * (parts.size - len(own) + 2) * alone
    return np.asarray(parts.explained - lost + left)
