"""What ``theodolite noise`` prints of its results, beside the headline numbers."""

from __future__ import annotations

import textwrap

import xarray as xr

OWN = {
    "noise_scale",
    "noise_layers",
    "gradient_diversity",
    "noise_spectrum",
    "noise_alignment",
    "noise_tails",
}
ALWAYS = {"start", "training"}
"""What every survey has."""

MOST = 12
"""Layers printed; the report and summary.json hold all."""


def lines(tree: xr.DataTree) -> str:
    """Tables and advice of a run that measured noise and nothing else; a refusal in any."""
    from theodolite.cli.columns import aligned
    from theodolite.reporting import noise, noise_advice
    from theodolite.reporting.contents import read_trees

    if not set(tree.children) & OWN:
        return ""
    contents = read_trees(tree)[0]
    missing = [textwrap.fill(m, 100) for m in noise.missing_text(contents)]
    if not set(tree.children) <= OWN | ALWAYS:
        return "\n".join(missing)
    table, by_layer = noise.number_table(contents), noise.layer_table(contents, MOST)
    blocks = [aligned(t) for t in (table, by_layer) if t is not None]
    if by_layer is not None and by_layer.thinned:
        blocks.append(f"{len(by_layer.rows)} layers with the most noise; the report holds all")
    said = [noise_advice.advice_text(contents), noise_advice.tail_text(contents)]
    blocks += [textwrap.fill(s, 100) for s in said if s]
    told = noise_advice.caveats(contents)
    blocks += [textwrap.fill(f"- {c}", 100, subsequent_indent="  ") for c in told]
    return "\n".join([*blocks, *missing])
