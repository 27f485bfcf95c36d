"""What a report shows of gradient descent at several rates: pictures, sentences, a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import xarray as xr
from matplotlib.axes import Axes

from theodolite.plots import plain, plot_descent_losses, plot_sharpness_paths
from theodolite.reporting.contents import Contents
from theodolite.reporting.edge_words import (
    edge_sentences,
    late_number,
    short,
    standing,
    start_words,
)
from theodolite.reporting.numbers import text
from theodolite.reporting.pictures import WIDE, picture
from theodolite.reporting.sentences import Sentence
from theodolite.reporting.tables import Table


@dataclass(frozen=True)
class EdgePanel:
    """What the section shows of one study."""

    label: str
    index: int
    words: tuple[Sentence, ...]
    sharpness: str
    loss: str
    caption: str
    table: Table
    missing: str


def edge_panels(surveys: Sequence[Contents]) -> tuple[EdgePanel, ...]:
    """One panel for every model that was descended from."""
    found = []
    for m, contents in enumerate(surveys):
        edge = contents.edge
        if edge is None:
            continue
        found.append(
            EdgePanel(
                label=contents.label,
                index=m,
                words=edge_sentences(edge),
                sharpness=_still(partial(plot_sharpness_paths, edge), f"edges{m}"),
                loss=_still(partial(plot_descent_losses, edge), f"edgel{m}"),
                caption=edge_caption(edge),
                table=edge_table(edge),
                missing=missing_words(edge),
            )
        )
    return tuple(found)


def _still(draw: Callable[[Axes], Axes], name: str) -> str:
    return picture(draw, name, WIDE, margins=(0.75, 0.5, 0.3, 0.12))


def edge_table(found: xr.Dataset) -> Table:
    """A row a run: rate, threshold, when it was reached, the climb before, and where it ended."""
    head = (
        "run",
        "threshold",
        "reached at step",
        "rise before",
        "late sharpness / threshold",
        "95 % interval",
        "last loss",
        "ended",
    )
    rows = []
    for k in range(found.sizes["run"]):
        run = found.isel(run=k)
        if not math.isfinite(float(run["rate"])):
            continue
        low, high = float(run["late_low"]), float(run["late_high"])
        rows.append(
            (
                f"rate {short(float(run['rate']))}{start_words(run)}",
                short(float(run["threshold"])),
                _count(float(run["first_crossing"])),
                _factor(float(run["rise_factor"])),
                text(late_number(run)) if math.isfinite(float(run["late_mean"])) else "none",
                f"{low:.4g} to {high:.4g}" if math.isfinite(low) else "none",
                _shown(float(run["loss"].values[-1])),
                standing(run),
            )
        )
    return Table(head, tuple(rows))


def edge_caption(found: xr.Dataset) -> str:
    """Which descent this was, and on what."""
    facts = found.attrs
    momentum = float(facts["momentum"])
    named = "Nesterov's momentum" if facts["nesterov"] in (True, "true") else "momentum"
    rule = f"with {named} {plain(momentum)}" if momentum else "without momentum"
    unsettled = int(found["unsettled"].sum(skipna=True))
    note = (
        f"; in {unsettled:,} measurements the eigenpairs did not settle to the tolerance"
        if unsettled
        else ""
    )
    return (
        f"Gradient descent {rule} over all {int(facts['examples']):,} examples, loss "
        f"{facts['loss_function']}; sharpness measured every {int(facts['every']):,} steps, "
        f"{int(found['products'].sum(skipna=True)):,} Hessian products in all{note}."
    )


def missing_words(found: xr.Dataset) -> str:
    """How many runs are not there."""
    lost = int((~found["rate"].notnull()).sum())
    return f"{lost} of {found.sizes['run']} runs were not made." if lost else ""


def _count(value: float) -> str:
    return f"{value:,.0f}" if math.isfinite(value) else "never"


def _factor(value: float) -> str:
    return f"{short(value)} times" if math.isfinite(value) else "none"


def _shown(value: float) -> str:
    return short(value) if math.isfinite(value) else "none"
