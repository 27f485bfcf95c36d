"""The section on connections: lines between weights and their barriers, drawn and in tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from theodolite.plots import how_normalized
from theodolite.reporting.connection_graph import graph_words
from theodolite.reporting.connection_parts import pair_of
from theodolite.reporting.connection_pictures import (
    MOST_DRAWN,
    Views,
    answers_views,
    line_views,
    profile_views,
)
from theodolite.reporting.connection_tables import (
    answers_table,
    curve_notes,
    curves_table,
    relations_table,
    threshold_notes,
    verdict_sentences,
)
from theodolite.reporting.connection_trees import edges_table, graph_views
from theodolite.reporting.connectivity_values import (
    barrier_words,
    interval_text,
    named,
    short,
    versions,
)
from theodolite.reporting.contents import Contents
from theodolite.reporting.tables import Table

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
class Part:
    """One way of looking at the pairs: pictures of several kinds, tables, and notes."""

    title: str
    views: tuple[Views, ...]
    tables: tuple[tuple[str, Table], ...]
    notes: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Panel:
    """What the section shows of one survey: the verdicts first, then what they rest on."""

    label: str
    index: int
    verdicts: tuple[tuple[str, str], ...]
    relations: Table | None
    notes: tuple[str, ...]
    parts: tuple[Part, ...]


def connection_panels(surveys: Sequence[Contents]) -> tuple[Panel, ...]:
    """One panel a survey that measured what connects weights."""
    return tuple(_panel(c, k) for k, c in enumerate(surveys) if c.barriers or c.connections.found)


def _panel(contents: Contents, index: int) -> Panel:
    found = contents.connections
    verdicts = verdict_sentences(found)
    lines = Part(
        "Straight lines",
        line_views(contents, versions(contents), index),
        _tables(
            ("Barriers", barrier_matrix_table(contents)),
            ("Heights of the lines", heights_table(contents) if contents.barriers else None),
        ),
        _notes(contents) if contents.barriers else (),
        () if verdicts else barrier_words(contents),
    )
    curves = Part(
        "Curves",
        profile_views(found, index),
        _tables(("Curves", curves_table(found))),
        curve_notes(found),
    )
    answers = Part(
        "Answers", answers_views(found, index), _tables(("Answers", answers_table(found)))
    )
    graph = Part(
        "The graph of the minima",
        graph_views(found, index),
        _tables(("Edges of the tree", edges_table(found))),
        (),
        graph_words(found),
    )
    parts = tuple(p for p in (graph, lines, curves, answers) if p.views or p.tables)
    relations = relations_table(found) if len(found.lines) > 1 else None
    return Panel(contents.label, index, verdicts, relations, threshold_notes(found), parts)


def _tables(*named: tuple[str, Table | None]) -> tuple[tuple[str, Table], ...]:
    return tuple((name, table) for name, table in named if table is not None)


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
        matched = contents.connections.aligned.get(pair_of(found))
        for one in (found, again, matched):
            if one is None:
                continue
            how = ("units matched, " if one is matched else "") + how_normalized(one)
            told = f"{named(one, 'to')}, {how}".removesuffix(", ")
            for prefix, curve in CURVES.items():
                if f"{prefix}barrier" in one:
                    values = tuple(interval_text(one, prefix + name) for name in HEIGHTS)
                    rows.append((f"{told}, {curve}", *values))
    head = (f"{level:g} % intervals", *HEIGHTS.values())
    return Table(head, tuple(rows))


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
