"""The path of the training: where it lies, its losses a checkpoint a unit, and its plane."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from glob import glob
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from theodolite import results
from theodolite.directions import random_directions
from theodolite.errors import InvalidArgument
from theodolite.surfaces import plane
from theodolite.surfaces.trajectory_labels import (
    loss_variables,
    path_coords,
    path_facts,
    path_variables,
)
from theodolite.surfaces.trajectory_losses import trajectory_losses
from theodolite.surfaces.trajectory_path import Path as TrainingPath
from theodolite.surfaces.trajectory_path import path_of
from theodolite.surfaces.trajectory_runs import Run, in_order, run_of
from theodolite.surveys.groups import Group, Unit
from theodolite.surveys.measures.settings import count_of
from theodolite.surveys.measures.start import ratio
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target

AXES = ("principal", "random")
FEWEST = 3
"""Checkpoints below which a path spans no plane."""
NARROW = 0.8
"""The shorter side of the plane is at least this share of the longer one."""

Preparing = Callable[[Target], TrainingPath]


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """The path, its losses and its plane; nothing where there are no checkpoints."""
    runs = chosen_runs(target, settings)
    if not runs:
        return ()
    if settings["axes"] not in AXES:
        raise InvalidArgument(
            f"axes of trajectory must be one of {', '.join(AXES)}; got {settings['axes']!r}.",
            code="E-J14",
        )
    count, steps = sum(len(r.sources) for r in runs), count_of(settings, "trajectory", "steps", 2)
    times = np.concatenate([r.times for r in runs])
    prepare = functools.lru_cache(maxsize=1)(functools.partial(prepared, runs, settings, seed))
    walks = count_of(settings, "trajectory", "null_walks", 0)
    held = 6  # both axes in float64, the origin, two working vectors and one checkpoint
    return (
        Group(
            "trajectory",
            "trajectory",
            functools.partial(opening_path, prepare, walks, seed),
            passes=0.0,
            vectors=held,
        ),
        Group(
            "trajectory_losses",
            "trajectory",
            functools.partial(opening_losses, prepare),
            units=count,
            along="time",
            coords={"time": times},
            passes=1 + ratio(target),
            vectors=held,
        ),
        Group(
            "trajectory_plane",
            "trajectory",
            functools.partial(opening_plane, prepare, settings),
            passes=float(steps**2),
            vectors=held + 3,
        ),
    )


def chosen_runs(target: Target, settings: Mapping[str, Any]) -> tuple[Run, ...]:
    """The runs named by patterns, or the target's own checkpoints, evenly thinned."""
    most = count_of(settings, "trajectory", "most_checkpoints", FEWEST)
    runs = tuple(_run(text) for text in settings["runs"])
    if not runs and len(target.checkpoints) >= FEWEST:
        runs = (run_of("", in_order([Path(c) for c in target.checkpoints])),)
    if not runs and settings["required"]:
        raise InvalidArgument(
            f"the target has {len(target.checkpoints)} checkpoints; a plane needs {FEWEST}.",
            fix="pass --checkpoints 'weights/*.safetensors', or td.Target(..., checkpoints=...).",
            code="E-J15",
        )
    if len({r.unit for r in runs}) > 1:
        units = ", ".join(sorted({r.unit for r in runs}))
        raise InvalidArgument(
            f"the runs count time in different units: {units}.",
            fix="name the files of all runs alike, step_100 or epoch_1.",
            code="E-J08",
        )
    return tuple(r.thinned(most) for r in runs)


def _run(text: Any) -> Run:
    """A run from ``name=pattern``; a pattern is a folder, a file name with wildcards, or a path."""
    name, equals, pattern = str(text).partition("=")
    if not equals or not pattern:
        raise InvalidArgument(
            f"a run must be name=pattern; got {text!r}.",
            fix="for example --run sgd='runs/sgd/*.safetensors'.",
            code="E-J16",
        )
    if Path(pattern).is_dir():
        return run_of(name, pattern)
    files = [Path(f) for f in sorted(glob(pattern, recursive=True)) if Path(f).is_file()]
    if not files:
        raise InvalidArgument(
            f"no file matches {pattern!r}.",
            fix="quote the pattern, so that the shell leaves it as it is, and check the folder.",
            code="E-J16",
        )
    return run_of(name, in_order(files))


def prepared(
    runs: Sequence[Run], settings: Mapping[str, Any], seed: int, target: Target
) -> TrainingPath:
    """Axes and shadows: the same in every unit, and found once in a process."""
    axes: Any = "principal"
    if settings["axes"] == "random":
        axes = random_directions(target.objective, count=2, normalize="filter", seed=seed)
    walks = count_of(settings, "trajectory", "null_walks", 0)
    return path_of(target.objective, runs, directions=axes, null_walks=walks, seed=seed)


def opening_path(prepare: Preparing, walks: int, seed: int, target: Target) -> Unit:
    """Where the checkpoints lie and what the axes explain: no forward pass."""

    def unit(_: int) -> xr.Dataset:
        path = prepare(target)
        facts = {**path_facts(path, null_walks=walks, seed=seed), **target.objective.facts()}
        return results.dataset("trajectory", path_variables(path), path_coords(path), **facts)

    return unit


def opening_losses(prepare: Preparing, target: Target) -> Unit:
    """The losses of one checkpoint and of its shadow."""
    path = prepare(target)

    def unit(row: int) -> xr.Dataset:
        values = trajectory_losses(target.objective, path, rows=[row], test=target.test)
        facts = target.objective.facts()
        return results.dataset("trajectory_losses", loss_variables(values), **facts)

    return unit


def opening_plane(prepare: Preparing, settings: Mapping[str, Any], target: Target) -> Unit:
    """The surface under the path, wide enough for all of it."""

    def unit(_: int) -> xr.Dataset:
        path, steps = prepare(target), settings["steps"]
        made = plane(
            target.objective,
            path.directions.to(target.objective.device),
            theta=path.origin.to(target.objective.device),
            span=span_of(path.shadow.coordinates, float(settings["margin"])),
            steps=(steps, steps),
            method="dense",
            evaluation="plain",
            normalize="none" if path.axes == "principal" else "filter",
        )
        return made.assign_attrs(axes=str(settings["axes"]), role="trajectory")

    return unit


def span_of(coordinates: np.ndarray[Any, np.dtype[Any]], margin: float) -> list[list[float]]:
    """The ends of both axes around all shadows, with a margin, and no side much the shorter.

    >>> span_of(np.array([[0.0, 0.0], [10.0, 2.0]]), 0.1)
    [[-1.0, 11.0], [-3.8, 5.8]]
    """
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    wide = (high - low) * (1 + 2 * margin)
    wide = np.maximum(wide, NARROW * wide.max())
    middle = (low + high) / 2
    ends = np.stack([middle - wide / 2, middle + wide / 2], axis=1)
    return [[round(float(v), 12) for v in row] for row in ends]


def settings(steps: int, most: int, walks: int) -> dict[str, Any]:
    return {
        "axes": "principal",
        "steps": steps,
        "margin": 0.15,
        "most_checkpoints": most,
        "null_walks": walks,
        "runs": [],
        "required": False,
    }


TRAJECTORY = Measure(
    "trajectory",
    "path of the training over its principal plane, beside a random walk's",
    {
        "quick": settings(15, 12, 200),
        "standard": settings(25, 50, 500),
        "thorough": settings(51, 200, 1000),
    },
    groups,
)
