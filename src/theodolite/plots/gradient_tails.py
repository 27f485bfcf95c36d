"""The tails of gradient noise beside the laws they are taken for."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from theodolite.plots import palette
from theodolite.plots.dress import dress, plain_ticks, require


def plot_gradient_tails(tails: xr.Dataset, ax: Axes) -> Axes:
    """Draw the share of examples beyond a size over the size, direction by direction; return `ax`.

    Both axes are logarithmic and sizes relative to their median, so that a power law is a straight
    line. Dashed is the alpha-stable law of the median index, gray where it is refused in more than
    half of the directions, dotted a Gaussian; the note says in how many it is refused.
    """
    require(tails, "gradient_tail_index", "direction", "rank")
    share = 100 * tails["exceedance"].values.astype(np.float64)
    sizes = tails["size"].transpose("direction", "rank").values.astype(np.float64)
    count, refused = len(sizes), int(tails.attrs["stable_refused"])
    for k, row in enumerate(sizes):
        ax.plot(
            row,
            share,
            color=palette.POSITIVE,
            linewidth=1.0,
            alpha=0.7,
            label="along random directions" if k == 0 else None,
        )
    index = float(np.median(tails["stable_index"].values))
    ax.plot(
        tails["law"].values,
        share,
        color=palette.GAP if 2 * refused > count else palette.NEGATIVE,
        linestyle=(0, (5, 3)),
        linewidth=1.6,
        label=f"alpha-stable law, index {index:.3g}",
    )
    unit = NormalDist().inv_cdf(0.75)
    normal = [-NormalDist().inv_cdf(s / 200) / unit for s in share]
    ax.plot(normal, share, color=palette.INK, linestyle=":", linewidth=1.4, label="Gaussian")
    ax.set_xscale("log")
    ax.set_yscale("log")
    known = sizes[np.isfinite(sizes)]
    ax.set_xlim(0.9, 1.6 * max(float(known.max()) if len(known) else 1.0, normal[0]))
    ax.set_ylim(share.min() / 1.5, 60)
    for axis in (ax.xaxis, ax.yaxis):
        plain_ticks(axis)
    ax.annotate(
        f"law refused in {refused} of {count} directions",
        (0.98, 0.97),
        xycoords="axes fraction",
        ha="right",
        va="top",
        fontsize=9,
        color=palette.INK if refused else palette.MUTED,
    )
    ax.set_xlabel("projection of an example's noise, over its median")
    ax.set_ylabel("examples beyond, percent")
    ax.legend(
        frameon=False,
        fontsize=8.5,
        labelcolor=palette.MUTED,
        loc="lower left",
        bbox_to_anchor=(-0.02, 1.0),
        ncols=2,
        columnspacing=1.2,
        handlelength=1.8,
    )
    return dress(ax)
