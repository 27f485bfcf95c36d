"""The curvature of the loss along chosen directions, the gradient's among them."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Shaped
from torch import Tensor

from theodolite import results
from theodolite.linalg.precision import without_autocast
from theodolite.objective import Objective
from theodolite.operators import hessian
from theodolite.sharpness.arguments import facts, point_of, vectors


def directional_curvature(
    objective: Objective,
    directions: Float[Tensor, ...] | None = None,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    engine: str = "auto",
) -> xr.Dataset:
    r"""The curvature of the loss along directions, and along the gradient.

    .. math:: \kappa(d) = \frac{d^\top H d}{\|d\|^2}, \qquad s(d) = \frac{g^\top d}{\|d\|}

    Parameters
    ----------
    directions
        Shape ``(direction, params)`` or ``(params,)``, of any length; by default none but the
        gradient.
    theta
        Where, shape ``(params,)``; by default ``objective.start``.
    engine
        As for `hessian`.

    Returns
    -------
    xarray.Dataset
        ``directional_curvature(direction)`` and ``slope(direction)``, with ``name(direction)``:
        the place in `directions`, or "gradient" for the last. NaN for a gradient of zero.

    Notes
    -----
    One gradient (3 F) and one product (6 F) a direction; exact, no sample. Along the gradient, the
    inverse is the step that lowers a quadratic most. Every value lies between the smallest and
    the largest eigenvalue; that along a random direction is near the trace over the number of
    parameters, so a flat look along one direction says little.

    Raises `InvalidArgument` for directions of another shape or zero (E-H15).

    References
    ----------
    Li, Xu, Taylor, Studer, Goldstein (2018), arXiv:1712.09913 (curvature along directions).
    Cohen et al. (2021), arXiv:2103.00065.

    Examples
    --------
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 1)
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> bowl = td.Objective(model, torch.nn.MSELoss(), (x, y))  # eigenvalues 1 and 4
    >>> d = torch.tensor([1.0, 1.0])
    >>> found = directional_curvature(bowl, d, theta=torch.tensor([0.0, 1.0]))
    >>> found.directional_curvature.values.round(5).tolist()  # the gradient is (0, 4)
    [2.5, 4.0]
    """
    point = point_of(objective, theta)
    gradient = objective.gradient(point)
    given = torch.empty(0, len(point)) if directions is None else directions
    rows = vectors(objective, given, "directions") if directions is not None else given
    units = torch.cat([rows.to(point), gradient.to(point)[None]])
    units = torch.nn.functional.normalize(units, dim=1, eps=0.0)
    units = torch.where(units.isfinite(), units, 0.0)
    wide = gradient.double()
    slopes = torch.stack([row.double() @ wide for row in units])
    bent = without_autocast(_forms)(objective, point, units, engine)
    found = np.stack([bent, slopes.cpu().numpy()])
    found[:, ~units.any(dim=1).cpu().numpy()] = np.nan
    dims = ("direction",)
    return results.dataset(
        "directional_curvature",
        {
            "directional_curvature": (dims, found[0], {"long_name": "curvature along a direction"}),
            "slope": (dims, found[1], {"long_name": "slope along a direction"}),
            "name": (
                dims,
                [*map(str, range(len(rows))), "gradient"],
                {"long_name": "what the direction is"},
            ),
        },
        {"direction": np.arange(len(units))},
        **facts(objective, point, "directional_curvature"),
        products=len(units),
    )


def _forms(
    objective: Objective, theta: Tensor, units: Float[Tensor, "direction params"], engine: str
) -> np.ndarray:
    """d'Hd of every row."""
    operator = hessian(objective, theta, engine=engine)
    forms = [float(row.double() @ operator.matvec(row).double()) for row in units]
    return np.array(forms)
