"""The section on averages: members, their average and their ensemble, in words and tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import xarray as xr

from theodolite.plots import plot_averages
from theodolite.reporting.averages_values import average_words, cell, made_of
from theodolite.reporting.connectivity_values import short
from theodolite.reporting.contents import Contents
from theodolite.reporting.pictures import picture
from theodolite.reporting.tables import Table

COLUMNS = {
    "loss": "training loss",
    "validation_loss": "selection loss",
    "test_loss": "test loss",
    "error": "training error",
    "validation_error": "selection error",
    "test_error": "test error",
}
"""What the tables tell, by the name of its numbers; errors in percent."""


@dataclass(frozen=True)
class Panel:
    """What the section shows of one survey."""

    label: str
    index: int
    made: str
    sentences: tuple[str, ...]
    drawn: str
    networks: Table
    changes: Table
    barriers: Table
    notes: tuple[str, ...]


def average_panels(surveys: Sequence[Contents]) -> tuple[Panel, ...]:
    """One panel a survey that averaged weights."""
    return tuple(_panel(c, c.averages, k) for k, c in enumerate(surveys) if c.averages is not None)


def _panel(contents: Contents, found: xr.Dataset, index: int) -> Panel:
    return Panel(
        contents.label,
        index,
        made_of(found),
        average_words(found),
        _picture(found, index),
        networks_table(found),
        changes_table(found),
        barriers_table(found),
        _notes(found),
    )


def _picture(found: xr.Dataset, index: int) -> str:
    """The losses of all networks; names on the left get the room they need."""
    longest = max(len(str(n)) for n in found["network"].values)
    size = (5.6, 0.95 + 0.42 * found.sizes["network"])
    left = 0.25 + 0.075 * min(longest, 24)
    return picture(
        partial(plot_averages, found), f"av{index}", size, margins=(left, 0.5, 0.2, 0.35)
    )


def networks_table(found: xr.Dataset) -> Table:
    """Every network's losses and errors with their intervals."""
    there = [n for n in COLUMNS if n in found]
    level = 100 * float(found.attrs["level"])
    rows = tuple(
        (str(n), *(cell(found, name, str(n)) for name in there)) for n in found["network"].values
    )
    return Table((f"{level:g} % intervals", *(COLUMNS[n] for n in there)), rows)


def changes_table(found: xr.Dataset) -> Table:
    """The average and the ensemble minus the members' mean, and minus the best member."""
    there = [n for n in COLUMNS if n in found]
    made = [n for n in (made_of(found), "ensemble") if n in found["network"].values]
    rows = tuple(
        (
            f"{n} minus the {words}",
            *(cell(found, name + kind, n, signed=True) for name in there),
        )
        for n in made
        for kind, words in (("_change", "members' mean"), ("_change_best", "best member"))
    )
    return Table(("paired intervals", *(COLUMNS[n] for n in there)), rows)


def barriers_table(found: xr.Dataset) -> Table:
    """The barriers between members, before and after their units were aligned."""
    names = [str(n) for n in found["first"].values]
    rows = []
    for i, name in enumerate(names):
        cells = []
        for j in range(len(names)):
            told = short(float(found["barrier"].values[i, j]))
            if "aligned_barrier" in found and i != j:
                told += f", aligned {short(float(found['aligned_barrier'].values[i, j]))}"
            cells.append(told)
        rows.append((name, *cells))
    return Table(("barrier of the training loss", *names), tuple(rows))


def _notes(found: xr.Dataset) -> tuple[str, ...]:
    limit = f"{float(found.attrs['threshold']):.3g} ({found.attrs['threshold_source']})"
    notes = [f"Highest barrier within a basin: {limit}."]
    if found.attrs.get("combined"):
        notes.append(f"The ensemble answers with {found.attrs['combined']}.")
    if "validation_loss" in found:
        notes.append(
            "Members were chosen by the selection data (the target's test data): the numbers of "
            "the soup and of the best member on them are optimistic, and no test remains."
            if "test_loss" not in found
            else "Members were chosen by the selection data, on which the numbers of the soup and "
            "of the best member are optimistic."
        )
    return tuple(notes)
