"""Directions in the space of parameters, and the norms that make them comparable."""

from theodolite.directions.normalize import NORMALIZATIONS, normalized
from theodolite.directions.random import random_directions

__all__ = ["NORMALIZATIONS", "normalized", "random_directions"]
