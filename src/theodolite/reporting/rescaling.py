"""What the same network written otherwise does to the measures of sharpness, in one sentence."""

from __future__ import annotations

import math

import xarray as xr

from theodolite.reporting.contents import Contents
from theodolite.reporting.definitions import name_of
from theodolite.reporting.numbers import Number
from theodolite.reporting.sentences import Cited, Sentence

SAME = 0.02
"""Relative change up to which a value counts as the same."""

MOST = 4
"""Measures a sentence names."""


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
    still = list(dict.fromkeys(name_of(k) for k, r in ratios.items() if abs(r - 1) <= SAME))
    if len(still) > MOST:
        still = [*still[: MOST - 1], f"{len(still) - MOST + 1} more"]
    head: Sentence = (
        "Written otherwise (one layer times ",
        Cited("rescaling_factor", factor),
        ", the next over it) the same network has a largest curvature ",
        Cited("rescaled_curvature", Number(top)),
        " times this one",
    )
    if not still:
        return (*head, ".")
    return (*head, f"; unchanged: {'; '.join(still)}.")


def changes(found: xr.Dataset) -> dict[str, float]:
    """By measure, its value after the rescaling over that before; NaN where not known."""
    names = [str(n) for n in found["measure"].values]
    pairs = zip(found["value"].values, found["rescaled_value"].values, strict=True)
    return {n: float(b / a) if a else math.nan for n, (a, b) in zip(names, pairs, strict=True)}
