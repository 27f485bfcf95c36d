"""The largest eigenvalue of the Hessian, and how near it is to instability of training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Shaped
from torch import Tensor

from theodolite import results
from theodolite.errors import InvalidArgument, NotConverged
from theodolite.linalg.operator import Operator
from theodolite.linalg.precision import without_autocast
from theodolite.linalg.thick_restart import RitzPairs, ritz_pairs
from theodolite.objective import Objective
from theodolite.operators import hessian, preconditioned
from theodolite.sharpness.arguments import facts, point_of, positive

RULES = ("gradient descent", "heavy ball", "Nesterov", "averaged momentum")
"""Update rules with a known largest stable curvature."""


def largest_curvature(
    objective: Objective,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    preconditioner: Float[Tensor, " params"] | None = None,
    learning_rate: float | int | None = None,
    momentum: float | int = 0.9,
    tolerance: float = 1e-4,
    engine: str = "auto",
    seed: int = 0,
) -> xr.Dataset:
    r"""The largest eigenvalue of the Hessian, the sharpness of the edge of stability.

    .. math:: \lambda_{\max}(H), \qquad \text{or} \qquad \lambda_{\max}(D^{-1/2} H D^{-1/2})

    Parameters
    ----------
    theta
        Where, shape ``(params,)``; by default ``objective.start``.
    preconditioner
        The positive diagonal of D, for Adam :math:`\sqrt{\hat v} + \epsilon`: the second formula.
    learning_rate
        If given, the curvature at which training becomes unstable is reported as well.
    momentum
        :math:`\beta` of the rules that have one; at least 0 and below 1.
    tolerance
        Residual allowed, relative to the largest eigenvalue in size.
    engine
        As for `hessian`.

    Returns
    -------
    xarray.Dataset
        ``largest_curvature`` and ``residual`` (an eigenvalue lies that near it); with a learning
        rate, ``threshold(rule)`` and ``relative(rule)``, the curvature over the threshold: above
        1 the rule diverges on the quadratic. attrs: ``products``, ``miss_probability``.

    Notes
    -----
    About 15 products of 6 F; memory up to 200 vectors. Thresholds on a quadratic, D = I or not:
    :math:`2/\eta` for gradient descent, :math:`(2+2\beta)/\eta` for the heavy ball,
    :math:`(2+2\beta)/(\eta(1+2\beta))` for Nesterov, and :math:`(2+2\beta)/((1-\beta)\eta)` where
    the momentum is an average of gradients, as in Adam (38 over the learning rate at 0.9). Full
    batch only: with small batches training stays below. The residual bounds the error of the
    eigenvalue, not the chance that a larger one was missed (``miss_probability``). By
    itself it says nothing about how well a network generalizes: a rescaling of layers by 10,
    which leaves the network as it is, makes it up to 100 times as large.

    Raises `NotConverged` with the same dataset as ``result``, `InvalidArgument` for a learning
    rate that is not positive (E-H11) or a momentum outside its range (E-H20).

    References
    ----------
    Cohen et al. (2021), arXiv:2103.00065. Cohen et al. (2022), arXiv:2207.14484.

    Examples
    --------
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 1)
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> bowl = td.Objective(model, torch.nn.MSELoss(), (x, y))  # eigenvalues 1 and 4
    >>> found = largest_curvature(bowl, learning_rate=0.25)
    >>> round(float(found.largest_curvature), 5)
    4.0
    >>> round(float(found.relative.sel(rule="gradient descent")), 5)
    0.5
    """
    point = point_of(objective, theta)
    limits = _thresholds(learning_rate, momentum)
    operator = hessian(objective, point, engine=engine)
    if preconditioner is not None:
        operator = preconditioned(operator, preconditioner)

    def described(pairs: RitzPairs) -> xr.Dataset:
        measure = "largest_curvature" + ("" if preconditioner is None else ", preconditioned")
        known = facts(objective, point, measure)
        settings = {"learning_rate": learning_rate, "momentum": momentum, "seed": seed}
        return _dataset(operator, pairs, limits, **{**known, **settings, "tolerance": tolerance})

    try:
        pairs = without_autocast(ritz_pairs)(operator, count=1, tolerance=tolerance, seed=seed)
    except NotConverged as error:
        error.result = described(error.result)
        raise
    return described(pairs)


def _thresholds(learning_rate: float | int | None, momentum: float | int) -> list[float] | None:
    """The curvature at which each of `RULES` becomes unstable; None without a learning rate."""
    if not (0 <= momentum < 1):
        raise InvalidArgument(
            f"momentum must be at least 0 and below 1; got {momentum!r}.", code="E-H20"
        )
    if learning_rate is None:
        return None
    (eta,), beta = positive(learning_rate, "learning_rate"), float(momentum)
    heavy = (2 + 2 * beta) / eta
    return [2 / eta, heavy, heavy / (1 + 2 * beta), heavy / (1 - beta)]


def _dataset(
    operator: Operator, pairs: RitzPairs, limits: list[float] | None, **attrs: Any
) -> xr.Dataset:
    value, residual = float(pairs.values[0]), float(pairs.residuals[0])
    variables: dict[str, results.Variable] = {
        "largest_curvature": ((), value, {"long_name": f"largest eigenvalue, {operator.label}"}),
        "residual": ((), residual, {"long_name": "residual |A v - lambda v|"}),
    }
    if limits is not None:
        threshold = np.asarray(limits)
        long = "curvature at which the rule becomes unstable"
        variables["threshold"] = (("rule",), threshold, {"long_name": long})
        long = "largest curvature over the threshold"
        variables["relative"] = (("rule",), value / threshold, {"long_name": long})
    found = {
        "operator": operator.label,
        "products": pairs.products,
        "converged": pairs.converged,
        "miss_probability": pairs.miss_probability if math.isfinite(pairs.miss_probability) else 1,
    }
    coords = {} if limits is None else {"rule": list(RULES)}
    return results.dataset(
        "largest_curvature", variables, coords, **{**operator.facts, **attrs, **found}
    )
