"""How noisy the gradients of batches are, and what that says of batch sizes.

Names are imported on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from theodolite.noise.alignment import noise_curvature_alignment as noise_curvature_alignment
    from theodolite.noise.batch_advice import batch_size_advice as batch_size_advice
    from theodolite.noise.example_norms import example_gradient_norms as example_gradient_norms
    from theodolite.noise.gradient_tails import gradient_tail_index as gradient_tail_index
    from theodolite.noise.layers import gradient_diversity as gradient_diversity
    from theodolite.noise.layers import signal_to_noise as signal_to_noise
    from theodolite.noise.noise_covariance import noise_spectrum as noise_spectrum
    from theodolite.noise.noise_scale import gradient_noise_scale as gradient_noise_scale
    from theodolite.noise.stationary import stationary_covariance as stationary_covariance
    from theodolite.noise.tails import tail_index as tail_index
    from theodolite.noise.temperatures import batch_noise_factor as batch_noise_factor
    from theodolite.noise.temperatures import smith_le_noise_scale as smith_le_noise_scale
    from theodolite.noise.temperatures import stationary_excess_loss as stationary_excess_loss
    from theodolite.noise.temperatures import step_to_batch_ratio as step_to_batch_ratio
    from theodolite.noise.two_batches import batch_gradient_norms as batch_gradient_norms
    from theodolite.noise.two_batches import two_batch_noise_scale as two_batch_noise_scale

_HOMES = {
    "batch_gradient_norms": "two_batches",
    "batch_noise_factor": "temperatures",
    "batch_size_advice": "batch_advice",
    "example_gradient_norms": "example_norms",
    "gradient_diversity": "layers",
    "gradient_noise_scale": "noise_scale",
    "gradient_tail_index": "gradient_tails",
    "noise_curvature_alignment": "alignment",
    "noise_spectrum": "noise_covariance",
    "signal_to_noise": "layers",
    "smith_le_noise_scale": "temperatures",
    "stationary_covariance": "stationary",
    "stationary_excess_loss": "temperatures",
    "step_to_batch_ratio": "temperatures",
    "tail_index": "tails",
    "two_batch_noise_scale": "two_batches",
}

__all__ = [
    "batch_gradient_norms",
    "batch_noise_factor",
    "batch_size_advice",
    "example_gradient_norms",
    "gradient_diversity",
    "gradient_noise_scale",
    "gradient_tail_index",
    "noise_curvature_alignment",
    "noise_spectrum",
    "signal_to_noise",
    "smith_le_noise_scale",
    "stationary_covariance",
    "stationary_excess_loss",
    "step_to_batch_ratio",
    "tail_index",
    "two_batch_noise_scale",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'theodolite.noise' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"theodolite.noise.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
