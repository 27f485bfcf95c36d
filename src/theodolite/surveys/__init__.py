"""Surveys: a plan of measurements on one target, made unit by unit and kept in a run folder.

Names are imported on first use: reading a run (`load_run`) never imports torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theodolite.surveys.comparing import compare as compare
    from theodolite.surveys.factories import load_target as load_target
    from theodolite.surveys.groups import Group as Group
    from theodolite.surveys.measures import MEASURES as MEASURES
    from theodolite.surveys.plan import Measure as Measure
    from theodolite.surveys.reading import load_run as load_run
    from theodolite.surveys.surveying import conduct as conduct
    from theodolite.surveys.surveying import configured as configured
    from theodolite.surveys.surveying import planned as planned
    from theodolite.surveys.surveying import survey as survey
    from theodolite.surveys.target import Target as Target

_HOMES = {
    "Group": "groups",
    "MEASURES": "measures",
    "Measure": "plan",
    "Target": "target",
    "compare": "comparing",
    "conduct": "surveying",
    "configured": "surveying",
    "load_run": "reading",
    "load_target": "factories",
    "planned": "surveying",
    "survey": "surveying",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'theodolite.surveys' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"theodolite.surveys.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
