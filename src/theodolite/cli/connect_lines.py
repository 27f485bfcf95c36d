"""What ``theodolite connect`` prints of its results, beside the headline numbers."""

from __future__ import annotations

import textwrap

import xarray as xr

ALWAYS = {"start", "training"}
"""What every survey has."""


def lines(tree: xr.DataTree) -> str:
    """Sentences and tables of a run that measured connections and nothing else."""
    from theodolite.cli.columns import aligned
    from theodolite.reporting import connectivity
    from theodolite.reporting.connectivity_values import barrier_words
    from theodolite.reporting.contents import read_trees

    own = {k for k in tree.children if k == "barrier" or k.startswith("barrier_")}
    if not own or not set(tree.children) <= own | ALWAYS:
        return ""
    contents = read_trees(tree)[0]
    if not contents.barriers:
        return ""
    said = [textwrap.fill(s, 100) for s in barrier_words(contents)]
    tables = (connectivity.barrier_matrix_table(contents), connectivity.heights_table(contents))
    return "\n".join([*said, *(aligned(t) for t in tables if t is not None)])
