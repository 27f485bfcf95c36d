"""The spectrum of an operator as a curve on a log scale, with the spread over its probes."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from theodolite.plots import palette
from theodolite.plots.density import negative_share, smooth_nodes
from theodolite.plots.dress import dress, require

FLOOR_SHARE = 0.2
"""The density is drawn down to this share of what one single eigenvalue contributes."""


def plot_spectral_density(
    density: xr.Dataset,
    ax: Axes,
    *,
    eigenvalues: xr.Dataset | None = None,
    width: float | None = None,
    linear_within: float | None = None,
    named: int = 3,
) -> Axes:
    """Draw the smoothed density on a log scale; return `ax`.

    The line is the mean over probes, the band their smallest and largest; weight below zero is
    shaded orange. `eigenvalues` adds a mark at each, the `named` largest with their numbers.
    `linear_within` gives an axis that is logarithmic beyond it (see ``smooth_nodes``). The
    kernel's width is stated in the horizontal label. With one probe the title says that there
    is no error bar.
    """
    curve = smooth_nodes(density, width=width, linear_within=linear_within)
    value, each = curve["value"].values, curve["density"].values
    floor, peak = density_floor(curve), float(each.max())
    mean = np.maximum(each.mean(axis=0), floor)
    low, high = (np.maximum(f(each, axis=0), floor) for f in (np.min, np.max))
    ax.fill_between(value, low, high, color=palette.MUTED, alpha=0.25, linewidth=0)
    ax.fill_between(
        value, floor, mean, where=value < 0, color=palette.NEGATIVE, alpha=0.45, linewidth=0
    )
    ax.plot(value, mean, color=palette.INK, linewidth=1.5)
    ax.axvline(0.0, color=palette.RULE, linewidth=1)
    ax.set_yscale("log")
    ax.set_ylim(floor, 3 * peak)
    kernel = f"kernel width {curve.attrs['width']:.2g}"
    if linear_within is not None:
        ax.set_xscale("asinh", linear_width=linear_within)
        kernel += f", linear within ± {linear_within:.1g}"
    ax.set_xlabel(f"eigenvalue ({kernel})")
    ax.set_ylabel("spectral density")
    share = negative_share(density)
    ax.set_title(
        f"{100 * share.mean():.2g} % of the weight lies below zero"
        + ("" if len(share) > 1 else " (one probe: no error bar)")
    )
    if eigenvalues is not None:
        _name(ax, require(eigenvalues, "eigenpairs", "eigenvalue"), named)
    return dress(ax)


def density_floor(curve: xr.Dataset) -> float:
    """The lowest density drawn: below it there is less than a fifth of one eigenvalue.

    What lies lower is the kernel's tail, not the spectrum. Without a recorded size, nine decades
    below the peak.
    """
    peak = float(curve["density"].max())
    size = float(curve.attrs.get("size", 0))
    if size <= 0:
        return peak * 1e-9
    one = 1.0 / (size * float(curve.attrs["width"]) * np.sqrt(2 * np.pi))
    return min(FLOOR_SHARE * one, 0.1 * peak)


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
            xytext=(0, 8),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=palette.INK,
        )
