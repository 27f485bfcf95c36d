"""How an operator curves: extreme eigenpairs, spectral density, trace, diagonal, norm.

Names are imported on first use, so that smoothing a stored density never loads torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theodolite.curvature.convexity_map import convexity as convexity
    from theodolite.curvature.critical_points import critical_point as critical_point
    from theodolite.curvature.density_facts import spectral_facts as spectral_facts
    from theodolite.curvature.descents import Descent as Descent
    from theodolite.curvature.diagonals import diagonal as diagonal
    from theodolite.curvature.diagonals_by_layer import layer_diagonals as layer_diagonals
    from theodolite.curvature.eigenvalues import eigenpairs as eigenpairs
    from theodolite.curvature.escapes import escape_time as escape_time
    from theodolite.curvature.fitted import surface_curvature as surface_curvature
    from theodolite.curvature.layer_shares import layer_table as layer_table
    from theodolite.curvature.layer_spectra import layer_spectrum as layer_spectrum
    from theodolite.curvature.masses import spectral_mass as spectral_mass
    from theodolite.curvature.masses import spectral_summary as spectral_summary
    from theodolite.curvature.nonconvexity import nonconvex as nonconvex
    from theodolite.curvature.norms import frobenius_norm as frobenius_norm
    from theodolite.curvature.random_spectra import semicircle as semicircle
    from theodolite.curvature.random_spectra import semicircle_distance as semicircle_distance
    from theodolite.curvature.saddle_indices import saddle_index as saddle_index
    from theodolite.curvature.smoothing import mass_error as mass_error
    from theodolite.curvature.smoothing import negative_mass as negative_mass
    from theodolite.curvature.smoothing import smooth as smooth
    from theodolite.curvature.spectral_functions import effective_dimension as effective_dimension
    from theodolite.curvature.spectral_functions import log_determinant as log_determinant
    from theodolite.curvature.spectrum import assembled_density as assembled_density
    from theodolite.curvature.spectrum import moment as moment
    from theodolite.curvature.spectrum import probe_quadrature as probe_quadrature
    from theodolite.curvature.spectrum import spectral_density as spectral_density
    from theodolite.curvature.traces import trace as trace

_HOMES = {
    "Descent": "descents",
    "assembled_density": "spectrum",
    "convexity": "convexity_map",
    "critical_point": "critical_points",
    "diagonal": "diagonals",
    "effective_dimension": "spectral_functions",
    "eigenpairs": "eigenvalues",
    "escape_time": "escapes",
    "frobenius_norm": "norms",
    "layer_diagonals": "diagonals_by_layer",
    "layer_spectrum": "layer_spectra",
    "layer_table": "layer_shares",
    "log_determinant": "spectral_functions",
    "moment": "spectrum",
    "mass_error": "smoothing",
    "negative_mass": "smoothing",
    "nonconvex": "nonconvexity",
    "probe_quadrature": "spectrum",
    "saddle_index": "saddle_indices",
    "semicircle": "random_spectra",
    "semicircle_distance": "random_spectra",
    "smooth": "smoothing",
    "spectral_density": "spectrum",
    "spectral_facts": "density_facts",
    "spectral_mass": "masses",
    "spectral_summary": "masses",
    "surface_curvature": "fitted",
    "trace": "traces",
}

__all__ = [
    "Descent",
    "assembled_density",
    "convexity",
    "critical_point",
    "diagonal",
    "effective_dimension",
    "eigenpairs",
    "escape_time",
    "frobenius_norm",
    "layer_diagonals",
    "layer_spectrum",
    "layer_table",
    "log_determinant",
    "mass_error",
    "moment",
    "negative_mass",
    "nonconvex",
    "probe_quadrature",
    "saddle_index",
    "semicircle",
    "semicircle_distance",
    "smooth",
    "spectral_density",
    "spectral_facts",
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
