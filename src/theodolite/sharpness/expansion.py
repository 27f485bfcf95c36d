"""The second-order prediction of a rise of the loss, beside the rise itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from theodolite import results
from theodolite.directions import eigenvector_directions
from theodolite.linalg.operator import Operator
from theodolite.linalg.precision import without_autocast
from theodolite.objective import Objective
from theodolite.operators import hessian
from theodolite.sharpness import noise
from theodolite.sharpness.arguments import at_least, facts, one_of, point_of, positive, vectors
from theodolite.sharpness.perturbed import at_points, loss_of, mean_and_error

DIRECTIONS = ("random", "top", "gradient")
"""Directions that are made here."""

TOLERANCE = 0.1
"""Relative error of the prediction up to which it counts as right."""

ROUNDINGS = 64
"""A rise is known to so many roundings of the loss."""

Array = Float64[np.ndarray, "direction radius"]


def predicted_rise(
    objective: Objective,
    directions: str | Float[Tensor, ...] = "random",
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    radius: Sequence[float | int] | None = None,
    count: int = 5,
    engine: str = "auto",
    seed: int = 0,
) -> xr.Dataset:
    r"""The rise of the loss that gradient and Hessian predict, beside the measured one.

    .. math:: L(\theta + r d) - L(\theta) \approx r\, g^\top d + \tfrac12 r^2 d^\top H d,
        \qquad \|d\| = 1

    Parameters
    ----------
    directions
        ``"random"`` (uniform), ``"top"`` (eigenvectors of the largest eigenvalues), ``"gradient"``
        (uphill), or vectors of shape ``(direction, params)`` or ``(params,)``, scaled to length
        one.
    theta
        Where, shape ``(params,)``; by default ``objective.start``.
    radius
        Distances; by default 13 from 1e-4 to 1 times the norm of theta.
    count
        Directions made, for ``"random"`` and ``"top"``.
    engine
        As for `hessian`.

    Returns
    -------
    xarray.Dataset
        ``measured``, ``predicted`` and ``relative_error`` with dimensions
        ``(direction, radius)``, the last relative to the measured rise and NaN where that is
        lost in rounding; ``trust_radius(direction)``: the largest radius such that up to it every
        relative error known is below 10 %; NaN where the first one known is not. For random
        directions ``mean_measured(radius)`` and ``mean_predicted(radius)`` with
        ``measured_error`` and ``predicted_error``, standard errors over directions.
        ``status(direction, radius)``.

    Notes
    -----
    One gradient, one product a direction (``"top"``: about 15 and 5 a direction more) and 1 F a
    direction and radius. The trust radius is one of the radii. Where slope and curvature cancel,
    the measured rise passes zero and the relative error says little. A rise counts as known from
    640 roundings of the loss on: in float32 small radii are not, convert the objective to float64
    for them. Not checked: radii between those given.

    Raises `InvalidArgument` for other directions (E-H14, E-H15), a radius that is not positive
    (E-H11) or a count below 1 (E-H12).

    References
    ----------
    Nocedal, Wright (2006), Numerical Optimization, chapter 4 (models and trust regions).

    Examples
    --------
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 1)
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> bowl = td.Objective(model, torch.nn.MSELoss(), (x, y))  # a quadratic: right everywhere
    >>> d = torch.tensor([0.0, 1.0])
    >>> found = predicted_rise(bowl, d, theta=torch.ones(2), radius=(0.5, 1.0))
    >>> found.measured.values.tolist(), found.trust_radius.values.tolist()
    ([[2.5, 6.0]], [1.0])
    """
    point = point_of(objective, theta)
    size = float(torch.linalg.vector_norm(point.double())) or 1.0
    reach = (np.geomspace(1e-4, 1, 13) * size).tolist() if radius is None else radius
    radii = sorted(positive(reach, "radius"))
    gradient, operator = objective.gradient(point), hessian(objective, point, engine=engine)
    units = _units(objective, directions, point, gradient, operator, count, seed)
    slopes, bends = without_autocast(_coefficients)(units, gradient, operator)
    r = np.array(radii)
    predicted = slopes[:, None] * r + 0.5 * bends[:, None] * r**2
    base, *losses = at_points(objective, point, _offsets(point, units, radii), loss_of)
    measured = np.array(losses).reshape(predicted.shape) - base
    floor = ROUNDINGS * float(torch.finfo(objective.dtype).eps) * abs(base)
    variables = _variables(measured, predicted, r, floor)
    name = directions if isinstance(directions, str) else "given"
    if name == "random":
        variables |= _means(measured, predicted)
    return results.dataset(
        "predicted_rise",
        variables,
        {"direction": np.arange(len(units)), "radius": radii},
        **facts(objective, point, "predicted_rise, trust radius"),
        directions=name,
        tolerance=TOLERANCE,
        seed=seed,
        loss=base,
    )


def _units(
    objective: Objective,
    directions: Any,
    theta: Tensor,
    gradient: Tensor,
    operator: Operator,
    count: int,
    seed: int,
) -> Float[Tensor, "direction params"]:
    """The directions, of length one."""
    if not isinstance(directions, str):
        rows = vectors(objective, directions, "directions").to(theta)
    else:
        one_of(DIRECTIONS, directions, "directions")
        at_least(1, count, "count")
        if directions == "random":
            rows = torch.stack([noise.gaussian(theta, seed, "rise", k) for k in range(count)])
        elif directions == "gradient":
            rows = vectors(objective, gradient, "the gradient").to(theta)
        else:
            ranks = range(1, count + 1)
            rows = eigenvector_directions(operator, ranks=tuple(ranks), seed=seed).directions
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return rows / lengths


def _coefficients(
    units: Float[Tensor, "direction params"], gradient: Tensor, operator: Operator
) -> tuple[Float64[np.ndarray, " direction"], Float64[np.ndarray, " direction"]]:
    """Slope and curvature along every direction."""
    wide = units.double()
    products = torch.stack([operator.matvec(row) for row in units]).double()
    return (wide @ gradient.double()).cpu().numpy(), (wide * products).sum(1).cpu().numpy()


def _offsets(
    theta: Tensor, units: Float[Tensor, "direction params"], radii: list[float]
) -> Iterator[Tensor]:
    yield torch.zeros_like(theta)
    for row in units:
        for r in radii:
            yield r * row


def _variables(
    measured: Array, predicted: Array, radii: Float64[np.ndarray, " radius"], floor: float
) -> dict[str, results.Variable]:
    known = np.abs(measured) >= floor / TOLERANCE
    size = np.where(known & (measured != 0), np.abs(measured), np.nan)
    error = np.abs(measured - predicted) / size
    trust = [_trusted(row, radii.tolist()) for row in error.tolist()]
    dims = ("direction", "radius")
    ok = np.where(np.isfinite(measured), results.OK, results.DIVERGED)
    return {
        "measured": (dims, measured, {"long_name": "measured rise of the loss"}),
        "predicted": (dims, predicted, {"long_name": "second-order prediction of the rise"}),
        "relative_error": (dims, error, {"long_name": "error of the prediction, relative"}),
        "trust_radius": (("direction",), trust, {"long_name": "radius of 10 % relative error"}),
        "status": results.status_variable(dims, ok),
    }


def _trusted(errors: Sequence[float], radii: Sequence[float]) -> float:
    """The last radius before the first error that is too large; unknown ones are passed over."""
    trusted = np.nan
    for error, r in zip(errors, radii, strict=True):
        if error >= TOLERANCE:
            break
        if np.isfinite(error):
            trusted = r
    return float(trusted)


def _means(measured: Array, predicted: Array) -> dict[str, results.Variable]:
    found: dict[str, results.Variable] = {}
    for name, values in (("measured", measured), ("predicted", predicted)):
        mean, error = mean_and_error(values)
        long = f"mean {name} rise over random directions"
        found[f"mean_{name}"] = (("radius",), mean, {"long_name": long})
        found[f"{name}_error"] = (("radius",), error, {"long_name": f"standard error, {long}"})
    return found
