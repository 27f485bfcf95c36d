"""Automatic permutation symmetry: units that can change places without changing the function."""

from __future__ import annotations

from theodolite.symmetry.discovery import symmetries
from theodolite.symmetry.groups import Group
from theodolite.symmetry.matching import Matching, weight_matching
from theodolite.symmetry.symmetry import Symmetries

__all__ = ["Group", "Matching", "Symmetries", "symmetries", "weight_matching"]
