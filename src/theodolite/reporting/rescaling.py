"""What the same network written otherwise does to the measures of sharpness, in one sentence."""

from __future__ import annotations

import math

import xarray as xr

from theodolite.reporting.contents import Contents
from theodolite.reporting.numbers import Number
from theodolite.reporting.sentences import Cited, Sentence

NAMES = {
    "largest_curvature": "largest eigenvalue of the Hessian",
    "worst_case_sharpness": "worst case in a ball (SAM)",
    "adaptive_sharpness": "worst case, adaptive (ASAM)",
    "average_sharpness": "average over Gaussian noise",
    "average_sharpness, adaptive": "average over noise in proportion to weights",
    "keskar_sharpness": "worst case in a box (Keskar), percent",
    "relative_flatness": "relative flatness",
    "fisher_rao_norm": "Fisher-Rao norm",
}
"""How the table names the measures."""

SAME = 0.02
"""Relative change up to which a value counts as the same."""


def rescaling_sentence(contents: Contents) -> Sentence | None:
    """What Dinh's rescaling does to the largest eigenvalue, and which measures do not move."""
    found = contents.sharpness
    if found is None:
        return None
    ratios = changes(found)
    top = ratios.get("largest_curvature", math.nan)
    if not math.isfinite(top):
        return None
    factor = Number(float(found.attrs["factor"]), exact=True)
    still = [NAMES.get(k, k) for k, r in ratios.items() if abs(r - 1) <= SAME]
    head: Sentence = (
        "Written otherwise (one layer times ",
        Cited("rescaling_factor", factor),
        ", the next over it) the same network has a largest curvature ",
        Cited("rescaled_curvature", Number(top)),
        " times this one",
    )
    if not still:
        return (*head, ".")
    return (*head, f"; unchanged: {', '.join(still)}.")


def changes(found: xr.Dataset) -> dict[str, float]:
    """By measure, its value after the rescaling over that before; NaN where not known."""
    names = [str(n) for n in found["measure"].values]
    pairs = zip(found["value"].values, found["rescaled_value"].values, strict=True)
    return {n: float(b / a) if a else math.nan for n, (a, b) in zip(names, pairs, strict=True)}
