"""Surveys the optimization landscape of a neural network.

    Objective + theta  ->  Operator | directions  ->  measurement  ->  Dataset  ->  plot  ->  report

Names are imported on first use, so that ``import theodolite`` costs nothing and pages that read
results from files never load torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theodolite import datasets as datasets
    from theodolite import errors as errors
    from theodolite import findings as findings
    from theodolite import models as models
    from theodolite import plots as plots
    from theodolite import results as results
    from theodolite import training as training
    from theodolite.certificates import certify as certify
    from theodolite.curvature import eigenpairs as eigenpairs
    from theodolite.curvature import spectral_density as spectral_density
    from theodolite.curvature import trace as trace
    from theodolite.directions import random_directions as random_directions
    from theodolite.linalg import Operator as Operator
    from theodolite.objective import Objective as Objective
    from theodolite.operators import ggn as ggn
    from theodolite.operators import hessian as hessian
    from theodolite.parameters import ParameterSpace as ParameterSpace
    from theodolite.reporting import report as report
    from theodolite.surfaces import line as line
    from theodolite.surfaces import plane as plane
    from theodolite.surveys import Target as Target
    from theodolite.surveys import survey as survey

__version__ = "0.1.0"

_HOMES = {
    "Objective": "objective",
    "Operator": "linalg",
    "ParameterSpace": "parameters",
    "Target": "surveys",
    "certify": "certificates",
    "eigenpairs": "curvature",
    "ggn": "operators",
    "hessian": "operators",
    "line": "surfaces",
    "plane": "surfaces",
    "random_directions": "directions",
    "report": "reporting",
    "spectral_density": "curvature",
    "survey": "surveys",
    "trace": "curvature",
}
_MODULES = ("datasets", "errors", "findings", "models", "plots", "results", "training")

__all__ = [
    "Objective",
    "Operator",
    "ParameterSpace",
    "Target",
    "__version__",
    "certify",
    "datasets",
    "eigenpairs",
    "errors",
    "findings",
    "ggn",
    "hessian",
    "line",
    "models",
    "plane",
    "plots",
    "random_directions",
    "report",
    "results",
    "spectral_density",
    "survey",
    "trace",
    "training",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"theodolite.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'theodolite' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"theodolite.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
