"""What ``theodolite study`` prints of its results."""

from __future__ import annotations

import textwrap

import xarray as xr


def lines(tree: xr.DataTree) -> str:
    """What every study of a run says, with its table; empty without one."""
    from theodolite.cli.columns import aligned
    from theodolite.reporting.contents import STUDIES, read_trees
    from theodolite.reporting.studies import study_panels

    if not set(tree.children) & set(STUDIES):
        return ""
    blocks: list[str] = []
    for panel in study_panels(read_trees(tree)):
        _, table = panel.tables[0]
        blocks += [textwrap.fill(panel.setting, 100), aligned(table)]
        blocks += [
            textwrap.fill(f"- {said}", 100, subsequent_indent="  ")
            for said in (*panel.words, *panel.notes)
        ]
    return "\n".join(blocks)
