"""The section on connections: lines between weights and their barriers, drawn and in tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import xarray as xr

from theodolite.plots import how_normalized, plot_barrier
from theodolite.reporting.connectivity_values import (
    barrier_words,
    interval_text,
    named,
    short,
    versions,
)
from theodolite.reporting.contents import Contents
from theodolite.reporting.pictures import picture
from theodolite.reporting.tables import Table
from theodolite.results import DIVERGED

MOST_DRAWN = 6
"""Pairs in pictures; the tables and summary.json hold all."""

SIZE, MARGINS = (5.4, 3.5), (0.65, 0.5, 0.15, 0.5)
"""Of a picture, in inches."""

HEIGHTS = {
    "barrier": "barrier",
    "instability": "instability",
    "saddle_excess": "saddle excess",
    "area": "area",
}
"""The measures, as the table names them."""

DEFINITIONS = (
    "Barrier: the largest rise above the chord between the ends (Entezari et al. 2022). "
    "Instability: the largest value minus the mean of the ends (Frankle et al. 2020). Saddle "
    "excess: the largest value minus that of the higher end (Draxler et al. 2018). Area: the "
    "integral over the line minus the chord, negative where the line sags."
)

CURVES = {
    "": "training loss",
    "test_": "test loss",
    "error_": "training error",
    "test_error_": "test error",
}
"""What they are measured of, by the prefix of their numbers; errors are told in percent."""

Row = tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """A picture with its name, a line under it and the numbers behind it."""

    name: str
    drawn: str
    caption: str
    table: Table


@dataclass(frozen=True)
class Panel:
    """What the section shows of one survey."""

    label: str
    index: int
    sentences: tuple[str, ...]
    pictures: tuple[Picture, ...]
    matrix: Table | None
    table: Table
    notes: tuple[str, ...]


def barrier_panels(surveys: Sequence[Contents]) -> tuple[Panel, ...]:
    """One panel a survey that measured lines between weights."""
    return tuple(_panel(c, k) for k, c in enumerate(surveys) if c.barriers)


def _panel(contents: Contents, index: int) -> Panel:
    return Panel(
        contents.label,
        index,
        barrier_words(contents),
        tuple(_pictures(contents, index)),
        barrier_matrix_table(contents),
        heights_table(contents),
        _notes(contents),
    )


def barrier_matrix_table(contents: Contents) -> Table | None:
    """The barriers of the training loss, model against model; None for a single pair."""
    pairs = versions(contents)
    if len(pairs) < 2:
        return None
    points = [str(n) for n in pairs[0][0].attrs["points"]]
    cells = {(i, i): "0" for i in range(len(points))}
    for found, again in pairs:
        main = found if again is None else again
        i, j = (int(k) for k in found.attrs["pair"])
        cells[i, j] = cells[j, i] = short(float(main["barrier"]))
    rows = tuple(
        (name, *(cells.get((i, j), "") for j in range(len(points))))
        for i, name in enumerate(points)
    )
    return Table(("barrier of the training loss", *points), rows)


def heights_table(contents: Contents) -> Table:
    """Every height of every line with its interval."""
    level = 100 * float(contents.barriers[0].attrs.get("level", 0.95))
    rows: list[Row] = []
    for found, again in versions(contents):
        for one in (found, again):
            if one is None:
                continue
            how = how_normalized(one)
            told = named(one, "to") + (f", {how}" if how else "")
            for prefix, curve in CURVES.items():
                if f"{prefix}barrier" in one:
                    values = tuple(interval_text(one, prefix + name) for name in HEIGHTS)
                    rows.append((f"{told}, {curve}", *values))
    head = (f"{level:g} % intervals", *HEIGHTS.values())
    return Table(head, tuple(rows))


def _pictures(contents: Contents, index: int) -> list[Picture]:
    made = []
    for k, (found, again) in enumerate(versions(contents)[:MOST_DRAWN]):
        for variable, word in (("loss", "Loss"), ("error", "Wrong answers")):
            if variable == "error" and "accuracy" not in found:
                continue
            draw = partial(plot_barrier, found, variable=variable, recomputed=again)
            svg = picture(
                draw, f"co{index}-{k}{variable[0]}", (5.4, 3.5), margins=(0.65, 0.5, 0.15, 0.5)
            )
            name = f"{word} from {named(found, 'to')}"
            made.append(Picture(name, svg, _caption(found, again), _behind(found, again, variable)))
    return made


def _caption(found: xr.Dataset, again: xr.Dataset | None) -> str:
    said = "Dotted: the chords. Bands: two standard errors over examples."
    lost = int((found["status"].values == DIVERGED).sum())
    return f"{said} Diverged at {lost} places." if lost else said


def _behind(found: xr.Dataset, again: xr.Dataset | None, variable: str) -> Table:
    """The curves at the places of the grid."""
    columns: dict[str, tuple[xr.Dataset, str]] = {}
    name = "loss" if variable == "loss" else "accuracy"
    for one in (found, again):
        for prefix, split in (("", "training"), ("test_", "test")):
            if one is not None and prefix + name in one:
                how = f", {how_normalized(one)}" if again is not None else ""
                columns[f"{split}{how}"] = (one, prefix + name)
    grid = found["alpha"].values[found["refined"].values == 0]
    rows = []
    for alpha in grid:
        cells = (float(one[n].sel(alpha=alpha)) for one, n in columns.values())
        told = (short(c if variable == "loss" else 100 * (1 - c)) for c in cells)
        rows.append((f"{alpha:.3g}", *told))
    return Table(("share of the way", *columns), tuple(rows))


def _notes(contents: Contents) -> tuple[str, ...]:
    notes = [DEFINITIONS]
    more = len(contents.barriers) - MOST_DRAWN
    if more > 0:
        notes.append(f"{more} more lines are in the tables and not drawn.")
    behind = [n for b in contents.barriers for n in b.attrs.get("left_behind", ())]
    if behind:
        listed = ", ".join(dict.fromkeys(behind))
        notes.append(f"Not moved along the line, though the weights differ in them: {listed}.")
    return tuple(notes)
