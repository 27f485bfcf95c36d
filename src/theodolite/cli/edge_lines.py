"""What ``theodolite study edge-of-stability`` prints of its runs."""

from __future__ import annotations

import textwrap

import xarray as xr


def lines(tree: xr.DataTree) -> str:
    """A table of the runs and a sentence on each; empty for other surveys."""
    from theodolite.cli.columns import aligned
    from theodolite.reporting.contents import read_trees
    from theodolite.reporting.edge_words import edge_sentences
    from theodolite.reporting.edges import edge_table
    from theodolite.reporting.sentences import plain_text

    if "edge_of_stability" not in tree.children:
        return ""
    edge = read_trees(tree)[0].edge
    if edge is None:
        return ""
    said = [plain_text(s) for s in edge_sentences(edge)]
    wrapped = [textwrap.fill(f"- {s}", 100, subsequent_indent="  ") for s in said]
    return "\n".join([aligned(edge_table(edge)), *wrapped])
