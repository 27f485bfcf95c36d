"""The share of directions that curve down, over the threshold below which they count."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from theodolite.plots import palette
from theodolite.plots.dress import dress, plain_ticks, require


def plot_saddle_index(index: xr.Dataset, ax: Axes) -> Axes:
    """Draw the index over the threshold with its bounds as a band; return `ax`.

    The band is what the nodes of the quadrature leave open (nothing where the whole spectrum is
    known); bars are two standard errors over probes. The threshold axis is logarithmic.
    """
    require(index, "saddle_index", "tau")
    tau = index["tau"].values.astype(np.float64)
    share = [100 * index[k].values.astype(np.float64) for k in ("index", "index_low", "index_high")]
    color = palette.NEGATIVE
    ax.fill_between(tau, share[1], share[2], color=color, alpha=0.18, linewidth=0, label="bounds")
    error = 200 * np.nan_to_num(index["standard_error"].values.astype(np.float64))
    ax.errorbar(tau, share[0], yerr=error, color=color, linewidth=1.6, capsize=2, label="index")
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:.0e}".replace("e-0", "e-"))
    ax.set_ylim(bottom=0)
    plain_ticks(ax.yaxis)
    ax.set_xlabel("threshold, relative to the largest eigenvalue")
    ax.set_ylabel("directions that curve down, percent")
    ax.legend(frameon=False, fontsize=9, labelcolor=palette.MUTED)
    return dress(ax)


def plot_critical_search(found: xr.Dataset, ax: Axes) -> Axes:
    """Draw the norm of the gradient over the Hessian products of a search; return `ax`."""
    require(found, "critical_point", "iteration")
    norms = found["gradient_norm"].values.astype(np.float64)
    ax.plot(
        found["products"].values,
        np.where(norms > 0, norms, np.nan),
        color=palette.series_color(0),
        marker=".",
        linewidth=1.4,
    )
    ax.set_yscale("log")
    plain_ticks(ax.yaxis)
    plain_ticks(ax.xaxis)
    ax.set_xlabel("Hessian products")
    ax.set_ylabel("norm of the gradient")
    return dress(ax)
