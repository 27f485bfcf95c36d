"""The loss along lines and over planes through a point."""

from theodolite.surfaces.curve_planes import curve_plane
from theodolite.surfaces.labels import line_dataset, line_facts, plane_dataset, plane_facts
from theodolite.surfaces.rows import line_values, plane_rows
from theodolite.surfaces.slices import line, plane
from theodolite.surfaces.spread import plane_spread
from theodolite.surfaces.trajectories import trajectory
from theodolite.surfaces.volumes import volume, volume_dataset, volume_facts, volume_rows

__all__ = [
    "curve_plane",
    "line",
    "line_dataset",
    "line_facts",
    "line_values",
    "plane",
    "plane_dataset",
    "plane_facts",
    "plane_rows",
    "plane_spread",
    "trajectory",
    "volume",
    "volume_dataset",
    "volume_facts",
    "volume_rows",
]
