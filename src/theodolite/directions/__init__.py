"""Directions in the space of parameters, and the norms that make them comparable."""

from theodolite.directions.checkpoints import between, left_behind, point_of
from theodolite.directions.descent import adam_direction, gradient_direction
from theodolite.directions.eigenvectors import Eigenvectors, eigenvector_directions
from theodolite.directions.normalize import NORMALIZATIONS, normalized
from theodolite.directions.orthogonal import orthogonalized
from theodolite.directions.planes import random_planes
from theodolite.directions.points import Points
from theodolite.directions.principal import Principal, principal_directions
from theodolite.directions.random import random_directions
from theodolite.directions.shadows import Projection, projection
from theodolite.directions.through import PlaneThrough, plane_through

__all__ = [
    "NORMALIZATIONS",
    "Eigenvectors",
    "PlaneThrough",
    "Points",
    "Principal",
    "Projection",
    "adam_direction",
    "between",
    "eigenvector_directions",
    "gradient_direction",
    "left_behind",
    "normalized",
    "orthogonalized",
    "plane_through",
    "point_of",
    "principal_directions",
    "projection",
    "random_directions",
    "random_planes",
]
