"""Planes measured twice, with BatchNorm statistics as stored and recomputed at every point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from theodolite.plots import line_from_plane
from theodolite.reporting import quantities as q
from theodolite.reporting.contents import Contents
from theodolite.reporting.sentences import Cited, Sentence, percent_of, unit_of

AT = 0.25
"""The distance at which the two are compared in words."""


def compared(contents: Contents) -> Sentence | None:
    """The loss at 25 % of the distance under both policies, over the same directions.

    Means over both senses of every axis of every plane measured twice, with the standard error
    over axes; axes on which either loss is not finite are left out.
    """
    pairs = [
        (line_from_plane(contents.planes[k], axis=axis), line_from_plane(again, axis=axis))
        for k, again in contents.recomputed.items()
        for axis in (1, 2)
    ]
    found = [(_loss_at(a), _loss_at(b)) for a, b in pairs]
    kept = [pair for pair in found if np.isfinite(pair).all()]
    if not kept:
        return None
    frozen, anew = (q.mean_with_error([pair[k] for pair in kept]) for k in (0, 1))
    unit = unit_of(str(contents.note("normalize", "none")))
    return (
        f"{percent_of(AT)} {unit} away, averaged over the axes of the planes, the loss is ",
        Cited("frozen_loss", frozen),
        " with the stored BatchNorm statistics and ",
        Cited("recomputed_loss", anew),
        " with statistics recomputed at each point.",
    )


def _loss_at(line: xr.Dataset) -> float:
    """The mean loss at plus and minus the distance, NaN outside the line."""
    return float(np.mean([q.interpolated(line, "loss", d) for d in (-AT, AT)]))


def shared_note(surveys: Sequence[Contents]) -> str:
    """What the page says beside the color bar where it can switch."""
    if not any(c.recomputed for c in surveys):
        return ""
    return "both share this scale"
