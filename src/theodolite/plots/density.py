"""From quadrature nodes to a curve: the only place where a spectrum is smoothed for the eye."""

from __future__ import annotations

import numpy as np
import xarray as xr

from theodolite.errors import InvalidArgument
from theodolite.plots.dress import require

WIDTH = 0.008
"""Default width of the kernel as a share of the spectrum's range."""


def smooth_nodes(
    density: xr.Dataset, *, points: int = 512, width: float | None = None
) -> xr.Dataset:
    r"""Smooth the nodes of `density` with a Gaussian, probe by probe.

    .. math:: \phi_p(t) = \sum_s w_{ps} \, \mathcal N(t; \lambda_{ps}, \sigma^2)

    `width` is :math:`\sigma` in units of the eigenvalue, by default 0.8 % of the range; it is a
    choice for the eye and is recorded in ``attrs["width"]``. Returns ``density(probe, value)``,
    each probe integrating to the sum of its weights. Raises ``InvalidArgument`` for a width or a
    number of points that is not positive.
    """
    require(density, "spectral_density", "probe", "step")
    node = density["node"].transpose("probe", "step").values.astype(np.float64)
    weight = density["weight"].transpose("probe", "step").values.astype(np.float64)
    low, high = float(node.min()), float(node.max())
    span = max(high - low, 1e-12 * max(abs(low), abs(high), 1e-300))
    sigma = WIDTH * span if width is None else width
    if not (sigma > 0 and points >= 2):
        raise InvalidArgument(
            f"width must be positive and points at least 2; got {width} and {points}.",
            code="E-P04",
        )
    value = np.linspace(low - 4 * sigma, high + 4 * sigma, points)
    gauss = np.exp(-0.5 * ((value[None, None, :] - node[..., None]) / sigma) ** 2)
    curve = (weight[..., None] * gauss).sum(axis=1) / (sigma * np.sqrt(2 * np.pi))
    return xr.Dataset(
        {"density": (("probe", "value"), curve, {"long_name": "spectral density"})},
        coords={"value": value, "probe": density["probe"].values},
        attrs={**density.attrs, "quantity": "smoothed_spectral_density", "width": sigma},
    )


def negative_share(density: xr.Dataset) -> np.ndarray:
    """The weight below zero, a value a probe.

    Nodes closer to zero than 1e-6 of the largest are taken as zero: rounding gives them a sign.
    """
    require(density, "spectral_density", "probe", "step")
    node = density["node"].transpose("probe", "step").values
    weight = density["weight"].transpose("probe", "step").values
    edge = -1e-6 * float(np.abs(node).max(initial=0.0))
    return np.asarray(np.where(node < edge, weight, 0.0).sum(axis=1))
