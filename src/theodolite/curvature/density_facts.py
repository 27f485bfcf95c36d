"""Everything a stored spectral density says in numbers, as plain values: no products, no torch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

from theodolite.curvature.masses import spectral_summary
from theodolite.curvature.smoothing import nodes_and_weights
from theodolite.curvature.spectral_functions import effective_dimension, log_determinant
from theodolite.errors import InvalidArgument

SHARE = 0.01
"""Of the largest node in size: the damping taken where none is given."""


def spectral_facts(density: xr.Dataset, *, damping: float | None = None) -> dict[str, Any]:
    """The summary of a density, and with a `damping` its effective dimension and determinant.

    Each number is ``{"value", "error"}``, the error over probes; shares and counts
    have ``"low"`` and ``"high"`` as well, what the nodes allow, which is the larger doubt where
    few steps were made. `damping` is in the units of the eigenvalues; 0 takes `chosen_damping`,
    None leaves both sums out. A sum that has a pole is None, with the reason under ``"why"``.

    >>> dims = ("probe", "step")
    >>> nodes = {"node": (dims, [[0.0, 0.0, 10.0]]), "weight": (dims, [[0.25, 0.5, 0.25]])}
    >>> density = xr.Dataset(nodes, attrs={"quantity": "spectral_density", "size": 4})
    >>> facts = spectral_facts(density, damping=10.0)
    >>> facts["trace"]["value"], facts["effective_dimension"]["value"]
    (10.0, 0.5)
    """
    found = spectral_summary(density)
    size = int(density.attrs.get("size", 0))
    facts: dict[str, Any] = {
        name: _number(found, name) for name in ("near_zero_mass", "negative_mass", "outliers")
    }
    facts |= {n: _number(found, n) for n in ("bulk_low", "bulk_high", "mean", "second_moment")}
    if size:
        facts["trace"] = {k: _times(v, size) for k, v in facts["mean"].items()}
    facts["thresholds"] = {
        k: float(found.attrs[k])
        for k in ("near_zero", "negative", "outlying", "tail", "largest_node")
    }
    if damping is not None and size:
        facts |= _sums(density, damping or chosen_damping(density), chosen=not damping)
    return facts


def chosen_damping(density: xr.Dataset) -> float:
    """A damping that fits the spectrum: 1 % of its largest node in size, or twice the negative end.

    The second where it is larger, so that no eigenvalue seen plus the damping is near zero.
    """
    node, weight = nodes_and_weights(density)
    used = node[weight > 0]
    return max(SHARE * float(np.abs(used).max()), -2 * float(used.min())) or 1.0


def _sums(density: xr.Dataset, damping: float, *, chosen: bool) -> dict[str, Any]:
    facts: dict[str, Any] = {"damping": {"value": damping, "chosen": chosen}}
    for name, function in (
        ("effective_dimension", effective_dimension),
        ("log_determinant", log_determinant),
    ):
        try:
            found = function(density, damping)
        except InvalidArgument as error:
            facts[name] = {"value": None, "error": None, "why": error.what}
            continue
        facts[name] = {
            "value": _or_none(float(found[name])),
            "error": _or_none(float(found["standard_error"])),
            "quadrature_change": _or_none(float(found["quadrature_change"])),
        }
    return facts


def _number(found: xr.Dataset, name: str) -> dict[str, float | None]:
    parts = {"value": name, "error": f"{name}_error", "low": f"{name}_low", "high": f"{name}_high"}
    return {k: _or_none(float(found[v])) for k, v in parts.items() if v in found}


def _times(value: float | None, factor: int) -> float | None:
    return None if value is None else factor * value


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
