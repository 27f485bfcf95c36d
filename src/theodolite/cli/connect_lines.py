"""What ``theodolite connect`` prints of its results, beside the headline numbers."""

from __future__ import annotations

import textwrap

import xarray as xr

ALWAYS = {"start", "training"}
"""What every survey has."""

PARTS = ("barrier", "aligned_barrier", "functions", "matching", "curve", "aligned_curve")
"""How the names of results begin that belong to connections."""


def lines(tree: xr.DataTree) -> str:
    """Verdicts, sentences and tables of a run that measured connections and nothing else."""
    from theodolite.cli.columns import aligned
    from theodolite.reporting import connection_tables, connectivity
    from theodolite.reporting.connectivity_values import barrier_words
    from theodolite.reporting.contents import read_trees

    own = {k for k in tree.children if any(k == p or k.startswith(f"{p}_") for p in PARTS)}
    if not own or not set(tree.children) <= own | ALWAYS:
        return ""
    contents = read_trees(tree)[0]
    if not contents.barriers:
        return ""
    found = contents.connections
    verdicts = connection_tables.verdict_sentences(found)
    told = (" ".join(filter(None, pair)) for pair in verdicts)
    said = (*told, *connection_tables.threshold_notes(found)) or barrier_words(contents)
    several = len(contents.barriers) > 1
    tables = (
        connection_tables.relations_table(found) if several else None,
        None if verdicts else connectivity.barrier_matrix_table(contents),
        None if several else connectivity.heights_table(contents),
    )
    filled = [textwrap.fill(s, 100) for s in said]
    return "\n".join([*filled, *(aligned(t) for t in tables if t is not None)])
