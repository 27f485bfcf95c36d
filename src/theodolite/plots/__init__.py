"""Pictures of results: each function takes a result and axes, draws, and returns the axes."""

from __future__ import annotations

from theodolite.plots import palette
from theodolite.plots.averages import plot_averages
from theodolite.plots.bands import plot_elastic_band
from theodolite.plots.barcode import plot_barcode
from theodolite.plots.barriers import how_normalized, plot_barrier
from theodolite.plots.certificate import certificate_rows, plot_certificate
from theodolite.plots.convexity import plot_convexity
from theodolite.plots.curve_planes import plot_curve_plane
from theodolite.plots.density import (
    density_floor,
    finished,
    negative_share,
    smooth_together,
    wide_spread,
)
from theodolite.plots.density_by_layer import draw_layer_curve, layer_densities
from theodolite.plots.dress import distance_label
from theodolite.plots.eigenvalues import plot_eigenvalues
from theodolite.plots.escapes import plot_escape_distance, plot_escape_rise
from theodolite.plots.function_distances import function_distance_matrix, plot_function_distances
from theodolite.plots.gradient_noise import (
    noisiest,
    plot_batch_efficiency,
    plot_signal_to_noise,
)
from theodolite.plots.gradient_tails import plot_gradient_tails
from theodolite.plots.height_scale import Heights, finite_values, heights, plain
from theodolite.plots.line import line_from_plane, plot_line, share_log
from theodolite.plots.merge_tree import plot_merge_tree
from theodolite.plots.minima import plot_minima_graph
from theodolite.plots.monitored import plot_edge, plot_monitored
from theodolite.plots.path_profile import plot_path_profile
from theodolite.plots.plane import (
    minimum,
    plot_plane,
    scale_bar,
    shown_field,
    status_counts,
    status_of,
)
from theodolite.plots.plane_3d import plot_plane_3d
from theodolite.plots.rises import plot_rise_errors, plot_rises, trust_radius
from theodolite.plots.saddle_index import plot_critical_search, plot_saddle_index
from theodolite.plots.shape import plot_shape
from theodolite.plots.sharpness_paths import plot_descent_losses, plot_sharpness_paths
from theodolite.plots.simplexes import plot_simplex
from theodolite.plots.small_multiples import Panel, plot_small_multiples
from theodolite.plots.spectral_density import (
    draw_curve,
    kernel_words,
    plot_spectral_density,
)
from theodolite.plots.study_grid import cell_means, plot_study_grid
from theodolite.plots.study_rows import OPTIMIZER_NAMES, plot_optimizers
from theodolite.plots.study_scatter import plot_collapse, plot_sharpness_error
from theodolite.plots.surface_colors import surface_colors
from theodolite.plots.training import plot_training
from theodolite.plots.trajectory import (
    percent,
    plot_trajectory,
    plot_trajectory_distance,
    plot_trajectory_losses,
)
from theodolite.plots.valleys import plot_shifted_valley

__all__ = [
    "OPTIMIZER_NAMES",
    "Heights",
    "Panel",
    "cell_means",
    "certificate_rows",
    "density_floor",
    "distance_label",
    "draw_curve",
    "draw_layer_curve",
    "finished",
    "finite_values",
    "function_distance_matrix",
    "heights",
    "how_normalized",
    "kernel_words",
    "layer_densities",
    "line_from_plane",
    "minimum",
    "negative_share",
    "noisiest",
    "palette",
    "percent",
    "plain",
    "plot_averages",
    "plot_barcode",
    "plot_barrier",
    "plot_batch_efficiency",
    "plot_certificate",
    "plot_collapse",
    "plot_convexity",
    "plot_critical_search",
    "plot_curve_plane",
    "plot_descent_losses",
    "plot_edge",
    "plot_eigenvalues",
    "plot_elastic_band",
    "plot_escape_distance",
    "plot_escape_rise",
    "plot_function_distances",
    "plot_gradient_tails",
    "plot_line",
    "plot_merge_tree",
    "plot_minima_graph",
    "plot_monitored",
    "plot_optimizers",
    "plot_path_profile",
    "plot_plane",
    "plot_plane_3d",
    "plot_rise_errors",
    "plot_rises",
    "plot_saddle_index",
    "plot_shape",
    "plot_sharpness_error",
    "plot_sharpness_paths",
    "plot_shifted_valley",
    "plot_signal_to_noise",
    "plot_simplex",
    "plot_small_multiples",
    "plot_spectral_density",
    "plot_study_grid",
    "plot_training",
    "plot_trajectory",
    "plot_trajectory_distance",
    "plot_trajectory_losses",
    "scale_bar",
    "share_log",
    "shown_field",
    "smooth_together",
    "status_counts",
    "status_of",
    "surface_colors",
    "trust_radius",
    "wide_spread",
]
