"""Krylov methods and trace estimators: operators and vectors, no networks."""

from __future__ import annotations

from theodolite.linalg.operator import Operator

__all__ = ["Operator"]
