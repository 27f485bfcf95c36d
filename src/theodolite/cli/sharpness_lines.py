"""What ``theodolite sharpness`` and ``saddles`` print of their results, beside the headline."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import xarray as xr

if TYPE_CHECKING:
    from theodolite.reporting.contents import Contents

SHARPNESS = {"sharpness", "predicted_rise", "shifted_valley"}
SADDLES = {"saddle_index", "critical_point"}
ALWAYS = {"start", "training"}
"""What every survey has."""

WIDTH = 100


def lines(tree: xr.DataTree) -> str:
    """Tables and sentences of a run that measured sharpness or saddles and nothing else."""
    from theodolite.reporting.contents import read_trees

    names = {n for n in tree.children if n not in ALWAYS and not n.startswith("escape_")}
    if not names or not (names <= SHARPNESS or names <= SADDLES):
        return ""
    contents = read_trees(tree)[0]
    made = sharpness_lines(contents) if names <= SHARPNESS else saddle_lines(contents)
    return "\n".join(made)


def sharpness_lines(contents: Contents) -> list[str]:
    """The table of all measures, what was left out, and what the shift of the valleys costs."""
    from theodolite.cli.columns import aligned
    from theodolite.reporting.sharpness import left_out_notes, sharpness_table
    from theodolite.reporting.valleys import valley_words

    found, valleys = contents.sharpness, contents.valleys
    made = [] if found is None else [aligned(sharpness_table(found))]
    made += [] if found is None else [folded(note) for note in left_out_notes(found)]
    return made if valleys is None else [*made, folded(valley_words(valleys))]


def saddle_lines(contents: Contents) -> list[str]:
    """The verdict by threshold, what a search found, and how long the saddle holds."""
    from theodolite.cli.columns import aligned
    from theodolite.reporting.escapes import escape_panel
    from theodolite.reporting.saddles import search_words, verdict_words

    made = []
    if contents.saddles is not None:
        made.append(folded(verdict_words(contents.saddles)))
    if contents.critical is not None:
        made.append(folded(search_words(contents.critical)))
    panel = escape_panel(contents, 0)
    if panel is not None:
        made.append(folded(" ".join((panel.sentence, *panel.notes))))
        made += [] if panel.table is None else [aligned(panel.table)]
    return made


def folded(text: str) -> str:
    """A sentence in lines that a terminal shows whole."""
    return textwrap.fill(text, WIDTH)
