"""The shape of a surface over several planes: areas, widths, roughness, and what it holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from theodolite import results
from theodolite.errors import InvalidArgument, InvalidType
from theodolite.results import OK, TODO
from theodolite.shapes.grids import Grid, grid_of
from theodolite.shapes.statistics import (
    Found,
    Level,
    default_levels,
    figures,
    level_heights,
)

UNITS = {
    "filter": "filter norms",
    "layer": "layer norms",
    "model": "norms of all weights",
}
"""What distances are measured in, by how the directions were normalized."""

PER_LEVEL = {
    "area_share": "share of the plane's area below the level",
    "area": "area below the level",
    "width_mean": "mean distance from the start to the level",
    "width_least": "least distance from the start to the level",
    "width_greatest": "greatest distance from the start to the level",
    "area_open": "1 where the area below the level reaches the border of the plane",
    "width_open": "share of ways that leave the plane below the level",
    "width_least_open": "1 where the shortest way leaves the plane below the level",
}
PER_PLANE = {
    "roughness": "share of the ups and downs along ways from the start that cancels",
    "log_roughness": "the same share for the log of the loss",
    "bending": "mean size of the second derivative along the axes",
    "bend_share": "share of places that curve downward along an axis",
    "minima": "local minima inside the plane above two standard errors",
    "minima_found": "local minima inside the plane, whatever their depth",
    "maxima": "local maxima inside the plane above two standard errors",
    "saddles": "saddles inside the plane where such minima or maxima join",
}


def shape(
    planes: xr.Dataset | xr.DataTree | Sequence[xr.Dataset],
    *,
    levels: Sequence[float | int] | None = None,
    variable: str = "loss",
) -> xr.Dataset:
    r"""Areas, widths, roughness and the number of minima of a surface, plane by plane.

    .. math:: A(t) = |\{ x \in P : L(x) \le t \}|, \qquad
        \rho = 1 - \frac{\sum_r |L(r_{end}) - L(r_0)|}{\sum_r \int_r |dL|}

    with L the function that is linear on each triangle of the grid (every cell cut along its
    rising diagonal), and r the ways from the start to the border, 360 at even angles.

    Parameters
    ----------
    planes
        One plane, several over the same grid, or the tree of a survey (its planes; those repeated
        with recomputed statistics and other results are left out).
    levels
        Losses at which areas and widths are taken. By default the start's loss plus 0.1, plus 1,
        and twice it where it is positive; those move with the start's error.
    variable
        "loss" or "test_loss".

    Returns
    -------
    xarray.Dataset
        Over ``(plane, level)``: ``area_share`` and ``area`` below the level, ``width_mean``,
        ``width_least`` and ``width_greatest`` (from the start to where the loss first exceeds the
        level), ``area_open`` and ``width_open`` (how far the plane ends first: the numbers are
        then lower bounds). Over ``plane``: ``roughness``, ``log_roughness`` (of the log of the
        loss, NaN where some is not positive), ``bending``, ``bend_share``, ``minima``,
        ``minima_found``, ``maxima``, ``saddles``, ``diverged``, ``status``. Each with ``_error``
        (standard error, except counts) and ``_grid_error`` (what changes on the half-resolution
        grid). Distances are in the unit of the axes, as ``attrs["unit"]`` says.

    Raises
    ------
    InvalidType, InvalidArgument
        For what is no plane (E-Q01 to E-Q03, E-Q07), planes on different grids (E-Q08), levels
        that are not finite (E-Q09), or no plane at all (E-Q10).

    Notes
    -----
    Costs no pass. The unit of an axis is the length of its direction (for filter normalization,
    the norm of the filters: 1 is 100 %); both count the same and their angle is taken into
    account. Diverged points lie above every level, and nothing next to one counts as below it.
    ``_error`` moves the losses of all points by their standard errors together, since they are
    measured on the same examples; errors that differ between points are not propagated. Minima
    and the like count when their persistence (see `topology`) exceeds two standard errors, where
    errors were measured, and when they do not lie on the border. ``_grid_error`` is an indicator
    in the sense of Richardson, no bound. A plane with points that were not computed is NaN with
    status 0. One plane has no error over planes: the spread of several is `over_planes`'.

    References
    ----------
    Li, Xu, Taylor, Studer, Goldstein (2018), arXiv:1712.09913, for the planes.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 5)
    >>> cone = xr.Dataset(
    ...     {"loss": (("alpha", "beta"), np.abs(x)[:, None] + np.abs(x))},
    ...     {"alpha": x, "beta": x}, {"quantity": "plane"},
    ... )
    >>> found = shape(cone, levels=[1.0])
    >>> float(found.area.item()), round(float(found.width_least.item()), 12), float(found.minima[0])
    (2.0, 0.707106781187, 1.0)
    """
    found = planes_of(planes)
    given = checked_levels(levels)
    grids = [grid_of(p, variable) for p in found]
    check_same(found, grids)
    chosen = given or default_levels(grids)
    cosines = [float(p.attrs.get("axis_cosine", 0.0)) for p in found]
    made = [
        None if g.missing else figures(g, chosen, c) for g, c in zip(grids, cosines, strict=True)
    ]
    unit = UNITS.get(str(found[0].attrs.get("normalize", "none")), "lengths of the directions")
    variables = stacked(made, len(chosen), unit)
    diverged = [g.diverged for g in grids]
    status = [TODO if m is None else OK for m in made]
    heights = [level_heights(g, chosen) for g in grids]
    variables |= {
        "level_loss": (("plane", "level"), np.array(heights), {"long_name": "loss of the level"}),
        "diverged": (("plane",), np.array(diverged), {"long_name": "diverged points"}),
        "status": results.status_variable(("plane",), status),
    }
    return results.dataset(
        "shape",
        variables,
        {
            "plane": [int(p.attrs.get("plane", k)) for k, p in enumerate(found)],
            "level": [level.label for level in chosen],
        },
        variable=variable,
        unit=unit,
        points=int(grids[0].values.size),
        errors="all points together" if all(g.has_errors for g in grids) else "none measured",
        spread="over planes" if len(found) > 1 else "none: one plane",
    )


def planes_of(planes: Any) -> list[xr.Dataset]:
    """The planes in a Dataset, a tree or a sequence."""
    if isinstance(planes, xr.DataTree):
        every = {str(k): v.to_dataset() for k, v in planes.children.items()}
        planes = [
            d
            for k, d in every.items()
            if d.attrs.get("quantity") == "plane"
            and "loss" in d
            and not k.endswith("_recomputed")
            and {"alpha", "beta"} == set(d["loss"].dims)
        ]
    found = [planes] if isinstance(planes, xr.Dataset) else planes
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise InvalidType(
            f"planes must be a Dataset, a survey's tree or a list; got {type(planes).__name__}.",
            fix="pass what td.plane or td.survey returned.",
            code="E-Q01",
        )
    if not found:
        raise InvalidArgument(
            "there is no plane to take the shape of.",
            fix="measure some first: td.plane, or a survey with planes.",
            code="E-Q10",
        )
    return list(found)


def checked_levels(levels: Sequence[float | int] | None) -> tuple[Level, ...]:
    """The levels asked for; none where the default ones are wanted."""
    if levels is None:
        return ()
    values = np.asarray(levels, dtype=np.float64)
    if values.ndim != 1 or not values.size or not np.isfinite(values).all():
        raise InvalidArgument(
            f"levels must be one or more finite losses; got {levels!r}.", code="E-Q09"
        )
    return tuple(Level(f"{v:g}", 0.0, float(v)) for v in values)


def check_same(planes: Sequence[xr.Dataset], grids: Sequence[Grid]) -> None:
    """Raise unless every grid has two axes of two or more points, and all are one grid."""
    for k, grid in enumerate(grids):
        if len(grid.axes) != 2 or min(grid.values.shape) < 2:
            raise InvalidArgument(
                f"a shape is taken of planes; result {k} has {grid.values.shape} points over "
                f"{', '.join(grid.names)}.",
                fix="use td.topology for lines and volumes.",
                code="E-Q07",
            )
        same = [
            a.shape == b.shape and np.allclose(a, b, rtol=0, atol=1e-12)
            for a, b in zip(grid.axes, grids[0].axes, strict=True)
        ]
        if not all(same):
            raise InvalidArgument(
                f"planes must share one grid; number {k} differs from the first.",
                why="areas and widths over other spans or steps cannot be averaged.",
                fix="take the shape of each by itself.",
                code="E-Q08",
            )


def stacked(made: Sequence[Found | None], levels: int, unit: str) -> dict[str, results.Variable]:
    """The numbers of all planes; NaN for planes that are not complete."""
    found: dict[str, results.Variable] = {}
    names = {**PER_LEVEL, **PER_PLANE}
    kept = [m for m in made if m is not None]
    keys = list(kept[0]) if kept else list(names)
    for key in keys:
        plain = key.removesuffix("_error").removesuffix("_grid")
        text, units = long_name(key, plain, names), units_of(plain, unit)
        shape = (levels,) if plain in PER_LEVEL else ()
        dims = ("plane", "level") if plain in PER_LEVEL else ("plane",)
        blank = np.full(shape, np.nan)
        values = np.stack([blank if m is None else m[key] for m in made])
        found[key] = (dims, values, {"long_name": text, **({"units": units} if units else {})})
    return found


def long_name(key: str, plain: str, names: dict[str, str]) -> str:
    if key == plain:
        return names[plain]
    if key.endswith("_grid_error"):
        return f"change on the half-resolution grid: {names[plain]}"
    return f"standard error: {names[plain]}"


def units_of(name: str, unit: str) -> str:
    """The unit of a statistic, empty for a pure number or a count."""
    if name.startswith("width") and not name.endswith("_open"):
        return unit
    return {"area": f"{unit} squared", "bending": f"1/({unit})^2"}.get(name, "")
