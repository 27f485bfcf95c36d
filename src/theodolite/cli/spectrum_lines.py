"""What ``theodolite spectrum`` prints of its results, beside the headline numbers."""

from __future__ import annotations

import xarray as xr

OWN = {"spectrum", "eigenvalues", "frobenius_norm", "layer_diagonals", "layers"}
ALWAYS = {"start", "training"}
"""What every survey has."""

MOST = 12
"""Layers printed; the report and summary.json hold all."""


def lines(tree: xr.DataTree) -> str:
    """Tables of a run that measured the spectrum and nothing else; a warm start's note in any."""
    from theodolite.cli.shape_lines import aligned
    from theodolite.reporting import layers, spectra
    from theodolite.reporting.contents import read_trees

    if not set(tree.children) & OWN:
        return ""
    contents = read_trees(tree)[0]
    note = spectra.warm_note(contents)
    blocks = [f"Eigenvalues took {note}"] if note else []
    if set(tree.children) <= OWN | ALWAYS:
        tables = [spectra.summary_table(contents), spectra.norm_table(contents)]
        if contents.layers is not None:
            shown = layers.drawn(contents.layers, MOST)
            count = contents.layers.sizes["layer"]
            tables.append(layers.by_layer(contents.layers, only=shown["layer"].values.tolist()))
            if shown.sizes["layer"] < count:
                blocks.append(f"{shown.sizes['layer']} of {count} layers, of largest trace")
        blocks = [*(aligned(t) for t in tables if t is not None), *blocks]
    return "\n".join(blocks)
