"""How much several networks differ in their answers: a number for every two, as a heat map."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from theodolite import results
from theodolite.errors import InvalidArgument
from theodolite.plots import palette
from theodolite.plots.dress import dress, require
from theodolite.plots.height_scale import plain
from theodolite.plots.study_grid import color_scale, light_color

MEASURES = ("disagreement", "normalized_disagreement", "jensen_shannon", "ensemble_gain")
"""What a matrix holds, of `function_distance`."""

SHORT = 6
"""Letters of a name that fit below a cell."""


def function_distance_matrix(pairs: Sequence[xr.Dataset]) -> xr.Dataset:
    """Distances of pairs as symmetric matrices over (first, second); NaN on the diagonal.

    Each is a `function_distance` whose attributes ``points`` and ``pair`` say whose it is. Raises
    `InvalidArgument` without any.
    """
    if not pairs:
        raise InvalidArgument("pairs must hold at least one distance; got none.", code="E-P05")
    points = [str(n) for n in pairs[0].attrs["points"]]
    size = len(points)
    held = {name: np.full((size, size), np.nan) for name in MEASURES}
    for one in pairs:
        i, j = (int(k) for k in one.attrs["pair"])
        for name, matrix in held.items():
            matrix[i, j] = matrix[j, i] = float(one[name])
    told = {n: str(pairs[0][n].attrs.get("long_name", n)) for n in MEASURES}
    return results.dataset(
        "function_distance_matrix",
        {n: (("first", "second"), m, {"long_name": told[n]}) for n, m in held.items()},
        {"first": points, "second": points},
    )


def plot_function_distances(found: xr.Dataset, ax: Axes) -> Axes:
    """Draw the share of different answers of every two networks, in percent; return `ax`.

    Below it, smaller, how many times the share of errors that is: 0 for one function, about 1
    for errors that have nothing to do with each other. The color (cividis) is the share. The
    diagonal and pairs that were not measured are empty.
    """
    require(found, "function_distance_matrix", "first", "second")
    names = [str(n) for n in found["first"].values]
    shares = 100 * found["disagreement"].values
    ratios = found["normalized_disagreement"].values
    norm = color_scale(shares[np.isfinite(shares)], log=False)
    colors = mpl.colormaps[palette.SURFACE]
    for i, j in np.ndindex(shares.shape):
        there = bool(np.isfinite(shares[i, j]))
        shade = colors(norm(shares[i, j])) if there else "none"
        edge = "none" if there else palette.RULE
        corner = (j - 0.48, i - 0.48)
        ax.add_patch(Rectangle(corner, 0.96, 0.96, facecolor=shade, edgecolor=edge, linewidth=1))
        if there:
            ink = palette.ON_FIELD if light_color(shade) else "#ffffff"
            _write(ax, i, j, float(shares[i, j]), float(ratios[i, j]), ink)
    shown = [n if len(n) <= 16 else f"…{n[-15:]}" for n in names]
    long = max(map(len, shown)) > SHORT
    ax.set_xticks(range(len(names)), shown)
    if long:
        for label in ax.get_xticklabels():
            label.set(rotation=30, ha="right")
    ax.set_yticks(range(len(names)), shown)
    ax.set_xlim(-0.5, len(names) - 0.5)
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_aspect("equal")
    return dress(ax)


def _write(ax: Axes, i: int, j: int, share: float, ratio: float, ink: str) -> None:
    known = bool(np.isfinite(ratio))
    at = i - (0.1 if known else 0.0)
    text = f"{plain(float(f'{share:.3g}'))} %"
    ax.text(j, at, text, ha="center", va="center", fontsize=10, color=ink)
    if known:
        times = f"{plain(float(f'{ratio:.2g}'))} times errors"
        ax.text(j, i + 0.2, times, ha="center", va="center", fontsize=7.5, color=ink)
