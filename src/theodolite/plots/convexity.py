"""The convexity map: the smallest eigenvalue of the full Hessian over the largest, cell by cell."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Rectangle

from theodolite.plots import palette
from theodolite.plots.dress import distance_label, dress, require
from theodolite.plots.plane import cell_edges
from theodolite.results import DIVERGED, FAILED, OK

DIVERGING = LinearSegmentedColormap.from_list(
    "orange_blue", [palette.NEGATIVE, "#f3f1ee", palette.POSITIVE]
)
"""Orange below zero, blue above."""

LEGIBLE = 11
"""Up to so many cells along an axis their numbers are written into them."""


def plot_convexity(convexity: xr.Dataset, ax: Axes, *, limit: float | None = None) -> Axes:
    """Draw the signed ratio of both ends of the spectrum over (alpha, beta); return `ax`.

    Colors run from minus to plus `limit` (by default the largest ratio in size, at most 1), zero
    in the middle; the numbers are in the cells, since color alone tells nothing. Diverged and
    failed points are hatched. Not checked: that maps drawn beside each other share `limit`.
    """
    require(convexity, "convexity", "alpha", "beta")
    alpha, beta = convexity["alpha"].values, convexity["beta"].values
    status = convexity["status"].transpose("alpha", "beta").values
    ratio = np.where(status == OK, convexity["ratio"].transpose("alpha", "beta").values, np.nan)
    sizes = np.abs(ratio[np.isfinite(ratio)])
    ends = min(1.0, float(sizes.max(initial=0.0)) or 1.0) if limit is None else limit
    x, y = cell_edges(alpha), cell_edges(beta)
    mesh = ax.pcolormesh(x, y, ratio.T, cmap=DIVERGING, vmin=-ends, vmax=ends, edgecolor="none")
    small = max(len(alpha), len(beta)) <= LEGIBLE
    for (i, j), value in np.ndenumerate(ratio):
        if small and np.isfinite(value):
            color = "white" if abs(value) > 0.6 * ends else palette.ON_FIELD
            words = f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
            ax.text(
                float(alpha[i]),
                float(beta[j]),
                words,
                ha="center",
                va="center",
                fontsize=7,
                color=color,
            )
        if status[i, j] in (DIVERGED, FAILED):
            corner = float(x[i]), float(y[j])
            ax.add_patch(_hatched(corner, float(x[i + 1] - x[i]), float(y[j + 1] - y[j])))
    ax.set_xlabel(distance_label(convexity, 1))
    ax.set_ylabel(distance_label(convexity, 2))
    ax.set_aspect("equal")
    bar = ax.figure.colorbar(mesh, ax=ax, shrink=0.82, pad=0.03, aspect=30)
    bar.set_label("smallest / largest eigenvalue", fontsize=10)
    bar.outline.set_visible(False)
    dress(bar.ax)
    return dress(ax)


def _hatched(corner: tuple[float, float], width: float, height: float) -> Rectangle:
    return Rectangle(
        corner, width, height, facecolor="none", edgecolor=palette.GAP, linewidth=0.0, hatch="////"
    )
