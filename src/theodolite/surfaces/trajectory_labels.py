"""Arrays of a trajectory as a result that explains itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from theodolite import results
from theodolite.objective import Objective
from theodolite.results import Variable
from theodolite.surfaces.agreement import axis_cosine, length
from theodolite.surfaces.trajectory_null import RandomWalks
from theodolite.surfaces.trajectory_path import Path

NORM = {"units": "norm of parameters"}

WORDS = {
    "loss": "loss at the checkpoint itself",
    "loss_error": "standard error of the loss at the checkpoint",
    "accuracy": "accuracy at the checkpoint",
    "accuracy_error": "standard error of the accuracy at the checkpoint",
    "shadow_loss": "loss at the checkpoint's shadow on the plane",
    "shadow_loss_error": "standard error of the loss at the shadow",
    "own_state": "1 where the checkpoint's own buffers were used, 0 where the objective's were",
}


def path_variables(path: Path) -> dict[str, Variable]:
    """Where the checkpoints lie, and what the axes explain: all that costs no forward pass."""
    runs = np.repeat(np.arange(len(path.runs)), [len(run.sources) for run in path.runs])
    rates = np.concatenate([run.rates for run in path.runs])
    drops = np.concatenate([run.drops() for run in path.runs])
    unit = {} if path.axes == "given" else NORM
    along = {
        "coordinates": ("coordinate of the checkpoint's shadow along an axis", unit),
        "residual": ("distance of the checkpoint from the plane", NORM),
        "distance_from_start": ("distance from the first checkpoint of the run", NORM),
        "step_length": ("distance from the checkpoint before", NORM),
        "run": ("number of the run, named in attrs['runs']", {}),
        "learning_rate": ("learning rate of the step after the checkpoint", {}),
        "learning_rate_drop": ("1 at the first checkpoint after the learning rate dropped", {}),
    }
    values: dict[str, Any] = {
        "coordinates": path.shadow.coordinates,
        "residual": path.shadow.residual,
        "distance_from_start": path.distance_from_start,
        "step_length": path.step_length,
        "run": runs.astype(np.int64),
        "learning_rate": rates,
        "learning_rate_drop": drops,
    }
    found: dict[str, Variable] = {
        name: (
            ("time", "axis") if name == "coordinates" else ("time",),
            values[name],
            {"long_name": words, **notes},
        )
        for name, (words, notes) in along.items()
    }
    return found | _component_variables(path)


def _component_variables(path: Path) -> dict[str, Variable]:
    made, null = path.principal, path.null
    empty = np.full(len(made.explained_variance), np.nan)
    last = "share of squared distances from the last point, by principal component"
    mean = "share of squared distances from the mean point, by principal component"
    walk = "share a random walk of the same points has in the component"
    values = {
        "explained_variance": (made.explained_variance, last if made.center == "last" else mean),
        "explained_variance_centered": (made.explained_variance_centered, mean),
        "explained_variance_from_last": (made.explained_variance_from_last, last),
        "null_explained_variance": (empty if null is None else null.mean(), walk),
        "null_explained_variance_error": (
            empty if null is None else null.error(),
            f"standard error of the {walk}",
        ),
        "null_explained_variance_limit": (
            empty if null is None else null.limit,
            f"{walk}, in infinitely many dimensions",
        ),
    }
    return {k: (("component",), v, {"long_name": words}) for k, (v, words) in values.items()}


def path_coords(path: Path) -> dict[str, Any]:
    unit = path.runs[0].unit
    times = np.concatenate([run.times for run in path.runs])
    words = {"epoch": "epoch", "step": "optimizer step", "time": "time"}
    name = words.get(unit, "number of the checkpoint")
    components = np.arange(1, 1 + len(path.principal.explained_variance))
    return {
        "time": ("time", times, {"long_name": name}),
        "axis": ("axis", np.arange(1, 1 + path.axis_count), {"long_name": "axis of the plane"}),
        "component": ("component", components, {"long_name": "principal component"}),
    }


def path_facts(path: Path, *, null_walks: int, seed: int) -> dict[str, Any]:
    """What the path records besides its numbers."""
    leading = float(path.principal.explained_variance[: path.axis_count].sum())
    norms = [length(d) for d in path.directions]
    return {
        "axes": path.axes,
        "center": path.principal.center,
        "runs": [run.name or "training" for run in path.runs],
        "time_unit": path.runs[0].unit,
        "checkpoints": len(path.points),
        "checkpoints_available": sum(run.available for run in path.runs),
        "plane_share": path.plane_share(),
        "principal_share": leading,
        "direction_norms": norms,
        "axis_cosine": axis_cosine(path.directions) if path.axis_count == 2 else 0.0,
        "origin_norm": length(path.origin),
        "null_walks": 0 if path.null is None else null_walks,
        **null_facts("null", path.null, leading, path.axis_count),
        **null_facts("null_same_steps", path.same_steps, leading, path.axis_count),
        "null_reason": path.null_reason,
        "seed": seed,
    }


def null_facts(name: str, null: RandomWalks | None, share: float, axes: int) -> dict[str, Any]:
    """The null's share in as many components as there are axes, and how rare the path's is."""
    if null is None:
        return {}
    mean, error = null.leading(axes)
    return {
        f"{name}_share": mean,
        f"{name}_share_error": error,
        f"{name}_share_limit": float(null.limit[:axes].sum()),
        f"{name}_as_large": null.as_large(share, axes),
    }


def loss_variables(values: Mapping[str, Any]) -> dict[str, Variable]:
    """The losses with their names."""
    return {name: (("time",), array, {"long_name": _words(name)}) for name, array in values.items()}


def _words(name: str) -> str:
    if name.endswith("status"):
        return f"{name.replace('_', ' ')}: {results.STATUS_MEANING}"
    if name.startswith("test_"):
        told = WORDS[name.removeprefix("test_")]
        return told.replace("loss", "test loss", 1).replace("accuracy", "test accuracy", 1)
    return WORDS[name]


def trajectory_dataset(
    objective: Objective,
    path: Path,
    values: Mapping[str, Any],
    *,
    null_walks: int,
    seed: int,
    test: Objective | None = None,
) -> xr.Dataset:
    """All of a trajectory as one result."""
    facts = {**path_facts(path, null_walks=null_walks, seed=seed), **objective.facts()}
    if test is not None:
        facts |= {"test_examples": test.examples, "test_fingerprint": test.fingerprint}
    variables = {**path_variables(path), **loss_variables(values)}
    return results.dataset("trajectory", variables, path_coords(path), **facts)
