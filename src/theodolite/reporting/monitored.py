"""What a report shows of a monitored training: pictures, sentences, and the table behind them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from theodolite.plots import percent, plot_edge, plot_monitored
from theodolite.reporting.contents import Contents
from theodolite.reporting.monitored_words import finite_or_none, known, monitor_sentences
from theodolite.reporting.numbers import Number, text
from theodolite.reporting.pictures import WIDE, picture
from theodolite.reporting.sentences import Sentence

MOST_ROWS = 20
DRAWN = (
    ("loss", "Loss on the monitor's data"),
    ("gradient_norm", "Norm of the gradient"),
    ("noise_scale", "Noise scale: the critical batch size, to first order"),
    ("distance_from_start", "Distance from the start"),
    ("step_angle", "Angle between two updates in a row"),
)
COLUMNS = {
    "loss": "loss",
    "gradient_norm": "gradient",
    "sharpness": "sharpness",
    "threshold": "threshold",
    "batch_sharpness": "batch sharpness",
    "noise_scale": "noise scale",
    "distance_from_start": "distance",
    "step_angle": "angle, degrees",
}
ERRORS = {
    "loss": "loss_error",
    "sharpness": "sharpness_residual",
    "batch_sharpness": "batch_sharpness_error",
}


@dataclass(frozen=True)
class Monitored:
    """Everything the section shows of one model."""

    label: str
    series: int
    words: tuple[Sentence, ...]
    edge: str
    edge_name: str
    pictures: tuple[tuple[str, str], ...]
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    thinned: bool


def monitored_panels(surveys: Sequence[Contents]) -> tuple[Monitored, ...]:
    """The panels of all models whose training was monitored."""
    found = []
    for m, c in enumerate(surveys):
        history = c.monitor
        if history is None or not history.sizes["time"]:
            continue
        head, rows, thinned = _table(history)
        curved = any(known(history, n) for n in ("threshold", "eigenvalue", "batch_sharpness"))
        edge = _still(partial(plot_edge, history), f"edge{m}") if curved else ""
        named = "Sharpness and the threshold of stability"
        drawn = tuple(
            (words, _still(partial(plot_monitored, history, variable=n), f"mon{m}{n}"))
            for n, words in DRAWN
            if known(history, n)
        )
        found.append(
            Monitored(
                label=c.label,
                series=m,
                words=monitor_sentences(history),
                edge=edge,
                edge_name=named if known(history, "threshold") else "Curvature",
                pictures=drawn,
                caption=_caption(history),
                head=head,
                rows=rows,
                thinned=thinned,
            )
        )
    return tuple(found)


def _still(draw: Callable[[Axes], Axes], name: str) -> str:
    """A picture with room for the last number of the axis of steps."""
    return picture(draw, name, WIDE, margins=(0.75, 0.5, 0.3, 0.12))


def _caption(history: xr.Dataset) -> str:
    facts = history.attrs
    parts = [
        f"{history.sizes['time']:,} measurements on {int(facts.get('examples', 0)):,} examples"
    ]
    if facts.get("rule"):
        parts.append(f"update rule {facts['rule']}")
    spent = float(np.nansum(history["measuring_seconds"].values))
    trained = float(np.nanmax(history["training_seconds"].values))
    if trained > 0:
        parts.append(f"measuring took {percent(spent / trained)} of the time of training")
    return "; ".join(parts) + "."


def _table(
    history: xr.Dataset,
) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...], bool]:
    shown = [n for n in COLUMNS if known(history, n)]
    count = history.sizes["time"]
    kept = np.unique(np.linspace(0, count - 1, min(count, MOST_ROWS)).round().astype(int))
    rows = []
    for k in kept:
        at = history.isel(time=int(k))
        cells = [_cell(at, n) for n in shown]
        rows.append((f"{int(at['time']):,}", *cells))
    return ("steps", *(COLUMNS[n] for n in shown)), tuple(rows), len(kept) < count


def _cell(at: xr.Dataset, name: str) -> str:
    value = float(at[name])
    if not math.isfinite(value):
        return "none"
    error = at[ERRORS[name]] if ERRORS.get(name) in at else None
    return text(Number(value, None if error is None else finite_or_none(error)))
