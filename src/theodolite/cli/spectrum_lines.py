"""What ``theodolite spectrum`` prints of its results, beside the headline numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import xarray as xr

if TYPE_CHECKING:
    from theodolite.reporting.tables import Table

OWN = {"spectrum", "eigenvalues", "frobenius_norm", "layer_diagonals", "layers"}
ALWAYS = {"start", "training"}
"""What every survey has."""

MOST = 12
"""Layers and eigenvalues printed; the report and summary.json hold all."""


def lines(tree: xr.DataTree) -> str:
    """Tables of a run that measured the spectrum and nothing else; a warm start's note in any."""
    from theodolite.cli.columns import aligned
    from theodolite.reporting import layers, spectra, tables
    from theodolite.reporting.contents import read_trees

    if not set(tree.children) & OWN:
        return ""
    contents = read_trees(tree)[0]
    note = spectra.warm_note(contents)
    blocks = [f"Eigenvalues took {note}"] if note else []
    if set(tree.children) <= OWN | ALWAYS:
        ends = tables.eigenvalue_table(contents)
        made = [spectra.summary_table(contents), ends and outermost(ends)]
        made.append(spectra.norm_table(contents))
        if ends is not None and len(ends.rows) > MOST:
            blocks.append(f"{MOST} of {len(ends.rows)} eigenvalues, from both ends")
        if contents.layers is not None:
            shown = layers.drawn(contents.layers, MOST)
            count = contents.layers.sizes["layer"]
            made.append(layers.by_layer(contents.layers, only=shown["layer"].values.tolist()))
            if shown.sizes["layer"] < count:
                blocks.append(f"{shown.sizes['layer']} of {count} layers, of largest trace")
        blocks = [*(aligned(t) for t in made if t is not None), *blocks]
    return "\n".join(blocks)


def outermost(table: Table) -> Table:
    """Rank, eigenvalue and residual of as many rows as are printed, half of them from each end."""
    from theodolite.reporting.tables import Table

    rows = table.rows
    kept = rows if len(rows) <= MOST else (*rows[: MOST // 2], *rows[-MOST // 2 :])
    return Table(table.head[:2], tuple(row[:2] for row in kept), len(kept) < len(rows))
