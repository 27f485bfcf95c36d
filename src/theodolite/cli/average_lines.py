"""What ``theodolite average`` prints of its result, and the weights it writes."""

from __future__ import annotations

import textwrap
from pathlib import Path

import xarray as xr

WEIGHTS = "average.safetensors"
"""The file of averaged weights in a run folder."""


def lines(tree: xr.DataTree) -> str:
    """Sentences and the table of networks of a run that averaged weights and nothing else."""
    from theodolite.cli.columns import aligned
    from theodolite.reporting.averages import networks_table
    from theodolite.reporting.averages_values import average_words
    from theodolite.reporting.contents import read_trees

    if "average" not in tree.children or not set(tree.children) <= {"average", "start", "training"}:
        return ""
    found = read_trees(tree)[0].averages
    if found is None:
        return ""
    said = [textwrap.fill(s, 100) for s in average_words(found)]
    return "\n".join([*said, aligned(networks_table(found))])


def written(tree: xr.DataTree, folder: Path) -> list[str]:
    """Write the averaged weights, where there are any, and say where they are."""
    if "average" not in tree.children or "layout" not in tree["average"].attrs:
        return []
    from theodolite.averaging import averaged_state
    from theodolite.training import save_state

    path = save_state(averaged_state(tree["average"].to_dataset()), folder / WEIGHTS)
    return [f"Weights  {path}"]
