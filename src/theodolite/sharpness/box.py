"""Keskar's sharpness: the largest rise of the loss in a small box, in per cent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Float64, Shaped
from scipy.optimize import minimize
from torch import Tensor

from theodolite import results
from theodolite.errors import InvalidArgument
from theodolite.linalg.precision import without_autocast
from theodolite.objective import Objective
from theodolite.sharpness import noise
from theodolite.sharpness.arguments import at_least, facts, one_of, point_of, positive
from theodolite.sharpness.perturbed import mean_and_error

COLUMNS = ("orthonormal", "gaussian")
"""How the columns of a random subspace are made."""

Vector = Float64[np.ndarray, " coordinate"]


@dataclass(frozen=True, eq=False)
class Box:
    """``|z_i| <= epsilon * reach_i``, and how z moves the parameters (None: by itself)."""

    reach: Float[Tensor, " coordinate"]
    columns: Float[Tensor, "params coordinate"] | None = None

    def moved(self, z: Tensor) -> Tensor:
        """The perturbation that z stands for."""
        return z if self.columns is None else self.columns @ z

    def pulled(self, gradient: Tensor) -> Tensor:
        """The gradient by z."""
        return gradient if self.columns is None else self.columns.T @ gradient


def keskar_sharpness(
    objective: Objective,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    epsilon: float | int | Sequence[float | int] = (1e-3, 5e-4),
    subspace: int | None = None,
    columns: str = "orthonormal",
    draws: int = 5,
    iterations: int = 10,
    seed: int = 0,
) -> xr.Dataset:
    r"""Keskar's sharpness (Metric 2.1): the largest relative rise of the loss in a box.

    .. math:: \phi = 100\,\frac{\max_{z \in C_\epsilon} L(\theta + A z) - L(\theta)}{1 + L(\theta)},
        \qquad C_\epsilon = \{z : |z_i| \le \epsilon\,(|(A^+\theta)_i| + 1)\}

    Parameters
    ----------
    theta
        Where, shape ``(params,)``; by default ``objective.start``.
    epsilon
        Half-width of the box, or several.
    subspace
        Columns of a random A; ``None``, the default, is the full space, A = I. The paper takes
        100.
    columns
        ``"orthonormal"`` or ``"gaussian"`` (independent standard Gaussian entries).
    draws
        Random subspaces; not used in the full space.
    iterations
        Of L-BFGS-B.

    Returns
    -------
    xarray.Dataset
        ``keskar_sharpness(epsilon)``; in a subspace the mean over ``phi(draw, epsilon)``, with
        ``standard_error(epsilon)``. ``at_bounds(epsilon)``: the share of coordinates at the walls
        of the box at the best point. ``status(epsilon)``. NaN where the loss was not finite.

    Notes
    -----
    About 4 F an iteration and epsilon (and draw). The best of all points tried, so **a lower
    bound**: 10 iterations need not reach the maximum. Memory: with a subspace ``params`` times
    `subspace` numbers. SciPy's L-BFGS-B, with z in units of the box and the loss in units of its
    first slope: in plain units its stopping rules, which are absolute, end the search at once at
    a flat minimum and report 0. Where the gradient is exactly zero the
    search starts on a random point. The box is in absolute units through the "+1", so the value
    changes with a rescaling of layers; in the full space also with the basis.

    Raises `InvalidArgument` for an epsilon that is not positive (E-H11), a subspace of more
    columns than parameters (E-H21), other `columns` (E-H14), and a loss of -1 or less (E-H22).

    References
    ----------
    Keskar, Mudigere, Nocedal, Smelyanskiy, Tang (2017), arXiv:1609.04836.

    Examples
    --------
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 1)
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> bowl = td.Objective(model, torch.nn.MSELoss(), (x, y))  # (w_1^2 + 4 w_2^2) / 2
    >>> at = torch.tensor([1.0, 0.0])  # the box is [0.8, 1.2] by [-0.1, 0.1]
    >>> found = keskar_sharpness(bowl, theta=at, epsilon=0.1)
    >>> bool(14.66 < found.keskar_sharpness[0] < 16.1)  # 100 (0.72 [+ 0.02] - 0.5) / 1.5
    True
    """
    point, widths = point_of(objective, theta), positive(epsilon, "epsilon")
    one_of(COLUMNS, columns, "columns")
    at_least(1, iterations, "iterations")
    at_least(1, draws, "draws")
    base = float(objective.value(point))
    _check(objective, base, subspace)
    boxes = [
        _box(point, subspace, columns, seed, k) for k in range(1 if subspace is None else draws)
    ]
    climb = without_autocast(_climbed)
    found = np.array(
        [[climb(objective, point, base, box, w, iterations, seed) for w in widths] for box in boxes]
    )
    settings = {"subspace": subspace, "columns": columns, "draws": len(boxes)}
    return _dataset(
        found,
        widths,
        **facts(objective, point, "keskar_sharpness" + ("" if subspace is None else ", subspace")),
        **settings,
        iterations=iterations,
        seed=seed,
        bound="lower",
        loss=base,
    )


def _check(objective: Objective, base: float, subspace: int | None) -> None:
    if subspace is not None and at_least(1, subspace, "subspace") > objective.space.size:
        raise InvalidArgument(
            f"subspace must be at most the number of parameters, {objective.space.size}; "
            f"got {subspace}.",
            code="E-H21",
        )
    if not base > -1:
        raise InvalidArgument(
            f"the loss at theta must be above -1; it is {base:.6g}.",
            why="the rise is divided by 1 + loss.",
            fix="use worst_case_sharpness with p=math.inf.",
            code="E-H22",
        )


def _box(theta: Tensor, subspace: int | None, columns: str, seed: int, draw: int) -> Box:
    """The box around theta, or around its shadow in a random subspace."""
    if subspace is None:
        return Box(theta.abs() + 1)
    made = [noise.gaussian(theta, seed, f"subspace {draw}", k) for k in range(subspace)]
    basis = torch.stack(made, 1)
    if columns == "orthonormal":
        basis = torch.linalg.qr(basis)[0]
    shadow = torch.linalg.lstsq(basis.double(), theta.double()).solution.to(theta)
    return Box(shadow.abs() + 1, basis)


def _climbed(
    objective: Objective,
    theta: Tensor,
    base: float,
    box: Box,
    epsilon: float,
    iterations: int,
    seed: int,
) -> tuple[float, float]:
    """Phi, and the share of coordinates at a wall; both NaN where the loss was not finite."""
    best = {"rise": 0.0, "walls": 0.0, "unit": 0.0}
    reach = epsilon * box.reach

    def tried(y: Vector) -> tuple[float, Vector]:
        z = reach * torch.from_numpy(y.copy()).to(reach)
        at = theta + box.moved(z)
        rise = float(objective.value(at)) - base
        if not math.isfinite(rise):
            raise FloatingPointError
        if rise > best["rise"]:
            best.update(rise=rise, walls=float((np.abs(y) >= 1 - 1e-9).mean()))
        slope = (reach * box.pulled(objective.gradient(at))).double().cpu().numpy()
        best["unit"] = best["unit"] or float(np.abs(slope).max())
        unit = best["unit"] or 1.0
        return -rise / unit, -slope / unit

    start = np.zeros(len(reach))
    if not bool(objective.gradient(theta).any()):
        start = torch.erf(noise.gaussian(reach, seed, "box", 0).double()).cpu().numpy()
    try:
        minimize(
            tried,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=[(-1, 1)] * len(start),
            options={"maxiter": iterations},
        )
    except FloatingPointError:
        return math.nan, math.nan
    return 100 * best["rise"] / (1 + base), best["walls"]


def _dataset(
    found: Float64[np.ndarray, "draw epsilon two"], widths: list[float], **attrs: Any
) -> xr.Dataset:
    values, walls = found[..., 0], found[..., 1]
    mean, error = mean_and_error(values)
    dims = ("epsilon",)
    lost = ~np.isfinite(mean)
    variables: dict[str, results.Variable] = {
        "keskar_sharpness": (dims, mean, {"long_name": "Keskar's sharpness", "units": "%"}),
        "at_bounds": (dims, walls.mean(0), {"long_name": "share of coordinates at the walls"}),
        "status": results.status_variable(dims, np.where(lost, results.DIVERGED, results.OK)),
    }
    if attrs["subspace"] is not None:
        long = "standard error of the mean over subspaces"
        variables["standard_error"] = (dims, error, {"long_name": long, "units": "%"})
        long = "Keskar's sharpness in one subspace"
        variables["phi"] = (("draw", *dims), values, {"long_name": long, "units": "%"})
    return results.dataset("keskar_sharpness", variables, {"epsilon": widths}, **attrs)
