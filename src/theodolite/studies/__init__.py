"""Trainings under control: what batch size, rate and optimizer do, and what descent meets.

Names are imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theodolite.studies.batch_size_study import batch_size as batch_size
    from theodolite.studies.edges import edge_of_stability as edge_of_stability
    from theodolite.studies.optimizer_study import optimizers as optimizers

_HOMES = {
    "batch_size": "batch_size_study",
    "edge_of_stability": "edges",
    "optimizers": "optimizer_study",
}

__all__ = ["batch_size", "edge_of_stability", "optimizers"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'theodolite.studies' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"theodolite.studies.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
