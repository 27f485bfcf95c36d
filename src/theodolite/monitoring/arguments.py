"""What a monitor is asked for, checked, and recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from torch import nn

from theodolite.errors import InvalidArgument, InvalidType
from theodolite.monitoring.measures import MEASURES, Measure
from theodolite.monitoring.moment import Settings
from theodolite.objective import Objective
from theodolite.results import storable
from theodolite.surveys.provenance import versions


def settings_of(
    objective: Objective,
    eigenvalues: int,
    batch_size: int | None,
    batches: int,
    tolerance: float | int,
    engine: str,
    seed: int,
) -> Settings:
    """The settings of the measures; raises `InvalidArgument` (E-M06)."""
    _within("eigenvalues", eigenvalues, 1, objective.space.size)
    if batch_size is not None:
        _within("batch_size", batch_size, 1, objective.examples)
    _within("batches", batches, 1, None)
    if not 0 < tolerance < 1:
        raise InvalidArgument(
            f"tolerance must lie between 0 and 1; got {tolerance!r}.", code="E-M06"
        )
    return Settings(eigenvalues, float(tolerance), batch_size, batches, engine, seed)


def _within(name: str, value: Any, least: int, most: int | None) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        allowed = f"at least {least}" if most is None else f"from {least} to {most}"
        raise InvalidArgument(
            f"{name} must be a whole number {allowed}; got {value!r}.",
            why="batches are taken from the objective's own examples."
            if name == "batch_size"
            else "",
            code="E-M06",
        )


def chosen_measures(
    asked: Sequence[str | Measure] | None, settings: Settings, objective: Objective
) -> tuple[Measure, ...]:
    """The measures asked for, by name or given; raises `InvalidArgument` (E-M05).

    By default those that the objective has: one in training mode or shared by processes has no
    gradients of single examples.
    """
    if asked is None:
        left_out = {"batch_sharpness"} if settings.batch_size is None else set()
        apart = objective.mode != "train" and objective.ranks is None
        if not apart or objective.batch_norm == "recompute" or objective.examples < 2:
            left_out.add("noise_scale")
        return tuple(m for n, m in MEASURES.items() if n not in left_out)
    found = []
    for item in [asked] if isinstance(asked, str) else asked:
        made = item if isinstance(item, Measure) else MEASURES.get(item)
        if made is None:
            raise InvalidArgument(
                f"measures must be among {', '.join(MEASURES)}, or Measure values; got {item!r}.",
                code="E-M05",
            )
        found.append(made)
    names = [m.name for m in found]
    if not names or len(set(names)) < len(names):
        raise InvalidArgument(
            f"measures must be one or several of different names; got {names}.", code="E-M05"
        )
    if "batch_sharpness" in names and settings.batch_size is None:
        raise InvalidArgument(
            "batch_sharpness needs the training's batch size.",
            fix="pass batch_size=.",
            code="E-M05",
        )
    return tuple(found)


def facts_of(objective: Objective, settings: Settings, wishes: Mapping[str, Any]) -> dict[str, Any]:
    """What every history records: the objective, the settings, versions and the date."""
    facts = {
        **objective.facts(),
        **{k: v for k, v in vars(settings).items() if v is not None},
        **wishes,
        "versions": versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return {k: storable(v) for k, v in facts.items()}


def refuse_module(optimizer: Any) -> None:
    """Raise for a model where the optimizer belongs (E-M08)."""
    if isinstance(optimizer, nn.Module):
        raise InvalidType(
            f"the first argument must be the optimizer; got {type(optimizer).__name__}.",
            fix="call monitor.step(optimizer): the model is the objective's.",
            code="E-M08",
        )
