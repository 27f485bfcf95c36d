"""What the blocks of a Hessian say about its layers, from stored numbers: no products, no torch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float64

WORDS = {
    "largest_eigenvalue": "largest eigenvalue of the block",
    "largest_residual": "residual of the largest eigenvalue",
    "smallest_eigenvalue": "smallest eigenvalue of the block",
    "smallest_residual": "residual of the smallest eigenvalue",
    "trace": "trace of the block",
    "trace_error": "standard error of the trace",
    "size": "parameters of the layer",
    "products": "products with the block",
}


def layer_table(layers: xr.Dataset) -> list[dict[str, Any]]:
    r"""What was found of each layer as plain values, with its share of the trace.

    .. math:: s_k = \frac{\operatorname{tr} H_{kk}}{\sum_j \operatorname{tr} H_{jj}}

    One row a layer that is done, in the order of the network. The error of a share is to first
    order, from the independent errors of all traces; shares are None where the whole trace is not
    twice its error away from zero, or where a layer is missing. Layers of negative trace have
    negative shares. No products, no torch.
    """
    done = np.isfinite(layers["trace"].values)
    traces, errors = layers["trace"].values[done], layers["trace_error"].values[done]
    shares, share_errors = _shares(traces, errors) if done.all() else _unknown(len(traces))
    rows = []
    for k, place in enumerate(np.flatnonzero(done)):
        at = layers.isel(layer=int(place))
        row: dict[str, Any] = {"layer": str(at["layer"].values)}
        row |= {name: float(at[name]) for name in WORDS if name not in ("size", "products")}
        row |= {"size": int(at["size"]), "products": int(at["products"])}
        row |= {"share": _or_none(shares[k]), "share_error": _or_none(share_errors[k])}
        rows.append(row)
    return rows


def _shares(
    traces: Float64[np.ndarray, " layer"], errors: Float64[np.ndarray, " layer"]
) -> tuple[Float64[np.ndarray, " layer"], Float64[np.ndarray, " layer"]]:
    total, spread = float(traces.sum()), float(np.linalg.norm(errors))
    if abs(total) <= 2 * spread or total == 0:
        return _unknown(len(traces))
    share = traces / total
    rest = np.maximum(0.0, spread**2 - errors**2)
    return share, np.sqrt(((1 - share) * errors) ** 2 + share**2 * rest) / abs(total)


def _unknown(
    count: int,
) -> tuple[Float64[np.ndarray, " layer"], Float64[np.ndarray, " layer"]]:
    return np.full(count, np.nan), np.full(count, np.nan)


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
