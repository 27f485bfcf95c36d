"""A matrix seen in other units: D^-1/2 A D^-1/2."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from theodolite.errors import InvalidArgument
from theodolite.linalg.operator import Operator


def preconditioned(operator: Operator, diagonal: Float[Tensor, " params"]) -> Operator:
    r"""An operator in the units of a preconditioner.

    .. math:: B = D^{-1/2} A \, D^{-1/2}, \qquad D = \operatorname{diag}(d), \quad d_j > 0

    `B` has the eigenvalues of :math:`D^{-1} A`: what a step :math:`-\eta D^{-1} g` sees. With
    :math:`d = \sqrt{\hat v} + \epsilon` of Adam it decides whether training is stable: on a
    quadratic, below :math:`(2 + 2\beta_1) / ((1 - \beta_1)\,\eta)`, which is 38 over the learning
    rate at :math:`\beta_1 = 0.9`.

    Parameters
    ----------
    operator
        Any symmetric operator.
    diagonal
        ``d``, shape ``(size,)``, positive.

    Returns
    -------
    Operator
        Same size; a product costs one of `operator`. Eigenvectors :math:`u` of it stand for
        directions :math:`D^{-1/2} u` of the parameters.

    Notes
    -----
    Raises `InvalidArgument` for a diagonal of another size, or with entries that are not positive
    and finite (E-D32, E-D33). Whether the inertia `B` has equals that of `A` (Sylvester) is a
    theorem; how near zero its small eigenvalues are depends on `d`.

    References
    ----------
    Cohen et al. (2022), arXiv:2207.14484.

    Examples
    --------
    >>> a = Operator.from_matrix(torch.diag(torch.tensor([8.0, 1.0])))
    >>> preconditioned(a, torch.tensor([4.0, 1.0])).dense()
    tensor([[2., 0.],
            [0., 1.]])
    """
    if tuple(diagonal.shape) != (operator.size,):
        raise InvalidArgument(
            f"diagonal must have shape ({operator.size},); got {tuple(diagonal.shape)}.",
            code="E-D32",
        )
    held = diagonal.detach().to(device=operator.device, dtype=torch.float64)
    if not bool(((held > 0) & held.isfinite()).all()):
        bad = int((~((held > 0) & held.isfinite())).sum())
        raise InvalidArgument(
            f"diagonal must be positive and finite; it is not in {bad} of {operator.size} entries.",
            why="second moments of parameters that never had a gradient are zero.",
            fix="add the optimizer's eps: diagonal = second_moment.sqrt() + eps.",
            code="E-D33",
        )
    root = held.rsqrt().to(operator.dtype)

    def between(product: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def multiply(given: Tensor) -> Tensor:
            units = root if given.dim() == 1 else root[:, None]
            return units * product(units * given.to(root))

        return multiply

    assert operator.matmat is not None
    return Operator(
        between(operator.matvec),
        operator.size,
        operator.dtype,
        f"preconditioned {operator.label}",
        operator.device,
        between(operator.matmat),
        operator.facts,
    )
