"""The spectrum of an operator as a curve on a log scale, with the spread over its probes."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from theodolite.curvature.smoothing import Scale
from theodolite.plots import palette
from theodolite.plots.density import (
    density_floor,
    negative_share,
    smooth_together,
    wide_spread,
)
from theodolite.plots.dress import dress, plain_ticks, require


def plot_spectral_density(
    density: xr.Dataset,
    ax: Axes,
    *,
    eigenvalues: xr.Dataset | None = None,
    scale: Scale | None = None,
    width: float | None = None,
    named: int = 3,
) -> Axes:
    """Draw the smoothed density on a log scale; return `ax`.

    The line is the mean over probes, the band their smallest and largest; weight below zero is
    shaded orange. `eigenvalues` adds a mark at each, the `named` largest with their numbers.
    `scale` and `width` are those of ``curvature.smooth``; ``scale=None`` takes "log" where a
    linear axis would hide the bulk. The kernel's width is stated in the horizontal label. With
    one probe the title says that there is no error bar.
    """
    if scale is None:
        scale = "log" if wide_spread([density]) else "linear"
    (curve,) = smooth_together([density], scale=scale, width=width)
    return draw_curve(curve, negative_share(density), ax, eigenvalues=eigenvalues, named=named)


def draw_curve(
    curve: xr.Dataset,
    negative: np.ndarray,
    ax: Axes,
    *,
    eigenvalues: xr.Dataset | None = None,
    named: int = 3,
) -> Axes:
    """Draw a smoothed density; `negative` is the share below zero of each probe."""
    value, each = curve["eigenvalue"].values, curve["density"].values
    floor = density_floor(curve)
    mean = np.maximum(each.mean(axis=0), floor)
    low, high = (np.maximum(f(each, axis=0), floor) for f in (np.min, np.max))
    ax.fill_between(value, low, high, color=palette.MUTED, alpha=0.25, linewidth=0)
    ax.fill_between(
        value, floor, mean, where=value < 0, color=palette.NEGATIVE, alpha=0.45, linewidth=0
    )
    ax.plot(value, mean, color=palette.INK, linewidth=1.5)
    ax.axvline(0.0, color=palette.RULE, linewidth=1)
    ax.set_yscale("log")
    plain_ticks(ax.yaxis)
    ax.set_ylim(floor, 6 * float(each.max()))
    ax.set_ylabel("spectral density")
    if curve.attrs["scale"] == "log":
        ax.set_xscale("asinh", linear_width=2 * float(curve.attrs["floor"]), base=100)
        ends = float(value[0]), float(value[-1])
        ax.set_xticks(decade_ticks(float(curve.attrs["floor"]), *ends))
        plain_ticks(ax.xaxis)
    ax.set_xlabel(f"eigenvalue ({kernel_words(curve)})")
    ax.set_title(
        f"{100 * negative.mean():.2g} % of the weight lies below zero"
        + ("" if len(negative) > 1 else " (one probe: no error bar)")
    )
    if eigenvalues is not None:
        _name(ax, require(eigenvalues, "eigenpairs", "eigenvalue"), named)
    return dress(ax)


def decade_ticks(floor: float, low: float, high: float, most: int = 4) -> list[float]:
    """Zero and at most `most` powers of ten on either side of it, none within a decade of `floor`.

    >>> decade_ticks(1e-6, -0.05, 30.0)
    [-0.01, -0.0001, 0.0, 0.0001, 0.01, 1.0]
    """
    ends = [(sign, math.floor(math.log10(end))) for sign, end in ((-1, -low), (1, high)) if end > 0]
    first = math.floor(math.log10(floor)) + 2
    if not ends or all(last < first for _, last in ends):
        return [0.0]
    step = max(1, -(-(max(last for _, last in ends) - first + 1) // most))
    start = first + (-first) % step  # powers of the step, so that both sides agree
    marks = [s * 10.0**k for s, last in ends for k in range(start, last + 1, step)]
    return sorted([*marks, 0.0])


def kernel_words(curve: xr.Dataset) -> str:
    """The kernel's width in words: it is a choice, and the reader has to know it."""
    kernel = f"{float(curve.attrs['kernel']):.2g}"
    return f"kernel of {kernel} decades" if curve.attrs["scale"] == "log" else f"kernel of {kernel}"


def _name(ax: Axes, eigenvalues: xr.Dataset, named: int) -> None:
    values = eigenvalues["eigenvalue"].values
    ax.plot(
        values,
        np.full(len(values), 0.03),
        linestyle="none",
        marker="^",
        markersize=6,
        color=palette.POSITIVE,
        transform=ax.get_xaxis_transform(),
        label="eigenvalues",
    )
    for rank, value in enumerate(values[:named], start=1):
        ax.annotate(
            f"{rank}: {value:.3g}",
            (value, 0.03),
            xycoords=ax.get_xaxis_transform(),
            xytext=(0, 8 + 11 * ((rank - 1) % 3)),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=palette.INK,
        )
