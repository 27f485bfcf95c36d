"""The topology of a surface: its minima, the saddles that join them, and the tree they form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from theodolite import results
from theodolite.errors import InvalidData
from theodolite.shapes.basins import Basins, basins, resolved_neighbors
from theodolite.shapes.grids import Grid, grid_of
from theodolite.shapes.merging import NEVER, Joins, Tree, first_saddles, joins, tree, without

ERRORS = 2.0
"""A pair counts as significant above so many standard errors of its persistence."""


@dataclass(frozen=True, eq=False)
class Topology:
    """Minima of a grid in order of height, and what joins them; ``inf`` where nothing does."""

    grid: Grid
    found: Basins
    made: Joins
    birth: Float[np.ndarray, " minimum"]
    death: Float[np.ndarray, " minimum"]
    error: Float[np.ndarray, " minimum"]

    @property
    def persistence(self) -> Float[np.ndarray, " minimum"]:
        return np.asarray(self.death - self.birth)

    @property
    def significant(self) -> Bool[np.ndarray, " minimum"]:
        return np.asarray(self.persistence > ERRORS * self.error)

    @property
    def at_edge(self) -> Bool[np.ndarray, " minimum"]:
        """Which minima lie on the border of the grid, where the surface may go on falling."""
        return on_border(self.made.minima, self.grid.values.shape)


def topology(
    result: xr.Dataset,
    *,
    variable: str = "loss",
    neighbors: str = "auto",
) -> xr.Dataset:
    r"""Persistence pairs and the merge tree of the sublevel sets of a measured surface.

    As the level t rises, the set :math:`\{x : L(x) \le t\}` gains a part at each local minimum
    and loses one where two parts meet, at a saddle; the part with the higher minimum ends there.
    The pair's persistence is the height of that saddle above that minimum.

    .. math:: \mathrm{SMAD} = \frac1m \sum_{i=1}^m \left( L(s_i) - L(x_i) \right)

    with :math:`s_i` the saddle where the part of minimum :math:`x_i` first meets another.

    Parameters
    ----------
    result
        A line, plane or volume, or any Dataset with coordinates, of any number of axes.
    variable
        What is taken as the height, "loss" or "test_loss".
    neighbors
        Which points are next to each other: "axes" (2 N), "triangulated" (Freudenthal's
        triangulation of the grid, 2^(N+1) - 2, which gives the exact topology of the piecewise
        linear function through the points) or "all" (3^N - 1). "auto" triangulates up to three
        axes and takes "axes" beyond.

    Returns
    -------
    xarray.Dataset
        Over ``pair``, most persistent first: ``birth``, ``death``, ``persistence``,
        ``persistence_error``, ``significant`` (above two standard errors), ``log_persistence``,
        ``at_edge`` (the minimum lies on the border of the grid), ``basin_share`` (of the finite
        points, by steepest descent), and over ``axis`` the places of minimum and saddle. The
        lowest minimum never joins a lower one: its death is infinite (so in each region that
        diverged points cut off). Over ``node``, leaves first, the merge tree: ``height``,
        ``parent`` (-1 for a root) and ``leaf`` (the leaf's pair, else -1). Scalars ``smad``,
        ``log_smad``, ``relative_smad`` (as a share of the range of the loss), ``smad_error``,
        ``significant_smad`` (after pairs that are not significant are filled up) and
        ``mean_persistence``; NaN where no two minima meet.

    Raises
    ------
    InvalidType, InvalidArgument
        For what is no grid (E-Q01 to E-Q03) or other neighbors (E-Q04).
    InvalidData
        For points that were not computed (E-Q05), or none that is finite (E-Q06).

    Notes
    -----
    Costs no pass; time of sorting the points. Equal values are told apart by their place in the
    array. Diverged points lie above every level. Persistence and SMAD are those of the grid:
    what lies between its points is not seen, and a minimum on the border need not be one of the
    surface. ``persistence_error`` adds the errors of both points in quadrature. Points measured
    on the same examples err alike, so it is an upper bound unless they err oppositely. Reversing
    one axis moves the diagonals of the triangulation, and with them shallow pairs; "axes" and
    "all" are symmetric. SMAD is that of Landscaper 1.3.1's code, each minimum with the saddle at
    the other end of its branch, except that the branches are those of the merge tree (there of
    the contour tree, on a graph of empty regions), and that one minimum gives NaN (there 0).

    References
    ----------
    Edelsbrunner, Letscher, Zomorodian (2002), Discrete & Computational Geometry 28.
    Carr, Snoeyink, Axen (2003), Computational Geometry 24. Chen et al. (2026), arXiv:2602.07135.

    Examples
    --------
    >>> wells = xr.Dataset({"loss": ("alpha", [0.0, 3.0, 1.0, 4.0])}, {"alpha": range(4)})
    >>> found = topology(wells)
    >>> found.birth.values.tolist(), found.death.values.tolist(), float(found.smad)
    ([0.0, 1.0], [inf, 3.0], 2.5)
    """
    grid = grid_of(result, variable)
    rule = resolved_neighbors(neighbors, grid.values.ndim)
    made = topology_of(grid, rule)
    order = np.lexsort((made.birth, -made.persistence))
    leaves = tree(made.made)
    return results.dataset(
        "topology",
        {**pair_variables(made, order), **tree_variables(made, leaves, order), **averages(made)},
        {"axis": list(grid.names)},
        variable=variable,
        neighbors=rule,
        minima=len(order),
        significant_minima=int(made.significant.sum()),
        threshold=f"{ERRORS:g} standard errors" if grid.has_errors else "none: no error measured",
        regions=int(np.isinf(made.death).sum()),
        points=int(grid.values.size),
        diverged=grid.diverged,
        lowest=float(made.birth[0]),
        highest=float(grid.values[np.isfinite(grid.values)].max()),
        **{k: v for k, v in result.attrs.items() if k in ("plane", "line", "normalize")},
    )


def topology_of(grid: Grid, neighbors: str) -> Topology:
    """Minima and joins of a grid; refuses grids with holes, or nothing in them."""
    if grid.missing:
        raise InvalidData(
            f"{grid.missing:,} of {grid.values.size:,} points were not computed.",
            why="what is not known cannot be told from a wall or a valley.",
            fix="complete the run (theodolite resume) and measure its shape then.",
            code="E-Q05",
        )
    if not np.isfinite(grid.values).any():
        raise InvalidData(
            "the loss diverged at every point: there is no surface.",
            fix="measure it within a smaller span.",
            code="E-Q06",
        )
    found = basins(grid.values, neighbors)
    made = joins(found)
    values = grid.values.reshape(-1)
    level = (made.saddle != NEVER) & (values[made.saddle] == values[made.minima])
    if level.any():
        found, made = without(found, made, level)
    errors = grid.errors.reshape(-1)
    birth, joined = values[made.minima], made.saddle != NEVER
    death = np.where(joined, values[made.saddle], np.inf)
    error = np.where(joined, np.hypot(errors[made.saddle], errors[made.minima]), 0.0)
    return Topology(grid, found, made, birth, death, error)


def on_border(
    points: Int[np.ndarray, " point"], shape: tuple[int, ...]
) -> Bool[np.ndarray, " point"]:
    """Which of the points (flat indices) have the first or last place along some axis."""
    places = np.stack(np.unravel_index(points, shape))
    ends = np.array(shape).reshape(-1, 1) - 1
    return np.asarray(((places == 0) | (places == ends)).any(axis=0))


def places_of(grid: Grid, points: Int[np.ndarray, " point"]) -> Float[np.ndarray, "point axis"]:
    """The coordinates of points, NaN for those numbered -1."""
    index = np.unravel_index(np.maximum(points, 0), grid.values.shape)
    where = np.stack([axis[k] for axis, k in zip(grid.axes, index, strict=True)], axis=1)
    return np.where((points == NEVER)[:, None], np.nan, where)


def pair_variables(made: Topology, order: Int[np.ndarray, " pair"]) -> dict[str, results.Variable]:
    """What is known of each pair, in the given order."""
    sizes = np.bincount(made.found.basin[made.found.basin >= 0], minlength=len(order))
    logs = log_heights(made.birth, made.death)
    columns: dict[str, tuple[Any, str, str]] = {
        "birth": (made.birth, "height of the minimum", ""),
        "death": (made.death, "height of the saddle where it joins a lower one", ""),
        "persistence": (made.persistence, "persistence", ""),
        "persistence_error": (made.error, "standard error of the persistence, at most", ""),
        "log_persistence": (logs, "natural log of saddle over minimum", ""),
        "significant": (
            made.significant.astype(np.uint8),
            f"1 where the persistence exceeds {ERRORS:g} standard errors",
            "",
        ),
        "at_edge": (made.at_edge.astype(np.uint8), "1 where the minimum is on the border", ""),
        "basin_share": (sizes / sizes.sum(), "share of points that lead down to it", "1"),
    }
    found: dict[str, results.Variable] = {
        name: (("pair",), values[order], {"long_name": text, **({"units": u} if u else {})})
        for name, (values, text, u) in columns.items()
    }
    for name, points in (("minimum", made.made.minima), ("saddle", made.made.saddle)):
        where = places_of(made.grid, points[order])
        found[f"{name}_place"] = (("pair", "axis"), where, {"long_name": f"place of the {name}"})
    return found


def tree_variables(
    made: Topology, leaves: Tree, order: Int[np.ndarray, " pair"]
) -> dict[str, results.Variable]:
    """The merge tree as arrays over its nodes."""
    pair = np.full(len(leaves.point), NEVER, dtype=np.int64)
    pair[order] = np.arange(len(order))
    height = made.grid.values.reshape(-1)[leaves.point]
    return {
        "height": (("node",), height, {"long_name": "height of the node"}),
        "parent": (("node",), leaves.parent, {"long_name": "number of the node above"}),
        "leaf": (("node",), pair, {"long_name": "pair of the minimum at this leaf"}),
    }


def averages(made: Topology) -> dict[str, results.Variable]:
    """Saddle-minimum average distances and the mean persistence of what joins."""
    values, errors = made.grid.values.reshape(-1), made.grid.errors.reshape(-1)
    finite = values[np.isfinite(values)]
    spread = float(finite.max() - finite.min()) or math.nan
    first = first_saddles(made.made)
    smad, error = mean_gap(made, first, values, errors)
    kept = first_saddles(made.made, made.significant)
    kept[~made.significant] = NEVER
    logs = np.log(values, out=np.full(values.shape, np.nan), where=values > 0)
    joined = np.isfinite(made.death)
    figures = {
        "smad": (smad, "saddle-minimum average distance"),
        "smad_error": (error, "standard error of the saddle-minimum average distance, at most"),
        "relative_smad": (smad / spread, "saddle-minimum average distance over the range"),
        "log_smad": (mean_gap(made, first, logs, errors)[0], "the same of the log of the loss"),
        "significant_smad": (
            mean_gap(made, kept, values, errors)[0],
            "the same after pairs that are not significant are filled up",
        ),
        "mean_persistence": (
            float(made.persistence[joined].mean()) if joined.any() else math.nan,
            "mean persistence of the minima that join a lower one",
        ),
    }
    return {k: ((), value, {"long_name": text}) for k, (value, text) in figures.items()}


def mean_gap(
    made: Topology,
    saddles: Int[np.ndarray, " minimum"],
    values: Float[np.ndarray, " point"],
    errors: Float[np.ndarray, " point"],
) -> tuple[float, float]:
    """The mean height of saddles above their minima, and a bound on its standard error."""
    met = saddles != NEVER
    if not met.any():
        return math.nan, math.nan
    high, low = saddles[met], made.made.minima[met]
    bound = float(np.hypot(errors[high], errors[low]).mean())
    return float((values[high] - values[low]).mean()), bound


def log_heights(
    birth: Float[np.ndarray, " minimum"], death: Float[np.ndarray, " minimum"]
) -> Float[np.ndarray, " minimum"]:
    """The persistence of the log of the loss: the same pairs, since a log keeps the order."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(birth > 0, np.log(death) - np.log(birth), np.nan)
