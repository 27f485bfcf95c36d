"""The loss at the checkpoints of a path, and at their shadows on its plane."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from theodolite.objective import Objective
from theodolite.surfaces.sweep import step, summary, summary_names, swept
from theodolite.surfaces.trajectory_path import Path
from theodolite.surfaces.trajectory_points import with_state

Values = dict[str, np.ndarray[Any, np.dtype[Any]]]


def trajectory_losses(
    objective: Objective,
    path: Path,
    *,
    rows: Sequence[int],
    test: Objective | None = None,
    ticked: Callable[[], None] = lambda: None,
) -> Values:
    """Losses of the checkpoints whose numbers are given, arrays ``(time,)``.

    ``loss`` is what the checkpoint computes, with its own buffers (running statistics) and frozen
    parameters where it has them; ``shadow_loss`` the loss at ``origin + coordinates @ axes`` with
    those of the objective, as a surface over the plane has them. Two passes over the data a
    checkpoint, and one over the test data. Rows computed apart give the same bits.
    """
    found: dict[str, list[Any]] = {}
    for row in rows:
        state = path.points.state(row)
        theta = path.points.theta(row) if state is None else path.points.space.flatten(state)
        for each, prefix in ((objective, ""), (test, "test_")):
            if each is not None:
                own, had = with_state(each, state)
                for name, number in _measured(own, theta).items():
                    found.setdefault(prefix + name, []).append(number)
                ticked()
                if not prefix:
                    found.setdefault("own_state", []).append(had)
    shadows = _shadows(objective, path, rows, ticked)
    for name, column in shadows.items():
        found[f"shadow_{name}"] = list(column)
    return {name: np.array(values, dtype=_dtype(name)) for name, values in found.items()}


def _dtype(name: str) -> Any:
    return np.uint8 if name.endswith("status") or name == "own_state" else np.float64


def _measured(objective: Objective, theta: Tensor) -> dict[str, float]:
    """One pass at a checkpoint."""
    accuracy = objective.start_pass.hits is not None
    made = objective.sample(theta.to(objective.device))
    found: dict[str, float] = summary(made, accuracy=accuracy)
    return {name: found[name] for name in summary_names(accuracy)}


def _shadows(
    objective: Objective, path: Path, rows: Sequence[int], ticked: Callable[[], None]
) -> dict[str, list[float]]:
    """Loss, error and status at the shadows, under one substitution of the weights."""
    base = path.origin.to(device=objective.device, dtype=objective.space.dtype)
    axes = path.directions.to(base)

    def walk(point: Tensor) -> Iterator[tuple[float, ...]]:
        spare = torch.empty_like(point)
        for row in rows:
            point.copy_(base)
            for axis, distance in zip(axes, path.shadow.coordinates[row], strict=True):
                spare.copy_(point)
                step(spare, axis, float(distance), out=point)
            yield tuple(float(c) for c in path.shadow.coordinates[row])

    found = swept(objective, base, walk, ticked)
    return {name: found[name] for name in ("loss", "loss_error", "status")}
