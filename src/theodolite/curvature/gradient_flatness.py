"""Whether a small gradient is on its way to zero, or merely lies in the kernel of the Hessian."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from theodolite.linalg.ends import frobenius_norm
from theodolite.linalg.minres import minimum_residual
from theodolite.linalg.operator import Operator
from theodolite.linalg.products import norm

FLAT = 0.9
"""Residuals of the Newton system above this share are gradient-flat."""

MOST = 1000
"""Products that solving the Newton system may take."""

ROUNDINGS = 100.0
"""A gradient is zero to rounding below so many roundings of ``|H| |theta|``."""


@dataclass(frozen=True, eq=False)
class Flatness:
    r"""How far the Newton system can be solved, with p its shortest least-squares solution.

    ``relative_residual`` is :math:`\|H p + g\| / (\|H\|_F \|p\| + \|g\|)` and ``residual_share``
    :math:`\|H p + g\| / \|g\|`; both NaN where the gradient is zero to rounding (``vanishes``).
    ``solved`` is false where the solver ran out of products: then both may be too large. ``step``
    is p.
    """

    relative_residual: float
    residual_share: float
    frobenius: float
    vanishes: bool
    solved: bool
    products: int
    step: Float[Tensor, " params"]

    @property
    def flat(self) -> bool:
        """Whether either exceeds 0.9."""
        return max(self.relative_residual, self.residual_share) > FLAT

    @property
    def reason(self) -> str:
        """One clause that says why the point is refused; empty where it is not."""
        if not self.flat:
            return ""
        found = (
            f"the gradient is flat: the Newton system leaves {self.residual_share:.3g} of it "
            f"(relative residual {self.relative_residual:.3g}, above {FLAT})"
        )
        return found if self.solved else f"{found}, as far as {self.products} products could tell"


def gradient_flatness(
    operator: Operator,
    gradient: Float[Tensor, " params"],
    theta: Float[Tensor, " params"],
    *,
    max_products: int = MOST,
    seed: int = 0,
) -> Flatness:
    r"""Test whether a point with a small gradient is near a critical point.

    .. math:: r = \frac{\|H p + g\|}{\|H\|_F \|p\| + \|g\|}, \qquad p = -H^+ g

    Zero where g lies in the range of the Hessian, so that a Newton step removes it to first
    order; one where g lies in its kernel: the gradient norm is stationary and not zero, and such
    gradient-flat points are most of what searches for critical points of networks end at. Refused
    above 0.9. Costs at most ``min(2 * size, max_products)`` products for p and 16 for the norm (the
    size for small operators). Eigenvalues below 1e-8 of the largest count as zero. A gradient below
    100 roundings of :math:`\|H\|_F \|\theta\|` is zero as far as float64 can say, and is not
    tested: its direction is noise.

    References: Frye, Simon, Wadia, Ligeralde, DeWeese, Bouchard (2021), Neural Computation 33.

    >>> h = Operator.from_matrix(torch.diag(torch.tensor([1.0, 0.0]).double()))
    >>> g, theta = torch.tensor([0.0, 1e-6]).double(), torch.ones(2).double()
    >>> gradient_flatness(h, g, theta).flat, gradient_flatness(h, g.flip(0), theta).flat
    (True, False)
    """
    frobenius, products = frobenius_norm(operator, seed=seed)
    length = norm(gradient)
    rounding = ROUNDINGS * float(torch.finfo(gradient.dtype).eps)
    if length <= rounding * frobenius * norm(theta):
        still = torch.zeros_like(gradient)
        return Flatness(math.nan, math.nan, frobenius, True, True, products, still)
    solved = minimum_residual(
        operator,
        -gradient,
        operator_norm=frobenius,
        max_products=min(2 * operator.size, max_products),
    )
    relative = solved.residual_norm / (frobenius * norm(solved.solution) + length)
    return Flatness(
        relative_residual=relative,
        residual_share=solved.residual_norm / length,
        frobenius=frobenius,
        vanishes=False,
        solved=solved.outcome != "stopped",
        products=products + solved.products,
        step=solved.solution,
    )
