"""How far the weights can move in a plane before the loss has risen, as a headline number."""

from __future__ import annotations

import numpy as np
import xarray as xr

from theodolite.errors import InvalidArgument
from theodolite.shapes.grids import grid_of, start_value
from theodolite.shapes.rays import first_crossing, ways_from_start

RISE = 1.0
"""The width is quoted where the loss first exceeds the start's by this."""


def widths(tree: xr.DataTree) -> tuple[np.ndarray, bool]:
    """The mean width of every complete filter-normalized plane, and whether a border cut one off.

    As ``width_mean`` of `td.shape` at ``start + 1``: the mean over 360 ways from the start.
    """
    found, cut = [], False
    for name, child in tree.children.items():
        data = child.to_dataset()
        notes = data.attrs
        plane = notes.get("quantity") == "plane" and notes.get("normalize") == "filter"
        if not plane or name.endswith("_recomputed"):
            continue
        try:
            grid = grid_of(data)
        except InvalidArgument:  # a run that was stopped may hold no loss yet
            continue
        if len(grid.axes) != 2 or min(grid.values.shape) < 2 or grid.missing:
            continue
        ways = ways_from_start(grid, float(notes.get("axis_cosine", 0.0)))
        level = start_value(grid)[0] + RISE
        if not len(ways.open) or not np.isfinite(level):
            continue
        distance, crossed = first_crossing(ways, level)
        found.append(float(distance.mean()))
        cut = cut or not crossed.all()
    return np.array(found), cut
