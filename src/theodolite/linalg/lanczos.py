"""Lanczos tridiagonalization with full reorthogonalization."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from theodolite.errors import InvalidArgument
from theodolite.linalg.operator import Operator
from theodolite.linalg.orthogonal import orthogonalize
from theodolite.linalg.products import inner, norm, product, working_dtype
from theodolite.linalg.symmetry import require_symmetry

BREAKDOWN = 10.0
"""A remainder below this many roundings of the largest product is rounding, not direction."""


@dataclass(frozen=True, eq=False)
class Tridiagonalization:
    r"""Orthonormal rows `V` and tridiagonal `T`: :math:`A V^\top = V^\top T + r e_k^\top`.

    ``diagonal`` and ``off_diagonal`` are `T`, in float64 on the CPU; ``residual`` is `r`, in the
    basis's dtype, and ``residual_norm`` its length. ``invariant`` says that the rows span an
    invariant subspace to rounding, so that every eigenvalue of `T` is one of `A`.
    ``products`` counts products, one a row.
    """

    basis: Float[Tensor, "steps size"]
    diagonal: Float64[Tensor, " steps"]
    off_diagonal: Float64[Tensor, " gaps"]
    residual: Float[Tensor, " size"]
    residual_norm: float
    invariant: bool

    @property
    def products(self) -> int:
        return len(self.diagonal)


def tridiagonalize(
    operator: Operator, start: Float[Tensor, " size"], *, steps: int
) -> Tridiagonalization:
    r"""The tridiagonal section of a symmetric operator on the Krylov space of `start`.

    .. math:: \mathcal K = \mathrm{span}(s, A s, \dots, A^{k-1} s), \qquad T = V A V^\top

    Parameters
    ----------
    operator
        A symmetric operator. Products are compared with each other as they come: see
        `theodolite.linalg.symmetry`.
    start
        Any vector but zero, shape ``(size,)``; it is normalized here.
    steps
        Rows wanted, between 1 and ``operator.size``.

    Returns
    -------
    Tridiagonalization
        With fewer rows when the Krylov space is exhausted: one for a multiple of the identity or
        zero, and as many as there are distinct eigenvalues for any matrix. The space counts as
        exhausted when what is left of a product is below ten roundings of the largest product,
        so a matrix and any multiple of it stop at the same step.

    Notes
    -----
    Costs `steps` products, ``4 * steps**2 * size`` multiplications and ``steps * size`` memory.
    Every vector is orthogonalized twice against all before it and its norm is taken afterwards,
    so converged eigenvalues do not come back as copies. Vectors are kept in the operator's dtype
    (float32 for half precision); inner products and norms are accumulated in float64. Repeated
    eigenvalues appear once: see `thick_restart`. Raises `NotFinite` and, where the operator is
    not symmetric, `InvalidArgument`, both naming the step.

    References
    ----------
    Lanczos (1950), J. Res. Natl. Bur. Stand. 45.
    Parlett (1998), The Symmetric Eigenvalue Problem, chapter 13.

    Examples
    --------
    >>> a = Operator.from_matrix(torch.tensor([[2.0, 1.0], [1.0, 2.0]], dtype=torch.float64))
    >>> section = tridiagonalize(a, torch.tensor([1.0, 0.0], dtype=torch.float64), steps=2)
    >>> section.diagonal.tolist(), section.off_diagonal.tolist()
    ([2.0, 2.0], [1.0])
    """
    _require_steps(steps, operator.size)
    vector = _unit_start(operator, start)
    basis = vector.new_empty(steps, operator.size)
    diagonal = torch.zeros(steps, dtype=torch.float64)
    gaps = torch.zeros(steps, dtype=torch.float64)
    scale = 0.0
    for k in range(steps):
        basis[k] = vector
        image = product(operator, vector, step=k + 1)
        scale = max(scale, norm(image))
        diagonal[k] = inner(vector, image)
        residual, inside = orthogonalize(basis[: k + 1], image)
        gaps[k] = norm(residual)
        if k:  # what the rows before saw of this one, and what this one sees of them
            inside[k - 1] -= gaps[k - 1]
            require_symmetry(operator, float(inside[:k].abs().max()), scale, k + 1)
        invariant = bool(gaps[k] <= BREAKDOWN * torch.finfo(vector.dtype).eps * scale)
        if invariant:
            break
        vector = residual / float(gaps[k])
    k += 1
    return Tridiagonalization(
        basis[:k], diagonal[:k], gaps[: k - 1], residual, float(gaps[k - 1]), invariant
    )


def _require_steps(steps: int, size: int) -> None:
    if not 1 <= steps <= size:
        raise InvalidArgument(
            f"steps must lie between 1 and the operator's size {size}; got {steps}.",
            fix=f"pass steps={size} or fewer; there are no more eigenvalues than that.",
            code="E-L07",
        )


def _unit_start(operator: Operator, start: Tensor) -> Tensor:
    if start.shape != (operator.size,):
        raise InvalidArgument(
            f"start must have shape ({operator.size},); got {tuple(start.shape)}.", code="E-L08"
        )
    length = norm(start)
    if not 0 < length < float("inf"):
        raise InvalidArgument(
            f"start must be finite and not zero; its norm is {length:g}.", code="E-L09"
        )
    return (start.detach() / length).to(operator.device, working_dtype(operator))
