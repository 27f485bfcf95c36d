"""Arrays of a slice as a result that explains itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Shaped
from torch import Tensor

from theodolite import results
from theodolite.directions.recognize import recognized
from theodolite.objective import Objective
from theodolite.surfaces import agreement


def line_facts(
    objective: Objective,
    direction: Shaped[Tensor, ...],
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    span: Sequence[float | int],
    steps: int,
    test: Objective | None = None,
    normalize: str | None = None,
    seed: int | None = None,
    line: int = 0,
) -> dict[str, Any]:
    """What a line records besides its numbers; one pass unless `theta` is the start."""
    along = agreement.checked_direction(objective, direction)
    return {
        **_origin(objective, along.unsqueeze(0), theta, normalize, seed),
        "line": line,
        "direction_norm_alpha": agreement.length(along),
        "method": "dense",
        "span": [float(v) for v in span],
        "steps": steps,
        **_point_facts(objective, theta),
        **_objective_facts(objective, test),
    }


def plane_facts(
    objective: Objective,
    directions: Shaped[Tensor, ...],
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    span: Sequence[Sequence[float | int]],
    steps: Sequence[int],
    test: Objective | None = None,
    normalize: str | None = None,
    seed: int | None = None,
    plane: int = 0,
) -> dict[str, Any]:
    """What a plane records besides its numbers; one pass unless `theta` is the start."""
    axes = agreement.checked_directions(objective, directions)
    return {
        **_origin(objective, axes, theta, normalize, seed),
        "plane": plane,
        "axis_cosine": agreement.axis_cosine(axes),
        "direction_norm_alpha": agreement.length(axes[0]),
        "direction_norm_beta": agreement.length(axes[1]),
        "method": "dense",
        "span": [float(v) for axis in span for v in axis],
        "steps": [int(v) for v in steps],
        **_point_facts(objective, theta),
        **_objective_facts(objective, test),
    }


def line_dataset(
    values: Mapping[str, np.ndarray[Any, np.dtype[Any]]],
    alphas: Float[np.ndarray, " alpha"],
    facts: Mapping[str, Any],
) -> xr.Dataset:
    """The values of `line_values` as a result of dimension ``alpha``."""
    return labeled("line", values, {"alpha": alphas}, facts)


def plane_dataset(
    values: Mapping[str, np.ndarray[Any, np.dtype[Any]]],
    alphas: Float[np.ndarray, " alpha"],
    betas: Float[np.ndarray, " beta"],
    facts: Mapping[str, Any],
) -> xr.Dataset:
    """The values of `plane_rows` as a result of dimensions ``(alpha, beta)``."""
    return labeled("plane", values, {"alpha": alphas, "beta": betas}, facts)


def _origin(
    objective: Objective,
    directions: Tensor,
    theta: Tensor | None,
    normalize: str | None,
    seed: int | None,
) -> dict[str, Any]:
    """How the directions were made: norms are recognized where the caller does not say."""
    if normalize is None:
        point = agreement.checked_theta(objective, theta)
        normalize = recognized(directions, point, objective.space)
    told = {"normalize": normalize, "seed": seed}
    return {k: v for k, v in told.items() if v is not None}


def _point_facts(objective: Objective, theta: Tensor | None) -> dict[str, Any]:
    point = agreement.checked_theta(objective, theta)
    made = objective.start_pass if theta is None else objective.sample(point)
    return {
        "theta_norm": agreement.length(point),
        "start_loss": made.loss(),
        "start_loss_error": made.loss_error(),
    }


def _objective_facts(objective: Objective, test: Objective | None) -> dict[str, Any]:
    told = objective.facts()
    if test is not None:
        also = test.facts()
        told |= {f"test_{k}": also[k] for k in ("examples", "batch_norm", "fingerprint")}
    return told


def labeled(
    quantity: str,
    values: Mapping[str, np.ndarray[Any, np.dtype[Any]]],
    axes: Mapping[str, np.ndarray[Any, np.dtype[Any]]],
    facts: Mapping[str, Any],
) -> xr.Dataset:
    dims = tuple(axes)
    variables = {k: (_dims(k) or dims, v, {"long_name": _long_name(k)}) for k, v in values.items()}
    coords = {
        dim: (dim, axis, {"long_name": f"distance along direction {k + 1}"})
        for k, (dim, axis) in enumerate(axes.items())
    }
    return results.dataset(quantity, variables, coords, **facts)


FITTED_NAMES = {
    "sampled": "how the loss was found: 0 fitted, 1 measured, 2 held out (fitted, and measured)",
    "loss_fit_error": "estimated error of the fitted loss",
    "held_out_alpha": "distance along direction 1",
    "held_out_beta": "distance along direction 2",
    "held_out_loss": "loss measured after the fit",
    "held_out_fit": "fitted loss",
    "held_out_error": "error of the fit, as a share of its range",
}
"""What only planes from few evaluations have."""


def _dims(name: str) -> tuple[str, ...] | None:
    """The dimension of the points held out; None for what lies on the grid."""
    for prefix in ("test_", ""):
        if name.startswith(f"{prefix}held_out_"):
            return (f"{prefix}held_out",)
    return None


def _long_name(name: str) -> str:
    """``test_loss_error`` is the "standard error of the test loss"."""
    if name.endswith("status"):
        which = " of the test loss" if name.startswith("test_") else ""
        return f"status{which}: {results.STATUS_MEANING}"
    own = FITTED_NAMES.get(name.removeprefix("test_"))
    if own is not None:
        return own.replace("loss", "test loss") if name.startswith("test_") else own
    plain = name.removesuffix("_error").replace("_", " ")
    return f"standard error of the {plain}" if name.endswith("_error") else plain
