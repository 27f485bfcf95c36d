"""How an operator curves: extreme eigenpairs, spectral density, trace.

Names are imported on first use, so that smoothing a stored density never loads torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theodolite.curvature.convexity_map import convexity as convexity
    from theodolite.curvature.eigenvalues import eigenpairs as eigenpairs
    from theodolite.curvature.fitted import surface_curvature as surface_curvature
    from theodolite.curvature.masses import spectral_mass as spectral_mass
    from theodolite.curvature.masses import spectral_summary as spectral_summary
    from theodolite.curvature.nonconvexity import nonconvex as nonconvex
    from theodolite.curvature.smoothing import negative_mass as negative_mass
    from theodolite.curvature.smoothing import smooth as smooth
    from theodolite.curvature.spectrum import assembled_density as assembled_density
    from theodolite.curvature.spectrum import moment as moment
    from theodolite.curvature.spectrum import probe_quadrature as probe_quadrature
    from theodolite.curvature.spectrum import spectral_density as spectral_density
    from theodolite.curvature.traces import trace as trace

_HOMES = {
    "assembled_density": "spectrum",
    "convexity": "convexity_map",
    "eigenpairs": "eigenvalues",
    "moment": "spectrum",
    "negative_mass": "smoothing",
    "nonconvex": "nonconvexity",
    "probe_quadrature": "spectrum",
    "smooth": "smoothing",
    "spectral_density": "spectrum",
    "spectral_mass": "masses",
    "spectral_summary": "masses",
    "surface_curvature": "fitted",
    "trace": "traces",
}

__all__ = [
    "assembled_density",
    "convexity",
    "eigenpairs",
    "moment",
    "negative_mass",
    "nonconvex",
    "probe_quadrature",
    "smooth",
    "spectral_density",
    "spectral_mass",
    "spectral_summary",
    "surface_curvature",
    "trace",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'theodolite.curvature' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"theodolite.curvature.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
