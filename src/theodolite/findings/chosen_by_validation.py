"""One network of each kind, chosen by the lowest validation error of its seed."""

from __future__ import annotations

import numpy as np
import xarray as xr


def chosen(measured: xr.Dataset, name: str, kind: str) -> np.ndarray:
    """One variable by seed, of the network of a kind that has that seed's lowest validation error.

    ``measured`` has dimensions ``seed`` and ``network``, and ``kind`` along the latter. The first
    where two tie; NaN where none of the kind has a validation error.

    >>> planted = xr.Dataset(
    ...     {"validation_error": (("seed", "network"), [[0.2, 0.1]]),
    ...      "error": (("seed", "network"), [[0.3, 0.4]])},
    ...     {"kind": ("network", ["SGD", "SGD"])},
    ... )
    >>> chosen(planted, "error", "SGD")
    array([0.4])
    """
    of = measured.sel(network=measured.kind.values == kind).transpose("seed", "network")
    at = of.validation_error.fillna(np.inf).values.argmin(1)
    values: np.ndarray = of[name].values[np.arange(len(at)), at]
    return values
