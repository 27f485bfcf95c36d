"""The search for critical points that minimizes the gradient's norm."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float64
from scipy.optimize import OptimizeResult, minimize

from theodolite.curvature.critical_search import Goal, Path, Spot, hessian_at, spot_at
from theodolite.errors import NotFinite
from theodolite.objective import Objective

CORRECTIONS = 20
"""Pairs of vectors that L-BFGS remembers."""


def least_gradient(objective: Objective, start: Spot, goal: Goal) -> Path:
    r"""Minimize :math:`\tfrac12 \|g\|^2`, whose gradient is :math:`H g`, by L-BFGS.

    One gradient and one Hessian product an evaluation. It also stops where :math:`H g = 0` and
    g is not: such points are what the test for gradient-flatness is for. McIver, Komornicki
    (1972), J. Am. Chem. Soc. 94; Byrd, Lu, Nocedal, Zhu (1995), SIAM J. Sci. Comput. 16.
    """
    marks, end = [goal.marked(start)], start
    tried = {start.theta.numpy(force=True).tobytes(): start}
    scale = start.square or 1.0
    made = 0

    def half_square(x: Float64[np.ndarray, " params"]) -> tuple[float, np.ndarray]:
        nonlocal made
        made += 1
        theta = torch.from_numpy(x.copy()).to(start.theta)
        try:
            spot = spot_at(objective, theta, made)
            image = hessian_at(objective, spot, verify=made == 1).matvec(spot.gradient)
        except NotFinite:
            return np.inf, np.zeros_like(x)
        tried[x.tobytes()] = spot
        return 0.5 * spot.square / scale, image.numpy(force=True) / scale

    def moved(intermediate_result: OptimizeResult) -> None:
        nonlocal end
        end = tried[intermediate_result.x.tobytes()]
        marks.append(goal.marked(end))
        tried.clear()
        if end.square <= goal.tolerance or made >= goal.max_products:
            raise StopIteration

    if start.square > goal.tolerance:
        bounds = {"ftol": 0.0, "gtol": 0.0, "maxfun": goal.max_products, "maxcor": CORRECTIONS}
        minimize(
            half_square,
            start.theta.numpy(force=True).copy(),
            jac=True,
            method="L-BFGS-B",
            callback=moved,
            options={**bounds, "maxiter": goal.max_products, "maxls": 40},
        )
    if end.square <= goal.tolerance:
        return Path(marks, end, "tolerance", made)
    return Path(marks, end, "products" if made >= goal.max_products else "stalled", made)
