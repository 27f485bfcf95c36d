"""The plane through a curve and its chord, with the curve upon it."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.patheffects import Normal, Stroke

from theodolite.errors import InvalidArgument
from theodolite.plots import palette
from theodolite.plots.dress import require
from theodolite.plots.height_scale import Heights
from theodolite.plots.plane import plot_plane


def plot_curve_plane(
    found: xr.Dataset, ax: Axes, *, variable: str = "loss", scale: Heights | None = None
) -> Axes:
    """Draw the surface of `curve_plane`, on it the curve, its ends and control points, the chord.

    The curve is solid, the straight line between its ends dashed; ends are circles, control
    points squares (of a band: its pivots), where they are in the picture. A path that leaves the
    plane is drawn as its shadow, and the axis says how far it is away. Returns `ax`.
    """
    require(found, "plane", "alpha", "beta")
    if "path_alpha" not in found:
        raise InvalidArgument(
            "this plane has no path on it.",
            fix="pass what curve_plane() returned, or use plot_plane.",
            code="E-P03",
        )
    plot_plane(found, ax, variable=variable, scale=scale, marks=False)
    x, y = found["path_alpha"].values, found["path_beta"].values
    points = np.stack([found["control_alpha"].values, found["control_beta"].values], 1)
    words = "curve" if found.attrs.get("path") == "curve" else "elastic band"
    _line(ax, x, y, "solid", words)
    _line(ax, points[[0, -1], 0], points[[0, -1], 1], (0, (4, 3)), "straight line")
    low, high = (
        [float(end(found[axis])) for axis in ("alpha", "beta")] for end in (np.min, np.max)
    )
    inner = points[1:-1]
    inner = inner[((inner >= low) & (inner <= high)).all(1)]
    label = "control points" if words == "curve" else "pivots"
    for part, marker, name in ((inner, "s", label), (points[[0, -1]], "o", "ends")):
        if not len(part):
            continue
        ax.plot(
            part[:, 0],
            part[:, 1],
            linestyle="none",
            marker=marker,
            markersize=6,
            markeredgecolor=palette.ON_FIELD,
            markerfacecolor="white",
            zorder=6,
            label=name,
        )
    away, length = float(found["path_residual"].max()), float(found.attrs.get("path_length", 0))
    off = f", path up to {away:.2g} off the plane" if away > 1e-3 * max(length, 1e-30) else ""
    ax.set_xlabel("distance along the straight line (norm of parameters)")
    ax.set_ylabel(f"distance across it{off}")
    ax.legend(
        loc="upper left",
        bbox_to_anchor=(0.0, -0.14),
        ncols=4,
        frameon=False,
        fontsize=9,
        labelcolor=palette.MUTED,
        borderaxespad=0.0,
    )
    return ax


def _line(ax: Axes, x: Any, y: Any, dash: Any, label: str) -> None:
    rim = [Stroke(linewidth=3.2, foreground=palette.ON_FIELD), Normal()]
    style = {"color": "white", "linewidth": 1.8, "linestyle": dash, "zorder": 5}
    ax.plot(x, y, label=label, path_effects=rim, **style)
