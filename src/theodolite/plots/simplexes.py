"""How much of a simplex of low loss lies below each loss."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from theodolite.plots import palette
from theodolite.plots.barriers import SPLITS
from theodolite.plots.dress import dress, legend_above, log_axis, plain_ticks, require


def plot_simplex(found: xr.Dataset, ax: Axes, *, log: bool = False) -> Axes:
    """Draw the share of the volume whose loss is at most so large, from the samples.

    Training is solid, test dashed. Marks on the base line are the losses of the vertices: filled
    for the points given, hollow for the trained ones. Samples that are not finite count as
    larger than all. Returns `ax`.
    """
    require(found, "simplex", "sample", "vertex")
    shown = []
    for k, (prefix, split) in enumerate(SPLITS.items()):
        if f"{prefix}loss" not in found:
            continue
        losses = found[f"{prefix}loss"].values
        corners = found[f"{prefix}vertex_loss"].values
        values = np.sort(losses[np.isfinite(losses)])
        share = np.arange(1, len(values) + 1) / len(losses)
        color, dash = palette.series_color(k), (0, (5, 2)) if prefix else "-"
        line = ax.step(values, share, where="post", color=color, linestyle=dash, linewidth=1.7)[0]
        line.set_label(split)
        given = int(found.attrs["points"])
        for part, face, words in (
            (corners[:given], color, "points"),
            (corners[given:], "white", "trained vertices"),
        ):
            ax.plot(
                part,
                np.zeros(len(part)),
                linestyle="none",
                marker="o" if k == 0 else "s",
                markersize=7,
                color=color,
                markerfacecolor=face,
                clip_on=False,
                zorder=4,
                label=f"{words}, {split}",
            )
        shown.append(np.concatenate([values, corners[np.isfinite(corners)]]))
    every = np.concatenate(shown)
    if log and every.size and every.min() > 0:
        log_axis(ax.xaxis, float(every.min()), float(every.max()))
    else:
        plain_ticks(ax.xaxis)
    plain_ticks(ax.yaxis)
    ax.set_ylim(0, 1.02)
    ax.set_xlabel("loss")
    ax.set_ylabel("share of the volume at or below")
    legend_above(ax, 2)
    return dress(ax)
