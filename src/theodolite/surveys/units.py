"""Units of work as they are recorded: saved, failed, counted, and told to a watcher."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from theodolite.errors import StorageError, TheodoliteError
from theodolite.results import FAILED, TODO
from theodolite.surveys import store as storing
from theodolite.surveys.groups import Group, Unit
from theodolite.surveys.journal import Journal
from theodolite.surveys.plan import Plan
from theodolite.surveys.reading import read_group
from theodolite.surveys.store import Store, statuses

UNIT_FAILURES = (
    TheodoliteError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a unit may raise without ending the survey: it is marked failed and the rest goes on."""


@dataclass(frozen=True)
class Progress:
    """Where a survey stands: given to the watcher when a group begins and after every unit.

    ``done`` and ``units`` count in this group, ``computed`` the units this run computed in it in
    ``seconds``; ``passes_left`` is what is left of the whole survey, in forward passes. Several
    workers share the time: ``seconds`` is then their work on the group by their number.
    ``within`` says how far a long unit is, where it can.
    """

    group: str
    measure: str
    done: int
    units: int
    computed: int
    seconds: float
    passes_left: float
    failed: str = ""
    within: str = ""


Watch = Callable[[Progress], None]


class Overdue(BaseException):
    """Raised inside a long unit when the time is up; the unit is left as if never begun."""


@dataclass(frozen=True, eq=False)
class Work:
    """What every unit of a run shares; ``pending`` lists the units to compute by group."""

    plan: Plan
    target: Any
    store: Store
    journal: Journal
    watch: Watch
    deadline: float | None
    pending: dict[str, list[int]]


def todo(store: Store, group: Group, retry_failed: bool = False) -> list[int]:
    """The units of a group still to compute."""
    marks = statuses(store, group)
    wanted = (marks == TODO) | (marks == FAILED) if retry_failed else marks == TODO
    return [int(k) for k in np.flatnonzero(wanted)]


def late(deadline: float | None, expected: float) -> bool:
    """Whether a unit of the expected length would end after the deadline."""
    return deadline is not None and time.monotonic() + expected > deadline


def opened(group: Group, target: Any, earlier: Any = None) -> tuple[Unit, str]:
    """The group's function of a unit, or why there is none."""
    try:
        if group.resume is not None and earlier is not None:
            return group.resume(target, earlier), ""
        return group.open(target), ""
    except UNIT_FAILURES as error:
        return refuse, described(error)


def refuse(unit: int) -> Any:
    """Stands for a group that could not be prepared; never called."""
    raise LookupError(f"unit {unit} was asked of a group that could not be prepared")


def earlier(store: Store, group: Group) -> xr.Dataset | dict[str, xr.Dataset] | None:
    """The finished result that `group` can take up, or results by name; None without."""
    if group.resume is None:
        return None
    if isinstance(group.after, str):
        return read_group(store, group.after) if storing.finished(store, group.after) else None
    return {n: read_group(store, n) for n in group.after if storing.finished(store, n)} or None


def save(work: Work, group: Group, unit: int, result: xr.Dataset, began: float) -> None:
    """Store a unit's numbers, then note it in the log with the seconds since `began`."""
    storing.write_unit(work.store, group, unit, result)
    seconds = round(time.monotonic() - began, 4)
    work.journal.record("unit", group=group.name, unit=unit, seconds=seconds)


def fail(work: Work, group: Group, unit: int, reason: str) -> None:
    """Record why a unit has no numbers."""
    storing.write_failure(work.store, group, unit, reason)
    work.journal.record("failed", group=group.name, unit=unit, reason=reason)


def described(error: BaseException) -> str:
    """An exception as one line."""
    first = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {first}"


def finish(store: Store, group: Group) -> None:
    """Add the attributes that only a complete group has."""
    if group.finish is not None and not todo(store, group):
        facts = group.finish(read_group(store, group.name))
        storing.write_facts(store, group.name, facts)


def counted(error: StorageError, plan: Plan, store: Store) -> StorageError:
    """The same error with how much of the survey is safe."""
    try:
        safe = plan.units - sum(len(todo(store, g)) for g in plan.groups)
    except StorageError:
        return error
    where = f"{safe} of {plan.units} units are safe"
    kept = StorageError(error.what, where=where, why=error.why, fix=error.fix, code=error.code)
    kept.errno = error.errno
    return kept
