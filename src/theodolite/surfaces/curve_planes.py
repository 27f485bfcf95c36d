"""The plane through a curve and the straight line between its ends, and the curve upon it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float64
from torch import Tensor

from theodolite import results
from theodolite.directions import PlaneThrough, plane_through
from theodolite.errors import InvalidArgument, InvalidType
from theodolite.objective import Objective
from theodolite.objective.statistics import batch_norm_layers
from theodolite.surfaces.slices import plane

CONTROLS = {"curve": "control_points", "elastic_band": "pivots"}
"""The inner points of a path, by the quantity of its result."""


def curve_plane(
    objective: Objective,
    curve: xr.Dataset,
    *,
    margin: float | int = 0.25,
    steps: Sequence[int] = (51, 51),
    method: str = "adaptive",
    tolerance: float | int = 0.02,
    evaluation: str = "auto",
    test: Objective | None = None,
    seed: int = 0,
) -> xr.Dataset:
    r"""The loss over the plane of a curve and its chord, with the curve drawn onto it.

    .. math:: (\alpha, \beta) \mapsto L(\theta_a + \alpha\,u + \beta\,v), \qquad
        u = \frac{\theta_b - \theta_a}{\lVert\theta_b - \theta_a\rVert}, \quad
        v \perp u \text{ in the plane of } \theta_a, \theta_b, w

    Parameters
    ----------
    curve
        What `curve` or `elastic_band` returned for this objective.
    margin
        How far the picture goes beyond the path, as a share of its larger side.
    steps, method, tolerance, evaluation, test, seed
        As for `plane`.

    Returns
    -------
    xarray.Dataset
        What `plane` returns, with orthonormal axes in units of parameters, and the path on it:
        ``path_alpha`` and ``path_beta`` with dimension ``t``, ``path_residual(t)``, its distance
        from the plane, and ``path_loss(t)``, the loss on the path itself; ``control_alpha`` and
        ``control_beta`` with dimension ``point`` (a, the inner control points, b) and
        ``control_residual``. The attribute ``explained`` is the share of the squared distances of
        these points from the origin that lies in the plane.

    Raises
    ------
    InvalidType
        For something else than such a result (E-A27).
    InvalidArgument
        For a path of another network (E-A27), points on a line (E-V09) or a margin that is not
        positive (E-A28); else as `plane`.

    Notes
    -----
    Costs what `plane` costs. A Bezier curve or a chain with one control point lies in the plane;
    more points span more dimensions, and the plane is that through their mean along their two
    principal axes: read ``path_residual``. The surface below a path that is far from the plane is
    not the loss on the path. BatchNorm statistics are recomputed at every point, as on the curve.

    References
    ----------
    Garipov, Izmailov, Podoprikhin, Vetrov, Wilson (2018), arXiv:1802.10026, figure 1.

    Examples
    --------
    >>> class Ring(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.w = torch.nn.Parameter(torch.ones(2))
    ...     def forward(self, x):
    ...         return x * ((self.w**2).sum() - 1)
    >>> ring = Objective(Ring(), torch.nn.MSELoss(), (torch.ones(2, 1), torch.zeros(2, 1)))
    >>> found = td.curve(ring, *torch.eye(2), learning_rate=0.01)
    >>> surface = curve_plane(ring, found, steps=(5, 5), method="dense")
    >>> surface.attrs["quantity"], round(float(surface.path_alpha[-1]), 3)
    ('plane', 1.414)
    """
    points, shares = _points(objective, curve)
    if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 < margin < np.inf:
        raise InvalidArgument(f"margin must be positive; got {margin!r}.", code="E-A28")
    order = [0, len(points) - 1, *range(1, len(points) - 1)]  # a, b and then the control points
    through = plane_through(objective, [points[k] for k in order], orthonormal=True)
    back = np.argsort(order)
    corners = through.coordinates[back]
    path = shares @ corners
    own = objective.mode == "eval" and batch_norm_layers(objective.model)
    found = plane(
        objective.with_batch_norm("recompute") if own else objective,
        through.directions,
        theta=through.theta,
        span=_span(np.concatenate([path, corners[[0, -1]]]), float(margin)),
        steps=steps,
        method=method,
        tolerance=tolerance,
        evaluation=evaluation,
        test=None if test is None else test.with_batch_norm("recompute") if own else test,
        normalize="none",
        seed=seed,
    )
    found = found.assign_coords(t=curve["t"])
    drawn = _path(curve, through, points, shares, path) | {
        "control_alpha": (("point",), corners[:, 0], "control points along the first axis"),
        "control_beta": (("point",), corners[:, 1], "control points along the second axis"),
        "control_residual": (("point",), through.residuals[back], "their distance from the plane"),
    }
    for name, (dims, values, words) in drawn.items():
        found[name] = (dims, np.asarray(values), {"long_name": words})
    found.attrs["path_length"] = float(curve["length"])
    told = {"explained": through.explained, "path": curve.attrs["quantity"], "margin": margin}
    return found.assign_attrs({k: results.storable(v) for k, v in told.items()})


def _points(objective: Objective, curve: Any) -> tuple[Tensor, Float64[np.ndarray, "t point"]]:
    """a, the inner points and b of a path, and their shares at its places."""
    quantity = curve.attrs.get("quantity") if isinstance(curve, xr.Dataset) else None
    if quantity not in CONTROLS or "ends" not in curve:
        got = f"quantity {quantity!r}" if quantity else type(curve).__name__
        raise InvalidType(
            f"curve must be the result of curve() or elastic_band(); got {got}.", code="E-A27"
        )
    first, last = curve["ends"].values
    points = np.concatenate([first[None], curve[CONTROLS[quantity]].values, last[None]])
    if points.shape[1] != objective.space.size:
        raise InvalidArgument(
            f"the curve has {points.shape[1]} parameters; the objective has "
            f"{objective.space.size}.",
            fix="pass the objective that the curve was made with.",
            code="E-A27",
        )
    return torch.from_numpy(points).to(objective.device), curve["coefficients"].values


def _span(path: Float64[np.ndarray, "place 2"], margin: float) -> list[tuple[float, float]]:
    """The first and last coordinate of both axes: the path's, and a margin around it."""
    low, high = path.min(0), path.max(0)
    room = margin * float((high - low).max())
    return [(float(a - room), float(b + room)) for a, b in zip(low, high, strict=True)]


def _path(
    curve: xr.Dataset,
    through: PlaneThrough,
    points: Tensor,
    shares: Float64[np.ndarray, "t point"],
    path: Float64[np.ndarray, "t 2"],
) -> dict[str, tuple[tuple[str, ...], Any, str]]:
    """The path's coordinates, its distance from the plane and its loss."""
    shadow = torch.from_numpy(path).to(through.directions) @ through.directions
    away = torch.from_numpy(shares).to(points) @ points - through.theta - shadow
    distance = torch.linalg.vector_norm(away.double(), dim=1).cpu().numpy()
    return {
        "path_alpha": (("t",), path[:, 0], "the path along the first axis"),
        "path_beta": (("t",), path[:, 1], "the path along the second axis"),
        "path_residual": (("t",), distance, "distance of the path from the plane"),
        "path_loss": (("t",), curve["loss"].values, "loss on the path"),
    }
