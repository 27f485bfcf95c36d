"""Gauss quadrature of a spectral measure, from one Lanczos run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

from theodolite.linalg.lanczos import tridiagonalize
from theodolite.linalg.operator import Operator


@dataclass(frozen=True, eq=False)
class Quadrature:
    """Nodes in ascending order and weights that sum to one; ``products`` is what they cost.

    When the Krylov space ran out early, the last node is repeated with zero weight.
    """

    node: Float64[np.ndarray, " step"]
    weight: Float64[np.ndarray, " step"]
    products: int


def gauss_rule(operator: Operator, start: Float[Tensor, " size"], *, steps: int) -> Quadrature:
    r"""The Gauss rule of the spectral measure of `start`.

    .. math::
        \frac{s^\top f(A) s}{s^\top s} \approx \sum_j w_j f(\theta_j), \qquad
        w_j = (e_1^\top y_j)^2,

    with :math:`(\theta_j, y_j)` the eigenpairs of the Lanczos tridiagonal matrix. Exact for
    polynomials of degree up to ``2 * steps - 1``. Shapes ``(step,)``, float64 whatever the
    operator's dtype. Costs `steps` products and ``steps * size`` memory while it runs; errors
    and what is not checked are those of `tridiagonalize`.

    References: Golub, Welsch (1969), Mathematics of Computation 23.

    >>> a = Operator.from_matrix(torch.diag(torch.tensor([1.0, 3.0], dtype=torch.float64)))
    >>> rule = gauss_rule(a, torch.ones(2, dtype=torch.float64), steps=2)
    >>> rule.node.round(6).tolist(), rule.weight.round(6).tolist()
    ([1.0, 3.0], [0.5, 0.5])
    """
    section = tridiagonalize(operator, start, steps=steps)
    theta, vectors = eigh_tridiagonal(section.diagonal.numpy(), section.off_diagonal.numpy())
    node = np.full(steps, theta[-1], dtype=np.float64)
    weight = np.zeros(steps)
    node[: len(theta)] = theta
    weight[: len(theta)] = vectors[0] ** 2
    return Quadrature(node, weight, section.products)
