"""Gradient noise: signal against noise by layer, and what batch sizes cost."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from theodolite.plots import palette
from theodolite.plots.dress import dress, legend_above, plain_ticks, require
from theodolite.plots.height_scale import plain

POINTS = 160
LONGEST = 26
"""Letters of a layer's name that a picture shows: its end, which tells layers apart."""


def noisiest(layers: xr.Dataset, most: int) -> xr.Dataset:
    """The layers with the largest variance, at most so many, in the order of the network."""
    size = np.nan_to_num(layers["covariance_trace"].values.astype(np.float64))
    return layers.isel(layer=np.sort(np.argsort(-size, kind="stable")[:most]))


def plot_signal_to_noise(layers: xr.Dataset, ax: Axes) -> Axes:
    """Draw the squared gradient over the variance of one example, a row a layer; return `ax`.

    The first layer is on top, the axis logarithmic; a thick line is the interval, a dot the value.
    An interval that reaches zero ends at the picture's edge, and a ratio that is not positive has
    no dot.
    """
    require(layers, "signal_to_noise", "layer")
    names = [str(n) for n in layers["layer"].values]
    value, low, high = (
        layers[f"signal_to_noise{end}"].values.astype(np.float64) for end in ("", "_low", "_high")
    )
    shown = np.isfinite(value) & (value > 0)
    known = np.concatenate([v[np.isfinite(v) & (v > 0)] for v in (value, low, high)])
    left, right = (known.min(), known.max()) if len(known) else (0.1, 1.0)
    reach = max((right / left) ** 0.08, (12 * left / right) ** 0.5)  # a decade at the least
    left, right = left / reach, right * reach
    rows = np.arange(len(names))
    for k in np.flatnonzero(np.isfinite(high) & (high > 0)):
        ends = [max(low[k], left) if np.isfinite(low[k]) else left, high[k]]
        ax.plot(ends, [k, k], color=palette.POSITIVE, linewidth=5, alpha=0.3, solid_capstyle="butt")
    ax.plot(value[shown], rows[shown], "o", color=palette.POSITIVE, markersize=5)
    ax.set_xscale("log")
    ax.set_xlim(left, right)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_yticks(rows, [n if len(n) <= LONGEST else f"…{n[1 - LONGEST :]}" for n in names])
    between = (1.0, 2.0, 5.0) if right < 100 * left else (1.0,)
    ax.xaxis.set_major_locator(LogLocator(subs=between, numticks=8))
    plain_ticks(ax.xaxis)
    ax.grid(axis="x", color=palette.RULE, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.set_xlabel("squared gradient over variance of one example")
    dress(ax)
    ax.tick_params(axis="y", length=0)
    return ax


def plot_batch_efficiency(noise: xr.Dataset, ax: Axes) -> Axes:
    """Draw the efficiency in steps and in examples over the batch size; return `ax`.

    Fewest steps over steps, ``1 / (1 + B_c / B)``, and fewest examples over examples,
    ``1 / (1 + B / B_c)``, each with the band of the interval of B_c; they cross at B_c. The range
    of batch sizes advised is shaded, fainter as far as its interval reaches; a stated batch size
    is a dotted line.
    """
    require(noise, "gradient_noise_scale", "batch")
    middle, low, high = (float(noise[f"critical_batch_size{end}"]) for end in ("", "_low", "_high"))
    ends = [float(noise[f"range_{end}"]) for end in ("low", "high")]
    drawn = middle if np.isfinite(middle) else max(2 * low, 1.0)
    stated = int(noise.attrs.get("batch_size", 0))
    first, last = max(drawn / 300, 0.5), max(drawn * 300, 500.0)
    if stated:
        first, last = min(first, stated / 2), max(last, stated * 2)
    sizes = np.geomspace(first, last, POINTS)
    ax.axvspan(
        max(ends[0], first),
        min(ends[1], last),
        color=palette.MUTED,
        alpha=0.13,
        linewidth=0,
        label="range advised",
    )
    for steps in (True, False):
        color = palette.POSITIVE if steps else palette.NEGATIVE
        word = "in steps" if steps else "in examples"
        if np.isfinite(middle):
            ax.plot(
                sizes,
                efficiency(sizes, middle, steps),
                color=color,
                linestyle="-" if steps else (0, (5, 3)),
                linewidth=1.7,
                label=word,
            )
        top = high if np.isfinite(high) else 1e300
        ends_of_band = [efficiency(sizes, max(c, 1e-300), steps) for c in (low, top)]
        ax.fill_between(
            sizes,
            ends_of_band[0],
            ends_of_band[1],
            color=color,
            alpha=0.18,
            linewidth=0,
            label=None if np.isfinite(middle) else f"{word}, interval",
        )
    if np.isfinite(middle):
        ax.plot([middle], [50], "o", color=palette.INK, markersize=5)
        _note(ax, middle, f"{plain(float(f'{middle:.3g}'))} examples", 0.5)
    if stated:
        ax.axvline(stated, color=palette.INK, linestyle=":", linewidth=1.3)
        _note(ax, stated, f"yours: {stated:,}", 0.03)
    ax.set_xscale("log")
    ax.set_xlim(first, last)
    ax.set_ylim(0, 100)
    ax.xaxis.set_major_locator(LogLocator(numticks=7))
    plain_ticks(ax.xaxis)
    ax.set_xlabel("batch size, examples")
    ax.set_ylabel("efficiency, percent")
    legend_above(ax, 3)
    return dress(ax)


def efficiency(sizes: np.ndarray, critical: float, steps: bool) -> np.ndarray:
    """Percent of the fewest steps over steps, or of the fewest examples over examples.

    >>> efficiency(np.array([1.0, 3.0]), 3.0, True), efficiency(np.array([1.0]), 3.0, False)
    (array([25., 50.]), array([75.]))
    """
    made: np.ndarray = 100 / (1 + (critical / sizes if steps else sizes / critical))
    return made


def _note(ax: Axes, x: float | int, text: str, height: float) -> None:
    """A word to the right of a place on the axis."""
    ax.annotate(
        text,
        (x, height),
        xycoords=("data", "axes fraction"),
        xytext=(6, 0),
        textcoords="offset points",
        va="center" if height > 0.1 else "bottom",
        fontsize=9,
        color=palette.INK,
    )
