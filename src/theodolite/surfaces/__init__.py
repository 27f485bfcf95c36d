"""The loss along lines and over planes through a point."""

from theodolite.surfaces.labels import line_dataset, line_facts, plane_dataset, plane_facts
from theodolite.surfaces.rows import line_values, plane_rows
from theodolite.surfaces.slices import line, plane

__all__ = [
    "line",
    "line_dataset",
    "line_facts",
    "line_values",
    "plane",
    "plane_dataset",
    "plane_facts",
    "plane_rows",
]
