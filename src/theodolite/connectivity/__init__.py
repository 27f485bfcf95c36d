"""How minima connect: lines and curves between them, and whether they are one function."""

from theodolite.connectivity.curves import curve
from theodolite.connectivity.functions import function_distance
from theodolite.connectivity.linear import barrier
from theodolite.connectivity.pairs import barrier_matrix

__all__ = ["barrier", "barrier_matrix", "curve", "function_distance"]
