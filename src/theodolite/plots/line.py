"""The loss along a line, with its error band; several lines share one pair of axes."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from theodolite.plots import palette
from theodolite.plots.dress import distance_label, dress, long_name, plain_ticks, require
from theodolite.plots.height_scale import finite_values
from theodolite.results import OK

BAND = 2.0
"""Half the height of an error band, in standard errors."""


def plot_line(
    line: xr.Dataset,
    ax: Axes,
    *,
    variable: str = "loss",
    label: str | None = None,
    series: int = 0,
    log: bool = False,
) -> Axes:
    """Draw `variable` along alpha with a band of two standard errors; return `ax`.

    `series` chooses color and dash. Points without a value break the line and are marked by a
    cross at the top. Where no error was measured the axes' title says "no error bar". Raises
    ``InvalidArgument`` for a result of another quantity or a `log` scale of values that are not
    positive is left to matplotlib, which leaves those points out.
    """
    require(line, "line", "alpha")
    alpha = line["alpha"].values
    values = _measured(line, variable)
    color = palette.series_color(series)
    ax.plot(
        alpha,
        values,
        color=color,
        linestyle=palette.series_dash(series),
        label=label,
        linewidth=1.6,
    )
    _band(line, ax, variable, values, color)
    _missing(ax, alpha, values, line, color)
    if log:
        ax.set_yscale("log")
        plain_ticks(ax.yaxis)
    ax.set_xlabel(distance_label(line, int(line.attrs.get("axis", 1))))
    ax.set_ylabel(long_name(line, variable))
    return dress(ax)


def line_from_plane(plane: xr.Dataset, *, axis: int, at: float = 0.0) -> xr.Dataset:
    """The row of `plane` nearest to `at` along direction `axis` (1 or 2), as a line.

    The other coordinate, as it lies on the grid, is kept in ``attrs["at"]``.
    """
    across = "beta" if axis == 1 else "alpha"
    along = "alpha" if axis == 1 else "beta"
    cut = plane.sel({across: at}, method="nearest")
    where = float(cut[across])
    cut = cut.drop_vars(across).rename({along: "alpha"} if along != "alpha" else {})
    return cut.assign_attrs({**plane.attrs, "quantity": "line", "axis": axis, "at": where})


def share_log(lines: list[xr.Dataset], variable: str = "loss") -> bool:
    """Whether lines drawn together need a log axis: positive, and over two decades."""
    values = np.concatenate([finite_values(one, variable) for one in lines] or [np.empty(0)])
    return bool(values.size and values.min() > 0 and values.max() > 100 * values.min())


def _measured(line: xr.Dataset, variable: str) -> np.ndarray:
    long_name(line, variable)
    values = line[variable].values.astype(np.float64)
    values = np.where(np.isfinite(values), values, np.nan)
    return np.where(line["status"].values == OK, values, np.nan) if "status" in line else values


def _band(line: xr.Dataset, ax: Axes, variable: str, values: np.ndarray, color: str) -> None:
    name = f"{variable}_error"
    if name not in line:
        ax.set_title("no error bar: the error was not measured")
        return
    half = BAND * line[name].values.astype(np.float64)
    ax.fill_between(
        line["alpha"].values, values - half, values + half, color=color, alpha=0.22, linewidth=0
    )


def _missing(ax: Axes, alpha: np.ndarray, values: np.ndarray, line: xr.Dataset, color: str) -> None:
    gone = ~np.isfinite(values)
    if "status" in line:
        gone &= line["status"].values > OK
    if gone.any():
        ax.plot(
            alpha[gone],
            np.full(int(gone.sum()), 0.985),
            linestyle="none",
            marker="x",
            color=color,
            transform=ax.get_xaxis_transform(),
            label=f"diverged ({int(gone.sum())})",
        )
