"""Everything measured about a spectrum as plain values, for JSON and for the tables."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

from theodolite.curvature import layer_table, spectral_facts
from theodolite.reporting.contents import Contents


def facts_of(contents: Contents) -> dict[str, Any] | None:
    """The numbers of the density, from the probes that are done."""
    if contents.spectrum is None:
        return None
    damping = contents.spectrum.attrs.get("damping")
    return spectral_facts(contents.spectrum, damping=None if damping is None else float(damping))


def node_rows(density: xr.Dataset) -> list[dict[str, float | int | None]]:
    """Nodes and weights by rank from the largest, with the standard errors over probes.

    Ranks that every probe has. An outlier's node hardly varies and its weight does; inside the
    bulk a rank means nothing but the order of the nodes.
    """
    node, weight = (density[k].transpose("probe", "step").values for k in ("node", "weight"))
    used = [np.flatnonzero(w > 0)[::-1] for w in weight]
    ranks = min(len(u) for u in used)
    at = [np.stack([a[p][u[:ranks]] for p, u in enumerate(used)]) for a in (node, weight)]
    size = int(density.attrs.get("size", 0))
    rows = []
    for k in range(ranks):
        (value, error), (mass, spread) = (_mean(a[:, k]) for a in at)
        rows.append(
            {
                "rank": k + 1,
                "node": value,
                "node_error": error,
                "weight": mass,
                "weight_error": spread,
                "eigenvalues": size * mass if size else None,
            }
        )
    return rows


def spectrum_json(contents: Contents) -> dict[str, Any] | None:
    """Everything measured about the spectrum as plain values; None without any of it."""
    found: dict[str, Any] = {}
    density = contents.spectrum
    if density is not None:
        found["summary"] = facts_of(contents)
        found["nodes"] = node_rows(density)
        found["probes"], found["steps"] = density.sizes["probe"], density.sizes["step"]
    if contents.eigenvalues is not None:
        found["eigenvalues"] = _pairs_json(contents.eigenvalues)
    if contents.frobenius is not None:
        names = ("frobenius_norm", "norm_error", "squared_norm", "standard_error")
        found["frobenius_norm"] = {n: _finite(float(contents.frobenius[n])) for n in names}
    if contents.diagonals is not None:
        found["layer_diagonals"] = _diagonals_json(contents.diagonals)
    if contents.layers is not None:
        found["layers"] = layer_table(contents.layers)
    return found or None


def _pairs_json(pairs: xr.Dataset) -> list[dict[str, float | None]]:
    names = ("eigenvalue", "residual", "gap_estimate", "quadratic_bound", "angle_sine")
    return [
        {n: _finite(float(pairs[n][k])) for n in names if n in pairs.variables}
        for k in range(pairs.sizes["eigenvalue"])
    ]


def _diagonals_json(found: xr.Dataset) -> list[dict[str, Any]]:
    numbers = ("mean", "mean_error", "smallest", "smallest_error", "largest", "largest_error")
    return [
        {"layer": str(found["layer"].values[k]), "size": int(found["size"][k])}
        | {n: _finite(float(found[n][k])) for n in numbers}
        for k in range(found.sizes["layer"])
    ]


def _mean(sample: np.ndarray) -> tuple[float, float | None]:
    """Mean and standard error, None for a single probe."""
    count = len(sample)
    return float(sample.mean()), float(sample.std(ddof=1) / count**0.5) if count > 1 else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
