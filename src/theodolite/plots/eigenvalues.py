"""Computed eigenvalues in order, each with the bar its residual guarantees."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from theodolite.plots import palette
from theodolite.plots.dress import dress, require


def plot_eigenvalues(eigenpairs: xr.Dataset, ax: Axes) -> Axes:
    r"""Draw each eigenvalue with its residual as error bar; return `ax`.

    For a symmetric operator some true eigenvalue lies within
    :math:`\lVert A v - \lambda v \rVert` of each computed one, so the bar is a bound, not an
    estimate. Negative values are orange squares, the others blue circles.
    """
    require(eigenpairs, "eigenpairs", "eigenvalue")
    values = eigenpairs["eigenvalue"].values.astype(np.float64)
    residual = eigenpairs["residual"].values.astype(np.float64)
    rank = np.arange(1, len(values) + 1)
    for chosen, color, marker, label in (
        (values >= 0, palette.POSITIVE, "o", "not negative"),
        (values < 0, palette.NEGATIVE, "s", "negative"),
    ):
        if chosen.any():
            ax.errorbar(
                rank[chosen],
                values[chosen],
                yerr=residual[chosen],
                linestyle="none",
                marker=marker,
                markersize=5,
                color=color,
                capsize=3,
                label=f"{label} ({int(chosen.sum())})",
            )
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.axhline(0.0, color=palette.RULE, linewidth=1, zorder=0)
    ax.set_xlabel("rank")
    ax.set_ylabel("eigenvalue (bar: residual)")
    ax.legend(frameon=False, fontsize=9, labelcolor=palette.MUTED)
    return dress(ax)
