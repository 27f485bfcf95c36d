"""Trainings under control: the same network trained in several ways, measured along the way.

Names are imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theodolite.studies.edges import edge_of_stability as edge_of_stability

_HOMES = {"edge_of_stability": "edges"}

__all__ = ["edge_of_stability"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'theodolite.studies' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"theodolite.studies.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
