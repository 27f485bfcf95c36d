"""What several planes say together: the loss by distance from the center, and how it varies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float64

from theodolite import results
from theodolite.errors import InvalidArgument, InvalidType

SHARED = ("fingerprint", "normalize", "theta_norm", "start_loss", "batch_norm", "mode", "axes")
"""What planes must agree in to be repeats of one measurement."""

Array = Float64[np.ndarray, "..."]


def plane_spread(planes: Sequence[xr.Dataset], *, rings: int | None = None) -> xr.Dataset:
    r"""The mean loss on rings about the center, plane by plane, and its spread over planes.

    .. math:: \bar L_p(r_k) = \operatorname{mean}\{L_p(\alpha, \beta) :
        |\rho_p(\alpha, \beta) - r_k| \le w/2\}, \qquad
        \rho_p = \lVert\alpha d_1 + \beta d_2\rVert / \ell

    where :math:`\ell` is the root mean square length of all axes. One plane is not a measurement;
    the standard error over independent planes says how far their mean can be trusted.

    Parameters
    ----------
    planes
        Results of `plane` along independent random directions of one objective.
    rings
        How many rings after the center; by default as many as there are steps of the coarsest
        grid within the largest circle that lies in every plane.

    Returns
    -------
    xarray.Dataset
        ``loss(plane, radius)`` and, over planes, ``mean``, ``deviation`` and ``error`` (standard
        error of the mean) with dimension ``radius``; ``spread``: the deviation over the mean rise
        above the center; ``points(plane, radius)``: how many grid points a ring has; ``status``
        (1 ok, 2 diverged: a point of the ring is not finite, and the mean of the ring is NaN).
        A ring that diverged in one plane has no mean over planes; with one plane there are no
        deviation and no error. attrs: ``axis_length`` is the length of radius one.

    Raises
    ------
    InvalidType
        For anything but results of `plane` (E-V13).
    InvalidArgument
        For no plane, planes of different objectives, points or normalizations, the same plane
        twice, or a center outside (E-V14), or `rings` that leave a ring empty (E-V15).

    Notes
    -----
    Costs no pass. Distances use lengths and cosine of the axes, so oblique axes do not matter. A
    ring has the width of the distance between rings: where the loss is curved, its mean differs
    from the loss on the circle by the same amount in every plane. Not checked: that directions are
    random; along eigenvectors or between checkpoints a spread means nothing.

    Examples
    --------
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> objective = td.Objective(model, torch.nn.MSELoss(), (torch.eye(2), torch.zeros(2, 1)))
    >>> axes = torch.eye(2), torch.tensor([[0.0, 1.0], [-1.0, 0.0]])  # the second turned by 90
    >>> far = [td.plane(objective, d, theta=torch.tensor([1.0, 0]), steps=(5, 5)) for d in axes]
    >>> made = plane_spread(far)  # (1 + x)^2 / 2 + y^2 / 2 on both: the mean does not turn
    >>> made.radius.values.tolist(), made["mean"].values.tolist(), made.error.values.tolist()
    ([0.0, 0.5], [0.5, 0.6875], [0.0, 0.0])
    """
    held = list(planes)
    _check(held)
    length = _axis_length(held)
    radii = [_distances(p) / length for p in held]
    centers, width = _rings(held, radii, rings, length)
    shape = (len(held), len(centers))
    loss, points = np.full(shape, np.nan), np.zeros(shape, dtype=np.int64)
    for k, (plane, radius) in enumerate(zip(held, radii, strict=True)):
        values = plane["loss"].values
        for j, center in enumerate(centers):
            inside = _ring(radius, center, width)
            points[k, j] = inside.sum()
            loss[k, j] = values[inside].mean() if inside.any() else np.nan
    if not points.all():
        raise InvalidArgument(
            f"rings={len(centers) - 1} leaves {int((points == 0).sum())} rings without a point.",
            fix="use fewer rings, or planes with more steps.",
            code="E-V15",
        )
    return _described(held, loss, points, centers, length, width)


def _described(
    planes: list[xr.Dataset], loss: Any, points: Any, centers: Any, length: float, width: float
) -> xr.Dataset:
    """Mean, deviation and error over planes, with their samples."""
    count = len(planes)
    mean = loss.mean(0)
    deviation = loss.std(0, ddof=1) if count > 1 else np.full(len(centers), np.nan)
    rise = mean - mean[0]
    spread = np.divide(deviation, rise, out=np.full(len(centers), np.nan), where=rise > 0)
    status = np.where(np.isfinite(loss), results.OK, results.DIVERGED)
    by_ring, both = ("radius",), ("plane", "radius")
    variables: dict[str, results.Variable] = {
        "loss": (both, loss, {"long_name": "mean loss on the ring"}),
        "points": (both, points, {"long_name": "grid points on the ring"}),
        "mean": (by_ring, mean, {"long_name": "mean loss on the ring, over planes"}),
        "deviation": (by_ring, deviation, {"long_name": "standard deviation over planes"}),
        "error": (
            by_ring,
            deviation / np.sqrt(count),
            {"long_name": "standard error of the mean over planes"},
        ),
        "spread": (
            by_ring,
            spread,
            {"long_name": "standard deviation over planes relative to the rise above the center"},
        ),
        "status": results.status_variable(both, status),
    }
    words = {"long_name": "distance from the center", "units": "mean axis lengths"}
    kept = {k: planes[0].attrs[k] for k in SHARED if k in planes[0].attrs}
    seeds = [p.attrs[k] for p in planes for k in ("direction_seed",) if k in p.attrs]
    return results.dataset(
        "plane_spread",
        variables,
        {"plane": np.arange(count), "radius": ("radius", centers, words)},
        **kept,
        planes=count,
        rings=len(centers) - 1,
        ring_width=width,
        axis_length=length,
        **({"direction_seeds": seeds} if len(seeds) == count else {}),
    )


def _check(planes: list[xr.Dataset]) -> None:
    for k, plane in enumerate(planes):
        if not isinstance(plane, xr.Dataset) or plane.attrs.get("quantity") != "plane":
            raise InvalidType(f"planes[{k}] must be a result of plane().", code="E-V13")
    if not planes:
        _refuse("planes must hold at least one plane; got none.", "pass two or more.")
    for name in SHARED:
        values = {str(p.attrs.get(name)) for p in planes}
        if len(values) > 1:
            _refuse(
                f"the planes differ in {name}: {', '.join(sorted(values)[:3])}.",
                "pass planes of one objective, through one point, normalized alike.",
            )
    seen = [p["loss"].values for p in planes]
    for k, one in enumerate(seen):
        for j in range(k):
            if np.array_equal(one, seen[j], equal_nan=True) and _same_axes(planes[k], planes[j]):
                _refuse(
                    f"planes[{j}] and planes[{k}] are the same plane: a copy has no error.",
                    "draw each with its own seed, as random_planes does.",
                )
        if not (_covers(planes[k], "alpha") and _covers(planes[k], "beta")):
            _refuse(
                f"the center of planes[{k}] lies outside of it.",
                "use spans that hold zero between their ends.",
            )


def _same_axes(a: xr.Dataset, b: xr.Dataset) -> bool:
    """Whether two planes of equal losses were cut along the same directions, as far as is known."""
    names = ("direction_seed", "direction_norm_alpha", "direction_norm_beta", "axis_cosine")
    return all(a.attrs.get(n) == b.attrs.get(n) for n in names)


def _covers(plane: xr.Dataset, axis: str) -> bool:
    values = plane[axis].values
    return bool(values[0] < 0 < values[-1])


def _axis_length(planes: list[xr.Dataset]) -> float:
    norms = [p.attrs[f"direction_norm_{a}"] for p in planes for a in ("alpha", "beta")]
    return float(np.sqrt(np.mean(np.square(norms))))


def _distances(plane: xr.Dataset) -> Any:
    """How far every grid point is from the center, in units of parameters."""
    first, second = plane.attrs["direction_norm_alpha"], plane.attrs["direction_norm_beta"]
    a = plane["alpha"].values[:, None] * first
    b = plane["beta"].values[None, :] * second
    return np.sqrt(np.maximum(a**2 + b**2 + 2 * a * b * plane.attrs["axis_cosine"], 0.0))


def _rings(
    planes: list[xr.Dataset], radii: list[Any], rings: int | None, length: float
) -> tuple[Any, float]:
    """Centers of rings, the first at zero, and their width: all within every plane."""
    if rings is not None and (isinstance(rings, bool) or not isinstance(rings, int) or rings < 1):
        raise InvalidArgument(f"rings must be at least 1; got {rings!r}.", code="E-V15")
    reach = min(_reach(p) for p in planes) / length
    step = max(_step(p) for p in planes) / length
    # within the circle: the last ring ends half a width before its edge, or at it
    count = max(1, int(np.floor(reach / step - 0.5 + 1e-9))) if rings is None else rings
    width = step if rings is None else reach / (rings + 0.5)
    return np.arange(count + 1) * width, float(width)


def _ring(radius: Any, center: float, width: float) -> Any:
    """The points nearer to this ring than to others; a point between two counts to the outer."""
    return np.floor(radius / width + 0.5 + 1e-9) == round(center / width)


def _reach(plane: xr.Dataset) -> float:
    """The distance from the center to the nearest edge: a height of the parallelogram."""
    sine = np.sqrt(max(0.0, 1 - plane.attrs["axis_cosine"] ** 2))
    ends = [
        min(-plane[a].values[0], plane[a].values[-1]) * plane.attrs[f"direction_norm_{a}"]
        for a in ("alpha", "beta")
    ]
    return float(min(ends) * sine)


def _step(plane: xr.Dataset) -> float:
    """The longer of the two distances between neighbors of the grid."""
    return float(
        max(
            np.diff(plane[a].values).max() * plane.attrs[f"direction_norm_{a}"]
            for a in ("alpha", "beta")
        )
    )


def _refuse(what: str, fix: str) -> None:
    raise InvalidArgument(what, fix=fix, code="E-V14")
