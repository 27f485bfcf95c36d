"""The graph of several minima: its tree in a picture and a table."""

from __future__ import annotations

import math
from functools import partial

from theodolite.intervals.verdicts import Height, shown
from theodolite.plots import plot_minima_graph
from theodolite.reporting.connection_graph import KINDS, tree_edges
from theodolite.reporting.connection_parts import Connections
from theodolite.reporting.connection_pictures import Picture, Views
from theodolite.reporting.connectivity_values import short
from theodolite.reporting.pictures import picture
from theodolite.reporting.tables import Table

FEW = 3
"""Minima whose tree is a row."""

CAPTION = (
    "The tree of the lowest paths found. At a minimum stands its loss, at an edge the largest "
    "loss on the path; places and lengths mean nothing else. Heights are upper bounds: a lower "
    "path may exist. The points are joined as they are, their units not matched."
)


def graph_views(found: Connections, index: int) -> tuple[Views, ...]:
    """The picture of the tree."""
    if found.graph is None:
        return ()
    drawn = picture(
        partial(plot_minima_graph, found.graph),
        f"cg{index}",
        (5.4, 2.6 if found.graph.sizes["first"] == FEW else 3.6),
        margins=(0.2, 0.3, 0.2, 0.35),
    )
    return (Views((Picture("Minima and the lowest paths", drawn, "", None),), CAPTION),)


def edges_table(found: Connections) -> Table | None:
    """The edges of the tree, lowest first."""
    graph = found.graph
    if graph is None:
        return None
    rows = tuple(
        (
            f"{edge['first']} to {edge['second']}",
            KINDS[edge["kind"]],
            short(edge["height"]),
            shown(Height(*(math.nan if v is None else v for v in edge["excess"]))),
        )
        for edge in tree_edges(graph)
    )
    return Table(("edge of the tree", "lowest path", "largest loss", "above the worse end"), rows)
