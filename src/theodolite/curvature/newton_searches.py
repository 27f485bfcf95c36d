"""Newton searches for critical points: of any index, and of minima."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float64
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

from theodolite.curvature.critical_search import (
    SLOPE,
    Goal,
    Path,
    Spot,
    hessian_at,
    stepped,
    walked,
)
from theodolite.linalg.lanczos import tridiagonalize
from theodolite.linalg.minres import minimum_residual
from theodolite.linalg.operator import Operator
from theodolite.linalg.products import inner
from theodolite.objective import Objective

SOLVE = 200
"""Products one Newton system may take."""

FORCING = (1e-10, 0.1)
"""Newton systems are solved to the gradient norm over the first one, within these."""

KRYLOV = 40
"""Dimension of the space in which the size of the Hessian is taken."""

FLOOR = 1e-8
"""Curvatures count as at least this share of the largest in that space."""

ROUNDINGS = 100 * 2.3e-16
"""Differences of losses below this share of them are rounding."""


def newton_mr(objective: Objective, start: Spot, goal: Goal) -> Path:
    r"""Newton steps :math:`p \approx -H^+ g` by MINRES, with a line search on :math:`\|g\|^2`.

    The slope of :math:`\|g\|^2` along p is :math:`2 g^\top H p = -2 \|H p\|^2` for every iterate
    of MINRES, whatever the signs of the eigenvalues: minima, saddles and maxima are all
    attractive. Roosta, Liu, Xu, Mahoney (2022), EURO J. Comput. Optim. 10.
    """
    first = start.square**0.5

    def advance(here: Spot) -> tuple[tuple[Spot, float] | None, int]:
        share = float(np.clip(here.square**0.5 / first, *FORCING))
        solved = minimum_residual(
            hessian_at(objective, here, verify=here is start),
            -here.gradient,
            tolerance=share,
            early=share,
            max_products=min(SOLVE, goal.left(here)),
        )
        image = -here.gradient - solved.residual
        slope = 2 * inner(here.gradient, image)
        used = here.products + solved.products

        def accepts(there: Spot, length: float) -> bool:
            return there.square <= here.square + SLOPE * length * slope

        if slope >= 0:
            return None, used
        return stepped(objective, here, solved.solution, used, accepts), used

    return walked(start, goal, advance)


def saddle_free_newton(objective: Objective, start: Spot, goal: Goal) -> Path:
    r"""Steps :math:`-|H|^{-1} g` in a Krylov space, with a line search on the loss.

    Directions of negative curvature are descended, so that saddles are left and minima found.
    Dauphin et al. (2014), arXiv:1406.2572.
    """

    def advance(here: Spot) -> tuple[tuple[Spot, float] | None, int]:
        operator = hessian_at(objective, here, verify=here is start)
        steps = min(KRYLOV, operator.size, goal.left(here))
        direction, made = _rectified(operator, here.gradient, steps)
        used = here.products + made
        slope = inner(here.gradient, direction)

        def accepts(there: Spot, length: float) -> bool:
            rounding = ROUNDINGS * max(abs(here.loss), abs(there.loss))
            if abs(there.loss - here.loss) <= rounding:  # the loss no longer tells
                return there.square < (1 - SLOPE) * here.square
            return there.loss <= here.loss + SLOPE * length * slope

        if slope >= 0:
            return None, used
        return stepped(objective, here, direction, used, accepts), used

    return walked(start, goal, advance)


def _rectified(
    operator: Operator, gradient: Float64[Tensor, " params"], steps: int
) -> tuple[Float64[Tensor, " params"], int]:
    """The step in the Krylov space of the gradient; zero where the Hessian is zero there."""
    run = tridiagonalize(operator, gradient, steps=steps)
    values, vectors = eigh_tridiagonal(run.diagonal.numpy(), run.off_diagonal.numpy())
    sizes = np.abs(values)
    if sizes.max() == 0:
        return torch.zeros_like(gradient), run.products
    shares = vectors @ (vectors[0] / np.maximum(sizes, FLOOR * sizes.max()))
    weights = torch.from_numpy(shares * inner(gradient, gradient) ** 0.5).to(gradient)
    return -(weights @ run.basis), run.products
