"""The small drawings of the page: error bars on a shared axis, and the header's contour lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from scipy.ndimage import zoom

from theodolite.plots import heights, shown_field
from theodolite.reporting.headline import Headline

WIDTH, ROW, EDGE = 300.0, 18.0, 8.0
ART = 72
"""Points a side of the header's ornament."""


@dataclass(frozen=True)
class Spark:
    """One model's row: where its value, its error bar and its draws lie, in drawing units."""

    series: int
    y: float
    value: float
    low: float
    high: float
    draws: tuple[float, ...]


def sparks(headlines: Sequence[Headline | None]) -> tuple[Spark, ...]:
    """A row for each model on one shared axis; empty where there is nothing to compare.

    The axis is logarithmic when all values are positive and span more than a factor of 30.
    """
    rows = [(k, h) for k, h in enumerate(headlines) if h is not None]
    rows = [(k, h) for k, h in rows if math.isfinite(h.number.value)]
    marks = [v for _, h in rows for v in _extent(h)]
    if len(rows) < 2 and not any(h.samples for _, h in rows):
        return ()
    if not marks or min(marks) == max(marks):
        return ()
    log = min(marks) > 0 and max(marks) > 30 * min(marks)
    low, high = (math.log10(v) if log else v for v in (min(marks), max(marks)))

    def place(value: float) -> float:
        at = (math.log10(value) if log else value) - low
        return round(EDGE + at / (high - low) * (WIDTH - 2 * EDGE), 2)

    out = []
    for row, (series, h) in enumerate(rows):
        bottom, *_, top = _extent(h, samples=False)
        draws = tuple(place(v) for v in h.samples if math.isfinite(v))
        y = ROW * row + ROW / 2
        out.append(Spark(series, y, place(h.number.value), place(bottom), place(top), draws))
    return tuple(out)


def _extent(headline: Headline, *, samples: bool = True) -> list[float]:
    value, error = headline.number.value, headline.number.error or 0.0
    error = error if math.isfinite(error) else 0.0
    bottom = value - error if value <= 0 or value > error else value / 2
    draws = [v for v in headline.samples if math.isfinite(v)] if samples else []
    return [bottom, value, value + error, *draws]


def contour_art(plane: xr.Dataset | None, *, lines: int = 16) -> tuple[str, ...]:
    """The plane's own contour lines as SVG paths in a square of side 1000.

    They are an ornament without labels, so they are smoothed and gaps are filled.
    """
    if plane is None:
        return ()
    field = shown_field(plane, "loss", heights(plane))
    finite = field[np.isfinite(field)]
    if min(field.shape) < 3 or finite.size == 0 or finite.min() == finite.max():
        return ()
    field = zoom(np.where(np.isfinite(field), field, finite.max()), ART / max(field.shape), order=3)
    x, y = (np.linspace(0, 1000, n) for n in field.shape)
    levels = np.linspace(finite.min(), finite.max(), lines + 2)[1:-1]
    drawn = Figure().add_subplot().contour(x, y, field.T, levels=levels)
    paths = []
    for path in drawn.get_paths():
        polylines = [np.asarray(line) for line in path.to_polygons(closed_only=False)]
        paths.append("".join("M" + "L".join(f"{a:.0f} {b:.0f}" for a, b in p) for p in polylines))
    return tuple(p for p in paths if p)
