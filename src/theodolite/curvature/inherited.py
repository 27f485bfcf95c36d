"""What the error of a plane that was itself fitted means for its slopes and curvatures."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from jaxtyping import Float64
from scipy import ndimage

COVERING = 0.5
"""Share of the amplitude that is taken: with half of it the error held at nine points in ten on
each of four small classifiers, with all of it at 99 of 100, and every second sign was lost."""

Grid = Float64[np.ndarray, "alpha beta"]


def inherited_errors(plane: xr.Dataset, variable: str) -> tuple[Grid, Grid]:
    r"""Errors of the gradient and the Hessian that come with the values of an adaptive plane.

    .. math:: |\nabla e| \approx e\,\pi\,(1/s_\alpha + 1/s_\beta), \qquad
        \|\nabla^2 e\| \approx e\,\pi^2\,(1/s_\alpha^2 + 1/s_\beta^2)

    for an error of amplitude `e` that vanishes at measured points `s` apart, as a sine does. The
    amplitude is half the largest ``<variable>_fit_error`` within `s` of the point, the spacing the
    mean one of the measured points (``sampled``). Zero where every point was measured.

    >>> bare = xr.Dataset({"loss": (("alpha", "beta"), np.ones((5, 5)))})
    >>> [float(e.max()) for e in inherited_errors(bare, "loss")]
    [0.0, 0.0]
    """
    name = f"{variable}_fit_error"
    shape = plane[variable].shape
    if name not in plane or "sampled" not in plane:
        return np.zeros(shape), np.zeros(shape)
    share = max(float((plane["sampled"].values != 0).mean()), 1 / plane["sampled"].size)
    cells = math.sqrt(1 / share)
    spacings = [
        cells * float(np.ptp(plane[k].values)) / (plane.sizes[k] - 1) for k in plane[name].dims
    ]
    errors = np.nan_to_num(np.abs(plane[name].values.astype(np.float64)), nan=0.0)
    near = ndimage.maximum_filter(errors, size=2 * math.ceil(cells) + 1, mode="nearest")
    first = math.pi * sum(1 / s for s in spacings)
    second = math.pi**2 * sum(1 / s**2 for s in spacings)
    return first * COVERING * near, second * COVERING * near
