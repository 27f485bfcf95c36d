"""The shape and the topology of measured surfaces: NumPy on results, without torch."""

from theodolite.shapes.bending import bend_shares
from theodolite.shapes.planes import PER_LEVEL, shape
from theodolite.shapes.summaries import COUNTS, Row, over_planes
from theodolite.shapes.topologies import topology

__all__ = ["COUNTS", "PER_LEVEL", "Row", "bend_shares", "over_planes", "shape", "topology"]
