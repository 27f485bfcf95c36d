"""How minima connect: lines and curves between them, matched units, and whether they are one."""

from theodolite.connectivity.bands import elastic_band
from theodolite.connectivity.curves import curve
from theodolite.connectivity.functions import function_distance
from theodolite.connectivity.graphs import minima_graph
from theodolite.connectivity.linear import barrier
from theodolite.connectivity.matching import match
from theodolite.connectivity.merging import Merge, merge
from theodolite.connectivity.pairs import barrier_matrix
from theodolite.connectivity.relations import relation
from theodolite.connectivity.repairing import repair, variance_collapse
from theodolite.connectivity.simplexes import simplex

__all__ = [
    "Merge",
    "barrier",
    "barrier_matrix",
    "curve",
    "elastic_band",
    "function_distance",
    "match",
    "merge",
    "minima_graph",
    "relation",
    "repair",
    "simplex",
    "variance_collapse",
]
