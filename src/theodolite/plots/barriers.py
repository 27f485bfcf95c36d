"""Losses on the segment between two points, with the chord that a barrier is measured from."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from theodolite.plots import palette
from theodolite.plots.dress import dress, legend_above, plain_ticks, require
from theodolite.results import OK

BAND = 2.0
"""Half the height of an error band, in standard errors."""

MATCHED = ("as they are", "units matched")
"""What the first and the second color are where units were matched."""

SPLITS = {"": "training", "test_": "test"}
"""The curves of a result by the prefix of their numbers."""


def plot_barrier(
    found: xr.Dataset,
    ax: Axes,
    *,
    variable: str = "loss",
    recomputed: xr.Dataset | None = None,
    aligned: xr.Dataset | None = None,
    log: bool = False,
) -> Axes:
    """Draw `variable` ("loss", or "error" in percent) from the first point to the second.

    Training is solid, test dashed, each with a band of two standard errors over examples; thin
    dotted lines are the chords. `recomputed` is the same segment with BatchNorm statistics
    recomputed, in the second color; or there `aligned` is that to the second point with its
    units matched to those of the first. Heights up to the threshold that a result was judged by
    are shaded above the chord. Places that diverged break a line. Returns `ax`.
    """
    require(found, "barrier", "alpha")
    second = aligned if recomputed is None else recomputed
    both = [found] if second is None else [found, require(second, "barrier", "alpha")]
    words = [""]
    if second is not None:
        words = [how_normalized(one) for one in both] if recomputed is not None else [*MATCHED]
    if variable == "loss" and "threshold" in found.attrs:
        _shade(ax, both[-1 if recomputed is not None else 0], float(found.attrs["threshold"]))
    for k, one in enumerate(both):
        for prefix, split in SPLITS.items():
            if values_of(one, variable, prefix) is not None:
                label = f"{split}, {words[k]}" if words[k] else split
                _draw(ax, one, variable, prefix, palette.series_color(k), label)
    if log:
        ax.set_yscale("log")
    plain_ticks(ax.yaxis)
    plain_ticks(ax.xaxis)
    ax.set_xlim(0, 1)
    names = [str(found.attrs.get(k, fallback)) for k, fallback in (("first", "a"), ("second", "b"))]
    ax.set_xlabel(f"share of the way from {_short(names[0])} to {_short(names[1])}")
    ax.set_ylabel("loss" if variable == "loss" else "wrong answers, percent")
    if variable == "error":
        ax.set_ylim(bottom=0)
    legend_above(ax, 2)
    return dress(ax)


def how_normalized(found: xr.Dataset) -> str:
    """The statistics of normalization layers in a result, in two words."""
    kind = str(found.attrs.get("statistics", "none"))
    told = {"interpolated": "averaged statistics", "recomputed": "recomputed", "kept": "frozen"}
    return told.get(kind, "")


def values_of(
    found: xr.Dataset, variable: str, prefix: str
) -> tuple[np.ndarray, np.ndarray] | None:
    """A curve and its standard errors, NaN where it diverged; None where there is none."""
    name = prefix + ("loss" if variable == "loss" else "accuracy")
    if name not in found:
        return None
    values, errors = (found[n].values.astype(np.float64) for n in (name, f"{name}_error"))
    if variable == "error":
        values, errors = 100 * (1 - values), 100 * errors
    ok = found["status"].values == OK
    return np.where(ok, values, np.nan), np.where(ok, errors, np.nan)


def _shade(ax: Axes, found: xr.Dataset, threshold: float) -> None:
    """What counts as no barrier: from the chord of the training loss up to the threshold."""
    low, high = (float(found["loss"][k]) for k in (0, -1))
    ax.fill_between(
        [0, 1],
        [low, high],
        [low + threshold, high + threshold],
        color=palette.GAP,
        alpha=0.3,
        linewidth=0,
        label="counts as none",
    )


def _draw(ax: Axes, found: xr.Dataset, variable: str, prefix: str, color: str, label: str) -> None:
    curve = values_of(found, variable, prefix)
    if curve is None:
        return
    values, errors = curve
    alpha = found["alpha"].values
    dash = (0, (5, 2)) if prefix else "-"
    ax.plot(alpha, values, color=color, linestyle=dash, linewidth=1.7, label=label)
    low, high = values - BAND * errors, values + BAND * errors
    ax.fill_between(alpha, low, high, color=color, alpha=0.15, linewidth=0)
    ends = values[[0, -1]]
    ax.plot(alpha[[0, -1]], ends, color=color, linestyle=":", linewidth=0.9, alpha=0.8)
    ax.plot(
        alpha[[0, -1]], ends, color=color, marker="o", markersize=4, linestyle="none", clip_on=False
    )


def _short(name: str, longest: int = 20) -> str:
    return name if len(name) <= longest else f"…{name[1 - longest :]}"
