"""What ``theodolite connect`` prints of its results, in place of the headline numbers."""

from __future__ import annotations

import textwrap

import xarray as xr

ALWAYS = {"start", "training"}
"""What every survey has."""

PARTS = (
    "barrier",
    "aligned_barrier",
    "functions",
    "matching",
    "curve",
    "aligned_curve",
    "minima_graph",
)
"""How the names of results begin that belong to connections."""


def alone(tree: xr.DataTree) -> bool:
    """Whether a run measured connections and nothing else."""
    own = {k for k in tree.children if any(k == p or k.startswith(f"{p}_") for p in PARTS)}
    return bool(own) and set(tree.children) <= own | ALWAYS


def lines(tree: xr.DataTree) -> str:
    """Verdicts, sentences and tables of a run that measured connections and nothing else."""
    from theodolite.cli.columns import aligned
    from theodolite.reporting import connection_tables, connectivity
    from theodolite.reporting.connection_graph import graph_words
    from theodolite.reporting.connectivity_values import barrier_words
    from theodolite.reporting.contents import read_trees

    if not alone(tree):
        return ""
    contents = read_trees(tree)[0]
    if not contents.barriers:
        return ""
    found = contents.connections
    verdicts = connection_tables.verdict_sentences(found)
    told = (" ".join(filter(None, pair)) for pair in verdicts)
    said = (*told, *graph_words(found), *connection_tables.threshold_notes(found)) or barrier_words(
        contents
    )
    several = len(contents.barriers) > 1
    tables = (
        connection_tables.relations_table(found) if several else None,
        None if verdicts else connectivity.barrier_matrix_table(contents),
        None if several else connectivity.heights_table(contents),
    )
    filled = [textwrap.fill(s, 100) for s in said]
    return "\n".join([*filled, *(aligned(t) for t in tables if t is not None)])
