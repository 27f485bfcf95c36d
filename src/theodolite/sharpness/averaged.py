"""The mean rise of the loss under Gaussian perturbations, beside its second-order value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float64, Shaped
from torch import Tensor

from theodolite import results
from theodolite.linalg.operator import Operator
from theodolite.linalg.precision import without_autocast
from theodolite.linalg.products import wide_dtype
from theodolite.objective import Objective
from theodolite.operators import hessian
from theodolite.sharpness import noise
from theodolite.sharpness.arguments import at_least, facts, point_of, positive
from theodolite.sharpness.perturbed import at_points, loss_of, mean_and_error

CHUNK = 8
"""Draws multiplied by the Hessian at once."""

Array = Float64[np.ndarray, "draw sigma"]


def average_sharpness(
    objective: Objective,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    sigma: float | int | Sequence[float | int] = 0.01,
    adaptive: bool = False,
    draws: int = 32,
    second_order: bool = True,
    engine: str = "auto",
    seed: int = 0,
) -> xr.Dataset:
    r"""The mean rise of the loss under Gaussian perturbations.

    .. math:: \mathbb E_{u \sim \mathcal N(0, \sigma^2 I)}\, L(\theta + u) - L(\theta)
        \approx \tfrac12 \sigma^2 \operatorname{tr} H

    Parameters
    ----------
    theta
        Where, shape ``(params,)``; by default ``objective.start``.
    sigma
        Standard deviation of each coordinate, or several (they share the draws).
    adaptive
        In units of the weights: :math:`u_i \sim \mathcal N(0, \sigma^2\theta_i^2)`, which does
        not see layers rescaled; the second-order value is
        :math:`\frac12\sigma^2\sum_i\theta_i^2 H_{ii}`.
    draws
        Antithetic pairs :math:`\pm u`, at least 2. Draw `k` depends on `seed` and `k` alone.
    second_order
        Also multiply each draw by the Hessian, ``engine`` as for `hessian`.

    Returns
    -------
    xarray.Dataset
        ``average_sharpness(sigma)`` and ``standard_error(sigma)``, mean and error of
        ``rise(draw, sigma)``, one value a pair. With `second_order`, from the same draws,
        ``second_order(sigma)`` and its error, mean of
        ``second_order_rise(draw, sigma)``: :math:`\frac12\sigma^2 z'Hz`, Hutchinson's estimate
        with Gaussian probes; and ``higher_order(sigma)`` with its error: the mean of the
        differences draw by draw, in which what both have in common cancels. ``status(sigma)``.
        NaN where the loss was not finite for one draw.

    Notes
    -----
    Costs 2 F a draw and sigma, and one product (6 F) a draw; unbiased. Pairs cancel all odd
    orders, the gradient's among them. Use Student's t with ``draws - 1`` degrees of freedom for
    intervals; they are too short where a few draws decide (large sigma). Of order sigma squared
    times the trace, so wide networks have large values at equal eigenvalues. Rectified networks
    have kinks that the Hessian does not know: ``higher_order`` shows them. Not checked: that the
    mean exists (it does not where the loss grows like :math:`e^{u^4}`).

    Raises `InvalidArgument` for a sigma that is not positive (E-H11) or fewer than 2 draws
    (E-H12), `UnsupportedModel` where there is no Hessian (pass ``second_order=False``).

    References
    ----------
    Andriushchenko et al. (2023), arXiv:2302.07011. Hutchinson (1990), Communications in
    Statistics 19.

    Examples
    --------
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 1)
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> bowl = td.Objective(model, torch.nn.MSELoss(), (x, y))  # trace 5
    >>> found = average_sharpness(bowl, sigma=0.1, draws=400)  # 0.1 ** 2 * 5 / 2 = 0.025
    >>> bool(abs(found.average_sharpness - 0.025) < 3 * found.standard_error)
    True
    >>> bool(abs(found.higher_order) < 1e-6)  # the loss is quadratic
    True
    """
    point, sigmas = point_of(objective, theta), positive(sigma, "sigma")
    at_least(2, draws, "draws")
    units = point.abs() if adaptive else torch.ones_like(point)
    rises = _rises(objective, point, units, sigmas, draws, seed)
    variables = _summary("average_sharpness", "standard_error", "rise", rises)
    if second_order:
        operator = hessian(objective, point, engine=engine)
        forms = without_autocast(_forms)(operator, point, units, draws, seed)
        bent = 0.5 * forms[:, None] * np.square(sigmas)
        bent = np.where(np.isfinite(rises).all(0), bent, np.nan)
        variables |= _summary("second_order", "second_order_error", "second_order_rise", bent)
        beyond = _summary("higher_order", "higher_order_error", "", rises - bent)
        variables |= {k: v for k, v in beyond.items() if k}
    ok = np.isfinite(rises).all(0)
    variables["status"] = results.status_variable(
        ("sigma",), np.where(ok, results.OK, results.DIVERGED)
    )
    return results.dataset(
        "average_sharpness",
        variables,
        {"sigma": sigmas, "draw": np.arange(draws)},
        **facts(objective, point, "average_sharpness" + (", adaptive" if adaptive else "")),
        adaptive=adaptive,
        draws=draws,
        seed=seed,
        passes=1 + 2 * draws * len(sigmas),
        products=draws if second_order else 0,
    )


def _rises(
    objective: Objective,
    theta: Tensor,
    units: Tensor,
    sigmas: list[float],
    draws: int,
    seed: int,
) -> Array:
    """The mean of the rises at ``theta + u`` and ``theta - u``, by draw and sigma."""

    def offsets() -> Iterator[Tensor]:
        yield torch.zeros_like(theta)
        for draw in range(draws):
            u = units * noise.gaussian(theta, seed, "average", draw)
            for sigma in sigmas:
                yield sigma * u
                yield -sigma * u

    base, *losses = at_points(objective, theta, offsets(), loss_of)
    pairs = np.array(losses).reshape(draws, len(sigmas), 2)
    return np.asarray((pairs - base).mean(axis=2))


def _forms(
    operator: Operator, theta: Tensor, units: Tensor, draws: int, seed: int
) -> Float64[np.ndarray, " draw"]:
    """The quadratic form z'Hz of every draw, in its units."""
    assert operator.matmat is not None
    found: list[float] = []
    for first in range(0, draws, CHUNK):
        chosen = range(first, min(first + CHUNK, draws))
        columns = [units * noise.gaussian(theta, seed, "average", k) for k in chosen]
        z = torch.stack(columns, 1)
        forms = torch.sum(z * operator.matmat(z), 0, dtype=wide_dtype(operator.device))
        found += forms.cpu().tolist()
    return np.array(found)


def _summary(mean: str, error: str, sample: str, values: Array) -> dict[str, Any]:
    """Mean, standard error and samples as variables."""
    what = {
        "average_sharpness": "mean rise of the loss",
        "second_order": "second-order mean rise, sigma^2/2 tr H",
        "higher_order": "mean rise beyond second order",
    }[mean]
    centers, errors = mean_and_error(values)
    return {
        mean: (("sigma",), centers, {"long_name": what}),
        error: (("sigma",), errors, {"long_name": f"standard error of the {what}"}),
        sample: (("draw", "sigma"), values, {"long_name": f"{what}, one draw"}),
    }
