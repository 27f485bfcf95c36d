"""How far the start is from each level: least, mean and greatest distance, plane by plane."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from theodolite.plots import palette
from theodolite.plots.dress import dress, require

SPREAD = 0.5
"""How much of the room of a level its planes take."""


def plot_shape(shape: xr.Dataset, ax: Axes) -> Axes:
    """Draw the widths at every level, a bar a plane from least to greatest; return `ax`.

    The circle is the mean over ways from the start, hollow where some leave the plane below the
    level (the numbers are then lower bounds).
    """
    require(shape, "shape", "plane", "level")
    planes, levels = shape.sizes["plane"], shape.sizes["level"]
    offsets = SPREAD * ((np.arange(planes) + 0.5) / planes - 0.5)
    color = palette.series_color(0)
    for k in range(planes):
        one = shape.isel(plane=k)
        for row in range(levels):
            at = one.isel(level=row)
            y = row + float(offsets[k])
            ends = [float(at["width_least"]), float(at["width_greatest"])]
            ax.plot(ends, [y, y], color=color, linewidth=2, alpha=0.5, solid_capstyle="butt")
            ax.plot(
                [float(at["width_mean"])],
                [y],
                marker="o",
                markersize=6,
                color=color,
                markerfacecolor="none" if float(at["width_open"]) > 0 else color,
            )
    ax.set_yticks(range(levels), [str(v) for v in shape["level"].values])
    ax.set_ylim(levels - 0.5, -0.5)
    ax.set_xlim(left=0.0)
    ax.set_xlabel(f"distance from the start ({shape.attrs['unit']})")
    ax.set_ylabel("loss")
    return dress(ax)
