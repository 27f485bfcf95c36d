"""Training and test loss along one line, with the lowest point of each."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from theodolite.plots import palette
from theodolite.plots.dress import dress, plain_ticks, require


def plot_shifted_valley(found: xr.Dataset, ax: Axes, *, direction: int = 0) -> Axes:
    """Draw both losses over the distance along a line, with their minima; return `ax`.

    Bands are one standard error over examples; a mark is a minimum, its bar one standard error
    of the place. Bars end at the frame.
    """
    require(found, "shifted_valley", "direction", "alpha")
    at = found.isel(direction=direction)
    length = float(at["length"]) if "length" in at else 1.0
    x = length * at["alpha"].values.astype(np.float64)
    looks = (("train", "training", palette.series_color(0), "-"), ("test", "test", *_TEST))
    for split, label, color, dash in looks:
        loss = at[f"{split}_loss"].values.astype(np.float64)
        error = at[f"{split}_loss_error"].values.astype(np.float64)
        ax.plot(x, loss, color=color, linestyle=dash, linewidth=1.6, label=label)
        ax.fill_between(x, loss - error, loss + error, color=color, alpha=0.15, linewidth=0)
        place = length * float(at[f"{split}_minimum"])
        if np.isfinite(place):
            spread = length * float(at[f"{split}_minimum_error"])
            height = float(np.interp(place, x, loss))
            ends = np.clip([place - spread, place + spread], x[0], x[-1])
            ax.plot(ends, [height, height], color=color, linewidth=1.2)
            ax.plot([place], [height], color=color, marker="o", markersize=5, linestyle="none")
    ax.set_xlim(x[0], x[-1])
    plain_ticks(ax.xaxis)
    plain_ticks(ax.yaxis)
    ax.locator_params(axis="x", nbins=5)
    ax.set_xlabel("distance from the weights")
    ax.set_ylabel("loss")
    ax.legend(frameon=False, fontsize=9, labelcolor=palette.MUTED, loc="best")
    return dress(ax)


_TEST = (palette.NEGATIVE, (0, (5, 2)))
