"""From quadrature nodes to a curve: the only place where a spectrum is smoothed for the eye."""

from __future__ import annotations

import numpy as np
import xarray as xr

from theodolite.errors import InvalidArgument
from theodolite.plots.dress import require

WIDTH = 0.008
"""Default width of the kernel as a share of the drawn range."""


def smooth_nodes(
    density: xr.Dataset,
    *,
    points: int = 512,
    width: float | None = None,
    linear_within: float | None = None,
) -> xr.Dataset:
    r"""Smooth the nodes of `density` with a Gaussian, probe by probe.

    .. math:: \phi_p(u) = \sum_s w_{ps} \, \mathcal N(u; u(\lambda_{ps}), \sigma^2)

    On a linear axis :math:`u = \lambda`; with `linear_within` :math:`= s` it is
    :math:`u = \operatorname{asinh}(\lambda / s)`, linear near zero and logarithmic beyond `s`, so
    that bulk and outliers are both seen. `width` is :math:`\sigma` in units of :math:`u`, by
    default 0.8 % of the range; it is a choice for the eye and is recorded in ``attrs["width"]``.
    Returns ``density(probe, value)`` per unit of :math:`u`, each probe integrating to the sum of
    its weights, with ``coordinate(value)`` = :math:`u`. Raises ``InvalidArgument`` for a width,
    a number of points or a `linear_within` that is not positive.
    """
    require(density, "spectral_density", "probe", "step")
    if linear_within is not None and not linear_within > 0:
        raise InvalidArgument(
            f"linear_within must be positive or None; got {linear_within}.", code="E-P04"
        )
    node = axis_coordinate(_ordered(density, "node"), linear_within)
    weight = _ordered(density, "weight")
    low, high = float(node.min()), float(node.max())
    span = max(high - low, 1e-12 * max(abs(low), abs(high), 1e-300))
    sigma = WIDTH * span if width is None else width
    if not (sigma > 0 and points >= 2):
        raise InvalidArgument(
            f"width must be positive and points at least 2; got {width} and {points}.",
            code="E-P04",
        )
    at = np.linspace(low - 4 * sigma, high + 4 * sigma, points)
    gauss = np.exp(-0.5 * ((at[None, None, :] - node[..., None]) / sigma) ** 2)
    curve = (weight[..., None] * gauss).sum(axis=1) / (sigma * np.sqrt(2 * np.pi))
    value = at if linear_within is None else linear_within * np.sinh(at)
    return xr.Dataset(
        {
            "density": (("probe", "value"), curve, {"long_name": "spectral density"}),
            "coordinate": (("value",), at, {"long_name": "coordinate along the drawn axis"}),
        },
        coords={"value": value, "probe": density["probe"].values},
        attrs={
            **density.attrs,
            "quantity": "smoothed_spectral_density",
            "width": sigma,
            "linear_within": linear_within or 0.0,
        },
    )


def axis_coordinate(value: np.ndarray, linear_within: float | None) -> np.ndarray:
    """Where `value` lies on a linear axis, or on one that is linear only within a range."""
    return value if linear_within is None else np.arcsinh(value / linear_within)


def wide_axis(densities: list[xr.Dataset]) -> float | None:
    """The `linear_within` that shows all `densities`, ``None`` where a linear axis does.

    A linear axis hides the bulk when nine tenths of the weight lie within 5 % of the largest
    eigenvalue; then a thousandth of that eigenvalue is where the axis turns logarithmic.
    """
    largest, hidden = 0.0, False
    for density in densities:
        size = np.abs(_ordered(density, "node")).ravel()
        weight = _ordered(density, "weight").ravel()
        order = np.argsort(size)
        share = np.cumsum(weight[order]) / max(float(weight.sum()), 1e-300)
        bulk = float(size[order][min(int(np.searchsorted(share, 0.9)), size.size - 1)])
        hidden |= bulk < 0.05 * float(size.max())
        largest = max(largest, float(size.max()))
    return 1e-3 * largest if hidden and largest > 0 else None


def negative_share(density: xr.Dataset) -> np.ndarray:
    """The weight below zero, a value a probe.

    Nodes closer to zero than 1e-6 of the largest are taken as zero: rounding gives them a sign.
    """
    require(density, "spectral_density", "probe", "step")
    node, weight = _ordered(density, "node"), _ordered(density, "weight")
    edge = -1e-6 * float(np.abs(node).max(initial=0.0))
    return np.asarray(np.where(node < edge, weight, 0.0).sum(axis=1))


def _ordered(density: xr.Dataset, name: str) -> np.ndarray:
    return density[name].transpose("probe", "step").values.astype(np.float64)
