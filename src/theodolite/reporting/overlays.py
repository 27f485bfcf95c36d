"""What the maps can lay over a plane: signs of curvature and slopes, from the fitted surface."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from theodolite.curvature import surface_curvature
from theodolite.curvature.fitted import LEAST

ARROWS = 17
"""Arrows along an axis, at most."""

UNDETERMINED, UP, SADDLE, DOWN = 0, 1, 2, 3
"""How a plane curves at a point; the codes the page carries."""


def can_be_fitted(plane: xr.Dataset) -> bool:
    """Whether there are points enough for a curvature with an error."""
    return min(plane.sizes["alpha"], plane.sizes["beta"]) >= LEAST


def overlay_choices(planes: Sequence[xr.Dataset]) -> list[tuple[str, str]]:
    """Values and names of the switch: what at least one plane has."""
    fitted = any(can_be_fitted(p) for p in planes)
    error = any("loss_error" in p for p in planes)
    found = [
        ("none", "None", True),
        ("curvature", "Curvature", fitted),
        ("gradient", "Gradient", fitted),
        ("error", "Error", error),
        ("samples", "Samples", any("sampled" in p for p in planes)),
    ]
    return [(value, name) for value, name, there in found if there]


def curvature_codes(curvature: xr.Dataset) -> np.ndarray:
    """One code a point: both principal curvatures up, down, one of each, or undetermined."""
    largest, smallest = curvature["sign"].transpose("principal", "alpha", "beta").values
    codes = np.full(largest.shape, UNDETERMINED, np.uint8)
    codes[(largest > 0) & (smallest > 0)] = UP
    codes[(largest > 0) & (smallest < 0)] = SADDLE
    codes[(largest < 0) & (smallest < 0)] = DOWN
    return codes


def pack_overlays(plane: xr.Dataset) -> dict[str, Any]:
    """For each loss of the plane: codes of all points as bytes, slopes at some as float32."""
    if not can_be_fitted(plane):
        return {}
    return {v: _packed(plane, v) for v in ("loss", "test_loss") if v in plane}


def pack_samples(plane: xr.Dataset) -> dict[str, str]:
    """How each point was found, as bytes, by split: fitted, measured or held out."""
    names = {"train": "sampled", "test": "test_sampled"}
    ordered = plane.transpose("alpha", "beta", ...).sortby(["alpha", "beta"])
    return {
        split: _base64(ordered[name].values.astype(np.uint8))
        for split, name in names.items()
        if name in plane
    }


def _packed(plane: xr.Dataset, variable: str) -> dict[str, Any]:
    found = surface_curvature(plane, variable=variable)
    i, j = (_spread(found.sizes[k]) for k in ("alpha", "beta"))
    slopes = np.stack([found[f"gradient_{k}"].values[np.ix_(i, j)] for k in ("alpha", "beta")])
    error = found["gradient_error"].values[np.ix_(i, j)]
    known = np.hypot(*slopes) > error
    return {
        "signs": _base64(curvature_codes(found)),
        "at": [i.tolist(), j.tolist()],
        "slopes": {"f32": _base64(np.where(known, slopes, np.nan).astype("<f4"))},
        "scale": str(found.attrs["scale"]),
    }


def _spread(size: int) -> np.ndarray:
    """Indices evenly spaced through the middle, none on the border."""
    stride = max(1, math.ceil(size / ARROWS))
    first = (size - 1) // 2 % stride or stride
    return np.arange(first, size - 1, stride)


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")
