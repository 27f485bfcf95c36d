"""Surveys the optimization landscape of a neural network.

    Objective + theta  ->  Operator | directions  ->  measurement  ->  Dataset  ->  plot  ->  report

Names are imported on first use, so that ``import theodolite`` costs nothing and pages that read
results from files never load torch. This file is longer than 300 lines: it lists every name.
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
    from theodolite import studies as studies
    from theodolite import training as training
    from theodolite.averaging import average as average
    from theodolite.averaging import averaged_state as averaged_state
    from theodolite.averaging import compare_ensembles as compare_ensembles
    from theodolite.averaging import curve_members as curve_members
    from theodolite.averaging import ensemble as ensemble
    from theodolite.averaging import soup as soup
    from theodolite.certificates import certify as certify
    from theodolite.connectivity import Merge as Merge
    from theodolite.connectivity import barrier as barrier
    from theodolite.connectivity import barrier_matrix as barrier_matrix
    from theodolite.connectivity import curve as curve
    from theodolite.connectivity import elastic_band as elastic_band
    from theodolite.connectivity import function_distance as function_distance
    from theodolite.connectivity import match as match
    from theodolite.connectivity import merge as merge
    from theodolite.connectivity import minima_graph as minima_graph
    from theodolite.connectivity import relation as relation
    from theodolite.connectivity import repair as repair
    from theodolite.connectivity import simplex as simplex
    from theodolite.connectivity import variance_collapse as variance_collapse
    from theodolite.curvature import Descent as Descent
    from theodolite.curvature import convexity as convexity
    from theodolite.curvature import critical_point as critical_point
    from theodolite.curvature import diagonal as diagonal
    from theodolite.curvature import effective_dimension as effective_dimension
    from theodolite.curvature import eigenpairs as eigenpairs
    from theodolite.curvature import escape_time as escape_time
    from theodolite.curvature import frobenius_norm as frobenius_norm
    from theodolite.curvature import log_determinant as log_determinant
    from theodolite.curvature import saddle_index as saddle_index
    from theodolite.curvature import semicircle as semicircle
    from theodolite.curvature import semicircle_distance as semicircle_distance
    from theodolite.curvature import spectral_density as spectral_density
    from theodolite.curvature import spectral_mass as spectral_mass
    from theodolite.curvature import spectral_summary as spectral_summary
    from theodolite.curvature import surface_curvature as surface_curvature
    from theodolite.curvature import trace as trace
    from theodolite.directions import adam_direction as adam_direction
    from theodolite.directions import between as between
    from theodolite.directions import eigenvector_directions as eigenvector_directions
    from theodolite.directions import gradient_direction as gradient_direction
    from theodolite.directions import orthogonalized as orthogonalized
    from theodolite.directions import plane_through as plane_through
    from theodolite.directions import principal_directions as principal_directions
    from theodolite.directions import projection as projection
    from theodolite.directions import random_directions as random_directions
    from theodolite.directions import random_planes as random_planes
    from theodolite.exporting import export as export
    from theodolite.linalg import Operator as Operator
    from theodolite.monitoring import Monitor as Monitor
    from theodolite.noise import batch_gradient_norms as batch_gradient_norms
    from theodolite.noise import batch_noise_factor as batch_noise_factor
    from theodolite.noise import batch_size_advice as batch_size_advice
    from theodolite.noise import example_gradient_norms as example_gradient_norms
    from theodolite.noise import gradient_diversity as gradient_diversity
    from theodolite.noise import gradient_noise_scale as gradient_noise_scale
    from theodolite.noise import gradient_tail_index as gradient_tail_index
    from theodolite.noise import noise_curvature_alignment as noise_curvature_alignment
    from theodolite.noise import noise_spectrum as noise_spectrum
    from theodolite.noise import signal_to_noise as signal_to_noise
    from theodolite.noise import smith_le_noise_scale as smith_le_noise_scale
    from theodolite.noise import stationary_covariance as stationary_covariance
    from theodolite.noise import stationary_excess_loss as stationary_excess_loss
    from theodolite.noise import step_to_batch_ratio as step_to_batch_ratio
    from theodolite.noise import tail_index as tail_index
    from theodolite.noise import two_batch_noise_scale as two_batch_noise_scale
    from theodolite.objective import Objective as Objective
    from theodolite.operators import blocks as blocks
    from theodolite.operators import empirical_fisher as empirical_fisher
    from theodolite.operators import fisher as fisher
    from theodolite.operators import ggn as ggn
    from theodolite.operators import gradient_covariance as gradient_covariance
    from theodolite.operators import hessian as hessian
    from theodolite.operators import preconditioned as preconditioned
    from theodolite.parameters import ParameterSpace as ParameterSpace
    from theodolite.reporting import report as report
    from theodolite.results import examples_needed as examples_needed
    from theodolite.shapes import shape as shape
    from theodolite.shapes import topology as topology
    from theodolite.sharpness import adaptive_sharpness as adaptive_sharpness
    from theodolite.sharpness import average_sharpness as average_sharpness
    from theodolite.sharpness import directional_curvature as directional_curvature
    from theodolite.sharpness import fisher_rao_norm as fisher_rao_norm
    from theodolite.sharpness import invariance_table as invariance_table
    from theodolite.sharpness import keskar_sharpness as keskar_sharpness
    from theodolite.sharpness import largest_curvature as largest_curvature
    from theodolite.sharpness import layer_rescaling as layer_rescaling
    from theodolite.sharpness import pac_bayes_sharpness as pac_bayes_sharpness
    from theodolite.sharpness import predicted_rise as predicted_rise
    from theodolite.sharpness import relative_flatness as relative_flatness
    from theodolite.sharpness import shifted_valley as shifted_valley
    from theodolite.sharpness import worst_case_sharpness as worst_case_sharpness
    from theodolite.surfaces import curve_plane as curve_plane
    from theodolite.surfaces import line as line
    from theodolite.surfaces import plane as plane
    from theodolite.surfaces import plane_spread as plane_spread
    from theodolite.surfaces import trajectory as trajectory
    from theodolite.surfaces import volume as volume
    from theodolite.surveys import Target as Target
    from theodolite.surveys import compare as compare
    from theodolite.surveys import survey as survey
    from theodolite.symmetry import Matching as Matching
    from theodolite.symmetry import Symmetries as Symmetries
    from theodolite.symmetry import symmetries as symmetries
    from theodolite.symmetry import weight_matching as weight_matching

__version__ = "0.1.0"

_HOMES = {
    "Descent": "curvature",
    "Matching": "symmetry",
    "Merge": "connectivity",
    "Monitor": "monitoring",
    "Objective": "objective",
    "Operator": "linalg",
    "ParameterSpace": "parameters",
    "Symmetries": "symmetry",
    "Target": "surveys",
    "adam_direction": "directions",
    "adaptive_sharpness": "sharpness",
    "average": "averaging",
    "average_sharpness": "sharpness",
    "averaged_state": "averaging",
    "barrier": "connectivity",
    "barrier_matrix": "connectivity",
    "batch_gradient_norms": "noise",
    "batch_noise_factor": "noise",
    "batch_size_advice": "noise",
    "between": "directions",
    "blocks": "operators",
    "certify": "certificates",
    "compare": "surveys",
    "compare_ensembles": "averaging",
    "convexity": "curvature",
    "critical_point": "curvature",
    "curve": "connectivity",
    "curve_members": "averaging",
    "curve_plane": "surfaces",
    "diagonal": "curvature",
    "directional_curvature": "sharpness",
    "effective_dimension": "curvature",
    "eigenpairs": "curvature",
    "eigenvector_directions": "directions",
    "elastic_band": "connectivity",
    "empirical_fisher": "operators",
    "ensemble": "averaging",
    "escape_time": "curvature",
    "example_gradient_norms": "noise",
    "examples_needed": "results",
    "export": "exporting",
    "fisher": "operators",
    "fisher_rao_norm": "sharpness",
    "frobenius_norm": "curvature",
    "function_distance": "connectivity",
    "ggn": "operators",
    "gradient_covariance": "operators",
    "gradient_direction": "directions",
    "gradient_diversity": "noise",
    "gradient_noise_scale": "noise",
    "gradient_tail_index": "noise",
    "hessian": "operators",
    "invariance_table": "sharpness",
    "keskar_sharpness": "sharpness",
    "largest_curvature": "sharpness",
    "layer_rescaling": "sharpness",
    "line": "surfaces",
    "log_determinant": "curvature",
    "match": "connectivity",
    "merge": "connectivity",
    "minima_graph": "connectivity",
    "noise_curvature_alignment": "noise",
    "noise_spectrum": "noise",
    "orthogonalized": "directions",
    "pac_bayes_sharpness": "sharpness",
    "plane": "surfaces",
    "plane_spread": "surfaces",
    "plane_through": "directions",
    "preconditioned": "operators",
    "predicted_rise": "sharpness",
    "principal_directions": "directions",
    "projection": "directions",
    "random_directions": "directions",
    "random_planes": "directions",
    "relation": "connectivity",
    "relative_flatness": "sharpness",
    "repair": "connectivity",
    "report": "reporting",
    "saddle_index": "curvature",
    "semicircle": "curvature",
    "semicircle_distance": "curvature",
    "shape": "shapes",
    "shifted_valley": "sharpness",
    "signal_to_noise": "noise",
    "simplex": "connectivity",
    "smith_le_noise_scale": "noise",
    "soup": "averaging",
    "spectral_density": "curvature",
    "spectral_mass": "curvature",
    "spectral_summary": "curvature",
    "stationary_covariance": "noise",
    "stationary_excess_loss": "noise",
    "step_to_batch_ratio": "noise",
    "surface_curvature": "curvature",
    "survey": "surveys",
    "symmetries": "symmetry",
    "tail_index": "noise",
    "topology": "shapes",
    "trace": "curvature",
    "trajectory": "surfaces",
    "two_batch_noise_scale": "noise",
    "variance_collapse": "connectivity",
    "volume": "surfaces",
    "weight_matching": "symmetry",
    "worst_case_sharpness": "sharpness",
}
_MODULES = ("datasets", "errors", "findings", "models", "plots", "results", "studies", "training")

__all__ = [
    "Descent",
    "Matching",
    "Merge",
    "Monitor",
    "Objective",
    "Operator",
    "ParameterSpace",
    "Symmetries",
    "Target",
    "__version__",
    "adam_direction",
    "adaptive_sharpness",
    "average",
    "average_sharpness",
    "averaged_state",
    "barrier",
    "barrier_matrix",
    "batch_gradient_norms",
    "batch_noise_factor",
    "batch_size_advice",
    "between",
    "blocks",
    "certify",
    "compare",
    "compare_ensembles",
    "convexity",
    "critical_point",
    "curve",
    "curve_members",
    "curve_plane",
    "datasets",
    "diagonal",
    "directional_curvature",
    "effective_dimension",
    "eigenpairs",
    "eigenvector_directions",
    "elastic_band",
    "empirical_fisher",
    "ensemble",
    "errors",
    "escape_time",
    "example_gradient_norms",
    "examples_needed",
    "export",
    "findings",
    "fisher",
    "fisher_rao_norm",
    "frobenius_norm",
    "function_distance",
    "ggn",
    "gradient_covariance",
    "gradient_direction",
    "gradient_diversity",
    "gradient_noise_scale",
    "gradient_tail_index",
    "hessian",
    "invariance_table",
    "keskar_sharpness",
    "largest_curvature",
    "layer_rescaling",
    "line",
    "log_determinant",
    "match",
    "merge",
    "minima_graph",
    "models",
    "noise_curvature_alignment",
    "noise_spectrum",
    "orthogonalized",
    "pac_bayes_sharpness",
    "plane",
    "plane_spread",
    "plane_through",
    "plots",
    "preconditioned",
    "predicted_rise",
    "principal_directions",
    "projection",
    "random_directions",
    "random_planes",
    "relation",
    "relative_flatness",
    "repair",
    "report",
    "results",
    "saddle_index",
    "semicircle",
    "semicircle_distance",
    "shape",
    "shifted_valley",
    "signal_to_noise",
    "simplex",
    "smith_le_noise_scale",
    "soup",
    "spectral_density",
    "spectral_mass",
    "spectral_summary",
    "stationary_covariance",
    "stationary_excess_loss",
    "step_to_batch_ratio",
    "studies",
    "surface_curvature",
    "survey",
    "symmetries",
    "tail_index",
    "topology",
    "trace",
    "training",
    "trajectory",
    "two_batch_noise_scale",
    "variance_collapse",
    "volume",
    "weight_matching",
    "worst_case_sharpness",
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
