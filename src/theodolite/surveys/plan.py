"""What a survey will do and what it will cost, before anything is done."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from theodolite.errors import InvalidArgument
from theodolite.results import FAILED, TODO
from theodolite.surveys.groups import Group
from theodolite.surveys.store import Store, statuses

PRESETS = ("quick", "standard", "thorough")


@dataclass(frozen=True)
class Trial:
    """How far settings that are found on the target may be found now.

    ``kept`` are the settings of the run that is continued, which goes on with them. What only a
    clock decides is found by trying it, unless ``trying`` is False (a plan that is only printed)
    or the process is not ``alone`` (a shard, which must decide as the others do without asking).
    """

    kept: Mapping[str, Any] = field(default_factory=dict)
    alone: bool = True
    trying: bool = True


@dataclass(frozen=True, eq=False)
class Measure:
    """A family of measurements a survey can make.

    ``presets`` holds complete settings for each preset; ``groups(target, settings, seed)`` says
    what is computed, unit by unit and at what cost, and computes nothing itself. ``settle(target,
    settings, seed, trial)`` names settings that depend on the target, once, before the work.
    """

    name: str
    summary: str
    presets: Mapping[str, Mapping[str, Any]]
    groups: Callable[[Any, Mapping[str, Any], int], tuple[Group, ...]]
    settle: Callable[[Any, Mapping[str, Any], int, Trial], Mapping[str, Any]] | None = None


@dataclass(frozen=True, eq=False)
class Plan:
    """Every group of a survey, in the order in which they are computed."""

    groups: tuple[Group, ...]

    @property
    def units(self) -> int:
        return sum(g.units for g in self.groups)

    @property
    def passes(self) -> float:
        """The whole cost in forward passes over the data."""
        return sum((g.units * g.passes for g in self.groups), 0.0)

    @property
    def seconds(self) -> float:
        """What all units take beside their passes."""
        return sum((g.units * g.seconds for g in self.groups), 0.0)

    def costs(self, per_pass: float | None) -> dict[str, float]:
        """The cost of a unit by group in passes of so many seconds, what comes beside included."""
        beside = {g.name: g.seconds / per_pass if per_pass else 0.0 for g in self.groups}
        return {g.name: round(g.passes + beside[g.name], 6) for g in self.groups}


@dataclass(frozen=True)
class Outline:
    """One line of a printed plan: a measure, its units, what is left and why, and the cost left.

    That is a ``bound`` where work may end early; ``seconds`` come on top of the passes.
    """

    measure: str
    groups: int
    units: int
    todo: int
    failed: int
    passes: float
    reason: str
    bound: bool = False
    seconds: float = 0.0

    def time(self, per_pass: float) -> float:
        """Seconds in all, where a forward pass takes so many."""
        return self.passes * per_pass + self.seconds


def chosen(measures: Iterable[str] | None, table: Mapping[str, Measure]) -> tuple[str, ...]:
    """The measures asked for, in the table's order; None means all of them."""
    if measures is None:
        return tuple(table)
    names = list(measures)
    for name in names:
        if name not in table:
            near = difflib.get_close_matches(name, table, 1)
            raise InvalidArgument(
                f"there is no measure {name!r}.",
                fix=f"did you mean {near[0]!r}?" if near else f"use any of {', '.join(table)}.",
                code="E-S02",
            )
    if not names:
        raise InvalidArgument(
            "measures must name at least one measure.",
            fix=f"use any of {', '.join(table)}.",
            code="E-S02",
        )
    return tuple(n for n in table if n in names)


def resolved_settings(
    measure: Measure, preset: str, changes: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A measure's settings under a preset, with some of them changed by name."""
    if preset not in measure.presets:
        raise InvalidArgument(
            f"preset must be one of {', '.join(measure.presets)}; got {preset!r}.", code="E-S03"
        )
    settings = dict(measure.presets[preset])
    for key, value in (changes or {}).items():
        if key not in settings:
            near = difflib.get_close_matches(key, settings, 1)
            raise InvalidArgument(
                f"{measure.name} has no setting {key!r}.",
                fix=f"did you mean {near[0]!r}?" if near else f"use any of {', '.join(settings)}.",
                code="E-S04",
            )
        settings[key] = value
    return settings


def reason(todo: int, failed: int, units: int) -> str:
    """Why units are computed, or why they are not."""
    kept = f"; {failed} failed before and are kept as failed" if failed else ""
    if todo == units:
        return "nothing saved yet"
    if todo:
        return f"{units - todo} of {units} saved{kept}"
    return f"all saved{kept}"


def outline(plan: Plan, store: Store | None = None) -> list[Outline]:
    """The plan by measure, with what a store already holds taken off."""
    lines: list[Outline] = []
    for name in dict.fromkeys(g.measure for g in plan.groups):
        groups = [g for g in plan.groups if g.measure == name]
        marks = [
            np.full(g.units, TODO, np.uint8) if store is None else statuses(store, g)
            for g in groups
        ]
        left = [int((m == TODO).sum()) for m in marks]
        lost = sum(int((m == FAILED).sum()) for m in marks)
        units = sum(g.units for g in groups)
        cost = sum((g.passes * k for g, k in zip(groups, left, strict=True)), 0.0)
        beside = sum((g.seconds * k for g, k in zip(groups, left, strict=True)), 0.0)
        why = reason(sum(left), lost, units)
        bound = any(g.bound and k for g, k in zip(groups, left, strict=True))
        lines.append(Outline(name, len(groups), units, sum(left), lost, cost, why, bound, beside))
    return lines
