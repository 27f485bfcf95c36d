"""How many steps descent takes to leave a saddle, beside what linear theory says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr

from theodolite.plots import plain, plot_escape_distance, plot_escape_rise
from theodolite.reporting.contents import Contents
from theodolite.reporting.pictures import picture
from theodolite.reporting.tables import Table

METHODS = {
    "gradient": "gradient descent",
    "perturbed": "perturbed gradient descent",
    "stochastic": "SGD",
    "isotropic": "isotropic noise of equal trace",
}
"""How the table names the kinds of descent."""


@dataclass(frozen=True)
class EscapePanel:
    """The pictures, the table and a sentence; only the sentence where nothing was left."""

    sentence: str
    pictures: tuple[tuple[str, str], ...]
    table: Table | None
    notes: tuple[str, ...]


def escape_panel(contents: Contents, index: int) -> EscapePanel | None:
    """The escapes of one survey, where it has any; None without."""
    found = sorted(contents.escapes, key=lambda e: list(METHODS).index(str(e.attrs["method"])))
    if not found:
        return None
    runs = [e for e in found if e.sizes["run"]]
    reasons = tuple(dict.fromkeys(str(e.attrs["reason"]) for e in found if not e.sizes["run"]))
    if not runs:
        return EscapePanel(" ".join(reasons), (), None, ())
    curves = [e for e in runs if "distance" in e]
    pictures: tuple[tuple[str, str], ...] = ()
    if curves:
        draws = (
            ("Distance along the lowest direction", partial(plot_escape_distance, curves), "k"),
            ("Loss, from that of the saddle", partial(plot_escape_rise, curves), "l"),
        )
        pictures = tuple((name, picture(draw, f"{key}{index}")) for name, draw, key in draws)
    return EscapePanel(escape_words(runs), pictures, escape_table(runs), reasons)


def escape_words(runs: Sequence[xr.Dataset]) -> str:
    """The setting all runs share, and the rule of the lines in the picture."""
    first = runs[0]
    value, error = float(first["negative_eigenvalue"]), float(first["residual"])
    along, mean = float(first["noise_along"]), float(first["noise_mean"])
    rate = float(first.attrs["rate"])
    head = (
        f"From {_short(float(first.attrs['displacement']))} beside the saddle, whose lowest "
        f"eigenvalue is {_short(value)} ± {_short(error)}, until "
        f"{_short(float(first.attrs['radius']))} along its eigenvector; learning rate "
        f"{_short(rate)}, {first.sizes['run']} runs each."
    )
    if not (math.isfinite(along) and mean > 0):
        return head
    return (
        f"{head} Gradient noise has {_short(along / mean)} times as much variance along it as in "
        "a mean direction."
    )


def escape_table(runs: Sequence[xr.Dataset]) -> Table:
    """By kind of descent: the median steps with quartiles, linear theory, and how many left."""
    rows = []
    for found in runs:
        left, lost = (
            int((found["outcome"].values == kind).sum()) for kind in ("escaped", "diverged")
        )
        rows.append(
            (
                METHODS[str(found.attrs["method"])],
                steps_text(found),
                _steps(float(np.median(found["predicted"].values))),
                f"{left} of {found.sizes['run']}" + (f", {lost} diverged" if lost else ""),
            )
        )
    return Table(("descent", "steps, median (quartiles)", "linear theory", "left"), tuple(rows))


def steps_text(found: xr.Dataset) -> str:
    """The median and its quartiles; what was not reached is more than the steps allowed."""
    most = f"over {int(found.attrs['max_steps']):,}"
    names = ("median_steps", "lower_quartile", "upper_quartile")
    told = [
        f"{int(v):,}" if math.isfinite(v) else most for v in (float(found[name]) for name in names)
    ]
    return f"{told[0]} ({told[1]} to {told[2]})" if told[0] != told[1] or told[0] != most else most


def _steps(value: float) -> str:
    return f"{value:,.1f}" if math.isfinite(value) else "never"


def _short(value: float) -> str:
    return plain(float(f"{value:.2g}"))
