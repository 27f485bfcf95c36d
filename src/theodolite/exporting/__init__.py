"""From results to files that other programs read: netCDF, CSV, meshes and printed figures."""

from __future__ import annotations

from theodolite.exporting.formats import FORMATS, export

__all__ = ["FORMATS", "export"]
