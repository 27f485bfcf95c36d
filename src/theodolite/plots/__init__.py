"""Pictures of results: each function takes a result and axes, draws, and returns the axes."""

from __future__ import annotations

from theodolite.plots import palette
from theodolite.plots.certificate import certificate_rows, plot_certificate
from theodolite.plots.density import (
    density_floor,
    finished,
    negative_share,
    smooth_together,
    wide_spread,
)
from theodolite.plots.dress import distance_label
from theodolite.plots.eigenvalues import plot_eigenvalues
from theodolite.plots.height_scale import Heights, finite_values, heights, plain
from theodolite.plots.line import line_from_plane, plot_line, share_log
from theodolite.plots.plane import (
    minimum,
    plot_plane,
    scale_bar,
    shown_field,
    status_counts,
    status_of,
)
from theodolite.plots.plane_3d import plot_plane_3d
from theodolite.plots.spectral_density import (
    draw_curve,
    kernel_words,
    plot_spectral_density,
)
from theodolite.plots.training import plot_training

__all__ = [
    "Heights",
    "certificate_rows",
    "density_floor",
    "distance_label",
    "draw_curve",
    "finished",
    "finite_values",
    "heights",
    "kernel_words",
    "line_from_plane",
    "minimum",
    "negative_share",
    "palette",
    "plain",
    "plot_certificate",
    "plot_eigenvalues",
    "plot_line",
    "plot_plane",
    "plot_plane_3d",
    "plot_spectral_density",
    "plot_training",
    "scale_bar",
    "share_log",
    "shown_field",
    "smooth_together",
    "status_counts",
    "status_of",
    "wide_spread",
]
