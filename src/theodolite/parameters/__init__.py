"""The parameters of a model as one flat vector, and the groups a vector falls into."""

from theodolite.parameters.space import Entry, ParameterSpace

__all__ = ["Entry", "ParameterSpace"]
