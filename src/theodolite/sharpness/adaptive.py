"""The largest rise of the loss under perturbations in proportion to the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import xarray as xr
from jaxtyping import Float, Shaped
from torch import Tensor

from theodolite.errors import InvalidArgument
from theodolite.linalg.precision import without_autocast
from theodolite.objective import Objective
from theodolite.parameters import ParameterSpace
from theodolite.sharpness.arguments import not_negative, one_of, point_of, positive
from theodolite.sharpness.ball import Ball, label_of, norm_of
from theodolite.sharpness.maximum import described, maxima

BY = ("element", "filter")
"""What has a unit of its own."""


def adaptive_sharpness(
    objective: Objective,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    rho: float | int | Sequence[float | int] = 0.5,
    p: float | int = 2,
    by: str = "element",
    eta0: float | int = 0.0,
    steps: int = 20,
    restarts: int = 1,
    batch_size: int | None = None,
    seed: int = 0,
) -> xr.Dataset:
    r"""The largest rise of the loss under perturbations measured in units of the weights.

    .. math:: \max_{\|T^{-1} e\|_p \le \rho} L(\theta + e) - L(\theta), \qquad
        T = \operatorname{diag}(|\theta|) + \eta_0

    Parameters
    ----------
    theta
        Where, shape ``(params,)``; by default ``objective.start``.
    rho
        The relative distance, or several. With p of infinity, 0.1 moves each weight by up to 10 %.
    p
        2 or ``math.inf``.
    by
        ``"element"``: each weight's own size; ``"filter"``: the norm of its filter (a row of a
        linear layer), biases and normalization layers by element.
    eta0
        Added to T. At 0, the default, the measure does not see layers rescaled and weights that
        are zero do not move; the paper's 0.01 lets them move and gives that up.
    steps
        One is ASAM's: :math:`e = \rho\,T^2 g / \|T g\|`. More: as for `worst_case_sharpness`.
    restarts, batch_size, seed
        As for `worst_case_sharpness`.

    Returns
    -------
    xarray.Dataset
        ``adaptive_sharpness(rho)`` and the other variables of `worst_case_sharpness`.

    Notes
    -----
    Cost, search and limits are those of `worst_case_sharpness`; the ascent runs in the units T,
    so that it takes the same path after a rescaling. **A lower bound.** With ``by="filter"`` the
    ball is in units of the filter's norm for every weight of it, hence much larger for the same
    rho: compare within one choice only. Unchanged by layer rescaling and by the scale of weights
    before a normalization (`eta0` of 0), not by a change of basis.

    Raises `InvalidArgument` as `worst_case_sharpness`, for another `by` (E-H14), an eta0 below 0
    (E-H13), and where T is zero (E-H19).

    References
    ----------
    Kwon, Kim, Park, Choi (2021), arXiv:2102.11600.

    Examples
    --------
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 1)
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> bowl = td.Objective(model, torch.nn.MSELoss(), (x, y))  # w'Hw/2, eigenvalues 1 and 4
    >>> at = torch.tensor([0.0, 1.0])  # only the second weight moves: from 1 to 1.5
    >>> found = adaptive_sharpness(bowl, theta=at, rho=0.5)
    >>> round(float(found.adaptive_sharpness[0]), 5)  # 2 * (1.5 ** 2 - 1)
    2.5
    """
    one_of(BY, by, "by")
    radii, norm, point = positive(rho, "rho"), norm_of(p), point_of(objective, theta)
    scale = not_negative(eta0, "eta0")
    units = units_of(objective.space, point, by) + scale
    if not bool(units.any()):
        raise InvalidArgument(
            "theta is zero, so that no perturbation in proportion to it moves anything.",
            fix="pass eta0 above 0, or use worst_case_sharpness.",
            code="E-H19",
        )
    how: dict[str, Any] = {
        "steps": steps,
        "restarts": restarts,
        "batch_size": batch_size,
        "seed": seed,
    }
    balls = [Ball(radius, norm, units) for radius in radii]
    found = without_autocast(maxima)(objective, point, balls, **how)
    kept = {"p": label_of(norm), "by": by, "eta0": scale, **how}
    measure = _measure(by, scale)
    return described("adaptive_sharpness", measure, objective, point, balls, found, **kept)


def units_of(
    space: ParameterSpace, theta: Float[Tensor, " params"], by: str
) -> Float[Tensor, " params"]:
    """The size of every weight, or of its filter; zero for pruned ones."""
    size = theta.abs()
    if space.pruned is not None:
        size = size.masked_fill(space.pruned.to(size.device), 0.0)
    if by == "element":
        return size
    made = size.clone()
    views, into = space.views(size), space.views(made)
    for e in space.entries:
        if e.reduce_dims:
            filters = views[e.name].reshape(e.view_shape)
            norms = torch.linalg.vector_norm(filters, dim=e.reduce_dims, keepdim=True)
            into[e.name].copy_(norms.expand_as(filters).reshape(e.shape))
    return made


def _measure(by: str, eta0: float) -> str:
    """The row of the table of invariances."""
    if eta0 > 0:
        return "adaptive_sharpness, eta0 > 0"
    return "adaptive_sharpness" + (", by filter" if by == "filter" else "")
