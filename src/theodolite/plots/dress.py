"""The look all axes share, set on the axes themselves and never in rcParams."""

from __future__ import annotations

import xarray as xr
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from theodolite.errors import InvalidArgument
from theodolite.plots import palette
from theodolite.plots.height_scale import plain

FEW_DECADES = 300.0
"""Ratio of the ends below which decades alone would leave a logarithmic axis nearly bare."""


def dress(ax: Axes) -> Axes:
    """Quiet frame, quiet ticks, dark labels."""
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(palette.RULE)
    ax.tick_params(which="both", color=palette.RULE, labelcolor=palette.MUTED, labelsize=9)
    for text in (ax.xaxis.label, ax.yaxis.label):
        text.set_color(palette.INK)
        text.set_fontsize(10)
    ax.title.set_color(palette.INK)
    ax.title.set_fontsize(11)
    return ax


def legend_above(ax: Axes, columns: int) -> None:
    """A quiet legend over the axes, where it hides no curve."""
    ax.legend(
        frameon=False,
        fontsize=8.5,
        labelcolor=palette.MUTED,
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=columns,
        columnspacing=1.2,
        handlelength=1.8,
    )


def plain_ticks(axis: Axis) -> Axis:
    """Ticks of a scaled axis as plain numbers, none between the labeled ones."""
    axis.set_major_formatter(FuncFormatter(lambda value, _: plain(float(f"{value:.6g}"))))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())
    return axis


def log_axis(axis: Axis, low: float, high: float) -> Axis:
    """A logarithmic axis whose labels are plain numbers: every decade of the range from `low` to
    `high`, or three a decade where it spans less than two and a half."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})  # type: ignore[attr-defined]
    plain_ticks(axis)
    few = 0 < high < FEW_DECADES * low
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if few else (1,), numticks=8))
    return axis


def require(result: xr.Dataset, quantity: str, *dims: str) -> xr.Dataset:
    """`result`, or ``InvalidArgument`` if it is not a `quantity` over `dims`."""
    got = result.attrs.get("quantity")
    missing = [d for d in dims if d not in result.dims]
    if got == quantity and not missing:
        return result
    raise InvalidArgument(
        f"this plot draws a result of quantity {quantity!r} over {dims}; got quantity {got!r} "
        f"over {tuple(map(str, result.dims))}.",
        fix=f"pass what the measurement of {quantity!r} returned.",
        code="E-P03",
    )


def long_name(result: xr.Dataset, variable: str) -> str:
    """The label of `variable`: its ``long_name``, with units in parentheses where it has any."""
    if variable not in result:
        raise InvalidArgument(
            f"variable must be one of {sorted(map(str, result.data_vars))}; got {variable!r}.",
            code="E-P01",
        )
    notes = result[variable].attrs
    name = str(notes.get("long_name", variable.replace("_", " ")))
    return f"{name} ({notes['units']})" if notes.get("units") else name


def distance_label(result: xr.Dataset, axis: int) -> str:
    """The name and unit of a direction's axis."""
    units = {
        "filter": "filter norms",
        "layer": "layer norms",
        "model": "norms of all weights",
        "none": "lengths of the direction",
    }
    unit = units.get(str(result.attrs.get("normalize", "none")), "lengths of the direction")
    return f"distance along direction {axis} ({unit})"
