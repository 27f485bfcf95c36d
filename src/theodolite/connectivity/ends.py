"""The ends of a path: points, and the running statistics that belong to them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor

from theodolite.directions import left_behind, point_of
from theodolite.directions.checkpoints import bare
from theodolite.errors import InvalidData, TheodoliteWarning
from theodolite.objective import Objective
from theodolite.objective.evaluation import Pass
from theodolite.objective.statistics import batch_norm_layers

RUNNING = ("running_mean", "running_var")
"""Buffers of normalization layers that belong to the weights they were collected with."""

Statistics = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class End:
    """A point, its own running statistics (none where they do not count), what it leaves behind."""

    theta: Shaped[Tensor, " params"]
    statistics: Statistics
    behind: tuple[str, ...] = ()


def end_of(objective: Objective, value: Any, name: str) -> End:
    """A flat tensor, with the objective's own statistics, or a state dict with those it holds.

    Warns where a state dict differs from the objective in anything else that does not move along
    a path: frozen parameters and other buffers.
    """
    theta = point_of(objective, value, name)
    objective.alike(theta, name)
    own = _running(objective)
    if not isinstance(value, Mapping):
        return End(theta, own)
    state = bare(value)
    held = {full: _statistic(state, full, here, name) for full, here in own.items()}
    behind = [n for n in left_behind(objective, value) if n.rpartition(".")[2] not in RUNNING]
    if behind:
        more = f" and {len(behind) - 3} more" if len(behind) > 3 else ""
        warnings.warn(
            TheodoliteWarning(
                f"{name} differs from the objective in {', '.join(behind[:3])}{more}, which do not "
                "move along the path: the loss at that end is not the checkpoint's own. [E-A03]"
            ),
            stacklevel=3,
        )
    return End(theta, held, tuple(behind))


def _running(objective: Objective) -> dict[str, Tensor]:
    """The running statistics in use, by the names of the objective's buffers."""
    if objective.batch_norm != "frozen" or objective.mode != "eval":
        return {}
    kept = objective.forward.pristine
    return {n: b for n, b in kept.items() if n.rpartition(".")[2] in RUNNING}


def _statistic(state: Mapping[str, Any], full: str, here: Tensor, end: str) -> Tensor:
    """The checkpoint's own statistic, or the objective's where it holds none."""
    found = state.get(full.removeprefix("model."))
    if not isinstance(found, Tensor):
        return here
    if found.shape != here.shape or not bool(torch.isfinite(found).all()):
        raise InvalidData(
            f"{full.removeprefix('model.')} of {end} has shape {tuple(found.shape)}"
            + ("" if found.shape != here.shape else " and holds NaN or infinity")
            + f"; the model's has shape {tuple(here.shape)}.",
            fix="pass a state dict of this model.",
            code="E-A04",
        )
    return found.to(here)


def statistics_between(a: End, b: End, alpha: float) -> dict[str, Tensor]:
    """The running statistics of both ends, mixed as weights are."""
    return {n: torch.lerp(one, b.statistics[n], alpha) for n, one in a.statistics.items()}


def how_normalized(objective: Objective, a: End, b: End) -> str:
    """Where the statistics of normalization layers along a path come from."""
    facts = objective.facts()
    if objective.mode == "train":
        return "of every batch"
    if facts["batch_norm"] == "recompute":
        return "recomputed"
    if not a.statistics:
        return "none"
    differ = any(not torch.equal(one, b.statistics[n]) for n, one in a.statistics.items())
    return "interpolated" if differ else "kept"


def recomputed(objective: Objective) -> Objective:
    """The objective as curved paths are measured: BatchNorm statistics made anew everywhere."""
    own = objective.mode == "eval" and batch_norm_layers(objective.model)
    return objective.with_batch_norm("recompute") if own else objective


def passed(objective: Objective, theta: Tensor, statistics: Statistics) -> Pass:
    """One pass over the data at `theta`, with these running statistics; 1 F."""
    point = objective.point(theta)

    def body() -> Pass:
        with torch.no_grad():
            for name, value in statistics.items():
                objective.forward.working[name].copy_(value)
        return objective.sweep()

    return objective.guarded(lambda: objective.forward.run(point, body))
