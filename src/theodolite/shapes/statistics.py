"""The numbers of one plane's shape, each with what its errors and its resolution leave open."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from theodolite.shapes.areas import plane_area, reaches_edge, sublevel_shares
from theodolite.shapes.basins import resolved_neighbors
from theodolite.shapes.bending import bend_shares, mean_bending
from theodolite.shapes.grids import Grid, halved, shifted, start_value
from theodolite.shapes.merging import NEVER
from theodolite.shapes.rays import Ways, first_crossing, roughness, ways_from_start
from theodolite.shapes.topologies import Topology, on_border, topology_of

Found = dict[str, Float[np.ndarray, "..."]]

RISES = (0.1, 1.0)
FACTOR = 2.0
"""The default levels: the start's loss plus these rises, and times this factor."""
WIDTHS = ("width_mean", "width_least", "width_greatest")


@dataclass(frozen=True)
class Level:
    """A loss at which areas and widths are taken: ``factor`` times the start's, plus ``add``."""

    label: str
    factor: float
    add: float

    def at(self, start: float) -> float:
        return self.factor * start + self.add


def default_levels(grids: Sequence[Grid]) -> tuple[Level, ...]:
    """Relative to the start, so that they move with its error; twice a loss above zero only."""
    rises = tuple(Level(f"start + {r:g}", 1.0, r) for r in RISES)
    if not all(start_value(g)[0] > 0 for g in grids if not g.missing):
        return rises
    return (*rises, Level(f"{FACTOR:g} x start", FACTOR, 0.0))


def level_heights(grid: Grid, levels: tuple[Level, ...]) -> Float[np.ndarray, " level"]:
    """The loss of each level on this plane."""
    start, _ = start_value(grid)
    return np.array([level.at(start) for level in levels])


def smooth_figures(grid: Grid, levels: tuple[Level, ...], cosine: float) -> Found:
    """Areas, widths and bending: the numbers that change smoothly with the loss."""
    heights = level_heights(grid, levels)
    ways = ways_from_start(grid, cosine)
    shares = sublevel_shares(grid, heights)
    bends = bend_shares(grid.values, *grid.axes)
    known = [b for b in bends if math.isfinite(b)]
    return {
        "area_share": shares,
        "area": shares * plane_area(grid) * math.sqrt(max(0.0, 1 - cosine**2)),
        **widths(ways, heights),
        "roughness": np.array(roughness(ways)),
        "log_roughness": np.array(roughness(ways, log=True)),
        "bending": np.array(mean_bending(grid.values, *grid.axes)),
        "bend_share": np.array(np.mean(known) if known else math.nan),
    }


def widths(ways: Ways, heights: Float[np.ndarray, " level"]) -> Found:
    """Mean, least and greatest distance from the start to each level, over all ways."""
    if not len(ways.open):
        return {k: np.full(len(heights), np.nan) for k in WIDTHS}
    distance = np.stack([first_crossing(ways, float(h))[0] for h in heights])
    found = (distance.mean(axis=1), distance.min(axis=1), distance.max(axis=1))
    return dict(zip(WIDTHS, found, strict=True))


def open_figures(grid: Grid, levels: tuple[Level, ...], cosine: float) -> Found:
    """Where the plane ends before the level is reached: areas and widths there are at least."""
    heights, ways = level_heights(grid, levels), ways_from_start(grid, cosine)
    share, nearest = np.full((2, len(heights)), np.nan)
    for k, height in enumerate(heights if len(ways.open) else ()):
        distance, crossed = first_crossing(ways, float(height))
        share[k] = (~crossed).mean()
        nearest[k] = float(not crossed[np.argmin(distance)])
    return {
        "area_open": reaches_edge(grid, heights),
        "width_open": share,
        "width_least_open": nearest,
    }


def counts(grid: Grid) -> Found:
    """How many minima, maxima and saddles lie inside the plane and rise above the errors."""
    rule = resolved_neighbors("auto", grid.values.ndim)
    low = topology_of(grid, rule)
    high = topology_of(upside_down(grid), rule)
    saddles = inner_saddles(low) | inner_saddles(high)
    return {
        "minima": np.array(float((low.significant & ~low.at_edge).sum())),
        "minima_found": np.array(float((~low.at_edge).sum())),
        "maxima": np.array(float((high.significant & ~high.at_edge).sum())),
        "saddles": np.array(float(len(saddles))),
    }


def upside_down(grid: Grid) -> Grid:
    """The grid whose minima are the maxima; diverged points stay above every level."""
    values = np.where(np.isfinite(grid.values), -grid.values, grid.values)
    return replace(grid, values=values, start=None)


def inner_saddles(made: Topology) -> set[int]:
    """Saddles of significant pairs that do not lie on the border."""
    points = made.made.saddle[made.significant & (made.made.saddle != NEVER)]
    return set(points[~on_border(points, made.grid.values.shape)].tolist())


def figures(grid: Grid, levels: tuple[Level, ...], cosine: float) -> Found:
    """All numbers of one plane, with ``_error`` and ``_grid_error`` of each that has one.

    ``_error``: half the difference between the plane with every loss raised and lowered by its
    standard error. ``_grid_error``: the change when every second grid line is left out.
    """
    found = {**smooth_figures(grid, levels, cosine), **counts(grid)}
    coarse = halved(grid)
    rough = {**smooth_figures(coarse, levels, cosine), **counts(coarse)}
    up, down = (smooth_figures(shifted(grid, s), levels, cosine) for s in (1.0, -1.0))
    out = {**found, **open_figures(grid, levels, cosine)}
    for name in found:
        out[f"{name}_grid_error"] = np.abs(found[name] - rough[name])
        if name in up:
            moved = np.abs(up[name] - down[name]) / 2
            out[f"{name}_error"] = moved if grid.has_errors else np.full_like(moved, np.nan)
    return out
