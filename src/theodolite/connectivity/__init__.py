"""How minima connect: lines and curves between them, matched units, and whether they are one."""

from theodolite.connectivity.curves import curve
from theodolite.connectivity.functions import function_distance
from theodolite.connectivity.linear import barrier
from theodolite.connectivity.matching import match
from theodolite.connectivity.merging import Merge, merge
from theodolite.connectivity.pairs import barrier_matrix
from theodolite.connectivity.repairing import repair, variance_collapse

__all__ = [
    "Merge",
    "barrier",
    "barrier_matrix",
    "curve",
    "function_distance",
    "match",
    "merge",
    "repair",
    "variance_collapse",
]
