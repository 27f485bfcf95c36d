"""A measured grid of any number of axes, as the shape and the topology of a surface need it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import xarray as xr
from jaxtyping import Float

from theodolite.errors import InvalidArgument, InvalidType
from theodolite.results import DIVERGED, OK

Values = Float[np.ndarray, "..."]


@dataclass(frozen=True, eq=False)
class Grid:
    """Values over `axes`: infinite where the loss diverged, NaN where it was not computed.

    ``errors`` are standard errors of the values, zero where none was measured (``has_errors``).
    """

    names: tuple[str, ...]
    axes: tuple[Float[np.ndarray, " _point"], ...]
    values: Values
    errors: Values
    has_errors: bool = True
    start: float | None = None
    start_error: float = 0.0

    @property
    def diverged(self) -> int:
        return int(np.isinf(self.values).sum())

    @property
    def missing(self) -> int:
        return int(np.isnan(self.values).sum())


def grid_of(result: xr.Dataset, variable: str = "loss") -> Grid:
    """The grid of a line, a plane, a volume or any Dataset whose variable has coordinates.

    Raises `InvalidType` for something else than a Dataset (E-Q01) and `InvalidArgument` for a
    variable that is not there or has no grid (E-Q02), or an axis that does not increase (E-Q03).
    """
    if not isinstance(result, xr.Dataset):
        raise InvalidType(
            f"a grid is read from an xarray.Dataset; got {type(result).__name__}.",
            fix="pass what td.line, td.plane or td.volume returned.",
            code="E-Q01",
        )
    if variable not in result or not result[variable].dims:
        having = sorted(str(k) for k, v in result.data_vars.items() if v.dims)
        raise InvalidArgument(
            f"variable must be one of {', '.join(having) or 'none at all'}; got {variable!r}.",
            code="E-Q02",
        )
    found = result[variable]
    names = tuple(str(d) for d in found.dims)
    if not set(names) <= set(result.coords):
        raise InvalidArgument(
            f"{variable!r} has no coordinates along {sorted(set(names) - set(result.coords))}.",
            fix="pass what td.line, td.plane or td.volume returned.",
            code="E-Q02",
        )
    axes = tuple(result[n].values.astype(np.float64) for n in names)
    for name, axis in zip(names, axes, strict=True):
        if not (np.diff(axis) > 0).all():
            raise InvalidArgument(
                f"the coordinate {name!r} must increase.",
                fix=f"sort the result with .sortby({name!r}).",
                code="E-Q03",
            )
    errors, has = errors_of(result, variable, names)
    own = variable == "loss" and "start_loss" in result.attrs
    return Grid(
        names,
        axes,
        values_of(result, variable, names),
        errors,
        has,
        float(result.attrs["start_loss"]) if own else None,
        float(result.attrs.get("start_loss_error", 0.0)) if own else 0.0,
    )


def values_of(result: xr.Dataset, variable: str, names: tuple[str, ...]) -> Values:
    """The values, with infinity where the status says diverged and NaN where nothing is known."""
    values = result[variable].values.astype(np.float64)
    prefix = "test_" if variable.startswith("test_") else ""
    if f"{prefix}status" not in result:
        return values
    status = result[f"{prefix}status"].transpose(*names).values
    known = np.where(status == OK, values, np.nan)
    return np.where(status == DIVERGED, np.inf, known)


def errors_of(result: xr.Dataset, variable: str, names: tuple[str, ...]) -> tuple[Values, bool]:
    """Standard errors over examples and, of fitted surfaces, the error of the fit with them."""
    squares, has = np.zeros(result[variable].shape), False
    for name in (f"{variable}_error", f"{variable}_fit_error"):
        if name in result and set(result[name].dims) == set(names):
            found = result[name].transpose(*names).values.astype(np.float64)
            squares, has = squares + np.where(np.isfinite(found), found, 0.0) ** 2, True
    return np.sqrt(squares), has


def place_of_start(grid: Grid) -> tuple[int, ...]:
    """The grid point nearest to zero along every axis."""
    return tuple(int(np.argmin(np.abs(axis))) for axis in grid.axes)


def start_value(grid: Grid) -> tuple[float, float]:
    """The value at the start and its error: as recorded, else at the grid point nearest to it."""
    if grid.start is not None:
        return grid.start, grid.start_error
    at = place_of_start(grid)
    return float(grid.values[at]), float(grid.errors[at])


def halved(grid: Grid) -> Grid:
    """Every second point, counted from the start, with both ends: the half-resolution grid.

    >>> halved(plain_grid(np.arange(7.0) ** 2, np.arange(-3.0, 4.0))).axes[0].tolist()
    [-3.0, -2.0, 0.0, 2.0, 3.0]
    """
    kept = []
    for axis, at in zip(grid.axes, place_of_start(grid), strict=True):
        inner = np.arange(at % 2, len(axis), 2)
        kept.append(np.unique(np.concatenate([[0], inner, [len(axis) - 1]])))
    where = np.ix_(*kept)
    axes = tuple(axis[k] for axis, k in zip(grid.axes, kept, strict=True))
    return replace(grid, axes=axes, values=grid.values[where], errors=grid.errors[where])


def shifted(grid: Grid, errors: float) -> Grid:
    """All values moved together by so many of their standard errors, the start's with them."""
    start = None if grid.start is None else grid.start + errors * grid.start_error
    return replace(grid, values=grid.values + errors * grid.errors, start=start)


def mapped(grid: Grid, function: Callable[[Values], Values]) -> Grid:
    """The grid of `function` of the values, without errors."""
    values = function(grid.values)
    return replace(grid, values=values, errors=np.zeros_like(values), has_errors=False, start=None)


def plain_grid(values: Values, *axes: Float[np.ndarray, " _point"]) -> Grid:
    """A grid without errors, for values that are exact; axes count points where none are given."""
    known = axes or tuple(np.arange(float(size)) for size in values.shape)
    names = tuple(f"axis_{k + 1}" for k in range(values.ndim))
    return Grid(names, known, values, np.zeros(values.shape), has_errors=False)
