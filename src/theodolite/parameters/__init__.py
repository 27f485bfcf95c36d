"""The parameters of a model as one flat vector, and the groups a vector falls into."""

from theodolite.parameters.space import Entry, ParameterSpace
from theodolite.parameters.subsets import positions, subspace

__all__ = ["Entry", "ParameterSpace", "positions", "subspace"]
