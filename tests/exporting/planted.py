"""Planes of formulas, on a grid that is not square and whose axes differ in every way."""

from __future__ import annotations

import numpy as np
import xarray as xr

from theodolite import results

ALPHA, BETA = np.linspace(-1.0, 2.0, 4), np.linspace(-0.5, 0.5, 3)


def plane(
    values: np.ndarray, status: np.ndarray | None = None, *, turned: bool = False, **attrs: object
) -> xr.Dataset:
    """A plane over (alpha, beta); `turned` stores its arrays as (beta, alpha)."""
    known = np.ones(values.shape, np.uint8) if status is None else status
    dims = ("alpha", "beta")
    found = results.dataset(
        "plane",
        {
            "loss": (dims, values, {"long_name": "loss", "units": "nat"}),
            "loss_error": (dims, 0.1 * values, {"long_name": "standard error of the loss"}),
            "status": results.status_variable(dims, known),
        },
        {
            "alpha": ("alpha", ALPHA, {"long_name": "steps along direction 1"}),
            "beta": ("beta", BETA, {"long_name": "steps along direction 2"}),
        },
        **{
            "seed": 7,
            "normalize": "filter",
            "direction_norm_alpha": 2.0,
            "direction_norm_beta": 5.0,
            "theta_norm": 10.0,
            **attrs,
        },
    )
    return found.transpose("beta", "alpha") if turned else found


def tilted(turned: bool = False) -> xr.Dataset:
    """``alpha + 10 beta``: a flat sheet that tells its axes apart at every point."""
    a, b = np.meshgrid(ALPHA, BETA, indexing="ij")
    return plane(a + 10 * b, turned=turned)


def decades() -> xr.Dataset:
    """Four decades, so that a log scale is chosen; no point is clipped."""
    return plane(10.0 ** np.linspace(-2.0, 2.0, 12).reshape(4, 3))


def gappy() -> xr.Dataset:
    """One corner diverged, one point inside failed, a value of each left in the array."""
    values = 1.0 + np.arange(12.0).reshape(4, 3)
    status = np.ones((4, 3), np.uint8)
    status[0, 0], status[2, 1] = results.DIVERGED, results.FAILED
    values[0, 0], values[2, 1] = np.inf, 123.0
    return plane(values, status)


def tree(**children: xr.Dataset) -> xr.DataTree:
    """A survey of the `children`, with root attributes as a survey has them."""
    root = xr.Dataset(attrs={"target": "planted", "provenance": '{"seed": 7}', "seed": 7})
    return xr.DataTree.from_dict({"/": root, **children})
