"""A plane as a mesh in real units: a point where there is a value, and nothing elsewhere."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from theodolite.errors import InvalidArgument
from theodolite.plots import Heights, heights, shown_field, status_counts, surface_colors
from theodolite.plots.dress import distance_label, long_name
from theodolite.plots.plane import measured

RECORDED = (
    "model",
    "seed",
    "plane",
    "normalize",
    "examples",
    "fingerprint",
    "method",
    "held_out_error",
    "held_out_points",
)
"""Settings of the plane that go into the files, where it has them."""
TRIANGLES_OF_QUAD = ((0, 1, 2), (0, 2, 3))


@dataclass(frozen=True)
class SurfaceSettings:
    """What is drawn: the variable, its scale (None: the range decides), and the axes' unit.

    ``distances`` multiplies alpha and beta by the norms of their directions, so that the axes are
    Euclidean distances in weight space.
    """

    variable: str = "loss"
    log: bool | None = None
    distances: bool = False


@dataclass(frozen=True, eq=False)
class SurfaceMesh:
    """Points (along direction 1, along direction 2, height) and the cells between them.

    Every grid point with a value is a point, in (alpha, beta) order; the cells run counterclockwise
    seen from above. ``values`` are the numbers themselves; heights are those of the report:
    clipped at ``scale.high`` and, on a log scale, log10.
    """

    points: Float[np.ndarray, "point 3"]
    quads: Int[np.ndarray, "quad 4"]
    triangles: Int[np.ndarray, "triangle 3"]
    colors: Float[np.ndarray, "point 4"]
    values: dict[str, np.ndarray]
    scale: Heights
    facts: dict[str, Any] = field(default_factory=dict)

    def all_triangles(self) -> Int[np.ndarray, "triangle 3"]:
        """The cells as triangles alone, each quad cut along its first diagonal."""
        halves = [self.quads[:, list(t)] for t in TRIANGLES_OF_QUAD]
        return np.concatenate([np.stack(halves, axis=1).reshape(-1, 3), self.triangles])


def surface_mesh(plane: xr.Dataset, settings: SurfaceSettings) -> SurfaceMesh:
    """The mesh of one plane.

    A cell with four corners that have a value is a quad, with three a triangle, with fewer nothing:
    points that diverged, failed or were not computed are left out and never filled in. A plane from
    few evaluations keeps its fitted values; their number and the held-out error are among the
    facts. Raises
    ``InvalidArgument``: a variable the plane has not (E-P01), a log scale with values that are
    not positive (E-P02), no measured cell (E-E08), distances without recorded norms (E-E09).
    """
    ordered = plane.transpose("alpha", "beta", ...).sortby(["alpha", "beta"])
    scale = heights(ordered, settings.variable, log=settings.log)
    height = shown_field(ordered, settings.variable, scale)
    known = np.isfinite(height)
    number = np.where(known, np.cumsum(known).reshape(known.shape) - 1, -1)
    quads, triangles = cells(number)
    if not len(quads) + len(triangles):
        raise InvalidArgument(
            "there is no surface to export: no three corners of any cell have a "
            f"{long_name(ordered, settings.variable)}.",
            why=f"of {known.size} points {int(known.sum())} were measured.",
            fix="export the table instead (csv), or finish the run.",
            code="E-E08",
        )
    x, y = _axes(ordered, settings)
    a, b = np.meshgrid(x, y, indexing="ij")
    points = np.stack([a[known], b[known], height[known]], axis=1)
    raw = measured(ordered, settings.variable)
    values = {str(k): ordered[k].values[known] for k in ordered.data_vars if _on_grid(ordered[k])}
    colors = surface_colors(raw[known], scale)
    facts = _facts(ordered, settings, scale, raw)
    return SurfaceMesh(points, quads, triangles, colors, values, scale, facts)


def cells(
    number: Int[np.ndarray, "alpha beta"],
) -> tuple[Int[np.ndarray, "quad 4"], Int[np.ndarray, "triangle 3"]]:
    """The quads and triangles of a grid whose points are numbered, -1 where there is none.

    >>> quads, triangles = cells(np.array([[0, 1, 2], [3, 4, -1]]))
    >>> quads.tolist(), triangles.tolist()
    ([[0, 3, 4, 1]], [[1, 4, 2]])
    """
    corners = np.stack(
        [number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]], axis=-1
    ).reshape(-1, 4)
    there = corners >= 0
    quads = corners[there.all(axis=1)]
    three = corners[there.sum(axis=1) == 3]
    return quads, three[three >= 0].reshape(-1, 3)


def _axes(plane: xr.Dataset, settings: SurfaceSettings) -> tuple[np.ndarray, np.ndarray]:
    found = []
    for axis in ("alpha", "beta"):
        norm = plane.attrs.get(f"direction_norm_{axis}") if settings.distances else 1.0
        if norm is None:
            raise InvalidArgument(
                f"distances must be False: this plane has no direction_norm_{axis}.",
                fix="leave distances out (--distances); the axes are then steps along directions.",
                code="E-E09",
            )
        found.append(plane[axis].values.astype(np.float64) * float(norm))
    return found[0], found[1]


def _on_grid(variable: xr.DataArray) -> bool:
    return set(variable.dims) == {"alpha", "beta"}


def _facts(
    plane: xr.Dataset, settings: SurfaceSettings, scale: Heights, raw: np.ndarray
) -> dict[str, Any]:
    """What a reader of the file must know, as plain values."""
    name = long_name(plane, settings.variable)
    unit = "Euclidean distance in weight space" if settings.distances else ""
    counts = status_counts(plane) if "status" in plane else {"ok": int(np.isfinite(raw).sum())}
    return {
        "quantity": name,
        "scale": "log10" if scale.log else "linear",
        "height": f"log10 of {name}" if scale.log else name,
        "height_low": scale.low,
        "height_high": scale.high,
        "largest_value": scale.top,
        "points_clipped_at_height_high": scale.clipped,
        "alpha_axis": unit or distance_label(plane, 1),
        "beta_axis": unit or distance_label(plane, 2),
        "alpha_range": [float(plane["alpha"].min()), float(plane["alpha"].max())],
        "beta_range": [float(plane["beta"].min()), float(plane["beta"].max())],
        "points": {**counts},
        "points_fitted": int((plane["sampled"].values != 1).sum()) if "sampled" in plane else 0,
        "left_out": int(sum(n for k, n in counts.items() if k != "ok")),
        "colormap": "cividis",
        **{k: plane.attrs[k] for k in RECORDED if k in plane.attrs},
    }
