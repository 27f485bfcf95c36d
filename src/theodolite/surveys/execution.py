"""Units of work, computed once each, in order, and saved as they are done."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

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
    ``seconds``; ``passes_left`` is what is left of the whole survey, in forward passes.
    """

    group: str
    measure: str
    done: int
    units: int
    computed: int
    seconds: float
    passes_left: float
    failed: str = ""


Watch = Callable[[Progress], None]


@dataclass(frozen=True)
class Outcome:
    """What a run did: units computed now, units failed in all, units left, and why it stopped."""

    computed: int
    failed: int
    left: int
    stopped: str


@dataclass(frozen=True, eq=False)
class Work:
    """What every unit of a run shares."""

    target: Any
    store: Store
    journal: Journal
    watch: Watch
    deadline: float | None
    passes: float


def execute(
    plan: Plan,
    target: Any,
    store: Store,
    journal: Journal,
    *,
    time_budget: float | int | None = None,
    retry_failed: bool = False,
    watch: Watch | None = None,
) -> Outcome:
    """Compute every unit that is not marked done, in order, and save each before the next.

    Stopped at any moment, even by SIGKILL, and called again, it ends with the same bytes as if
    it had never been stopped, and no saved unit is computed again. A unit that raises is marked
    failed with its reason and the others go on; ``retry_failed`` computes such units again.
    After ``time_budget`` seconds no unit is begun, but one is computed in any run. Raises
    `StorageError` when something cannot be saved, with how many units are safe.
    """
    deadline = None if time_budget is None else time.monotonic() + time_budget
    pending = {g.name: todo(store, g, retry_failed) for g in plan.groups}
    left = sum(map(len, pending.values()))
    computed = 0
    try:
        layout = {"groups": [g.name for g in plan.groups], "units": [g.units for g in plan.groups]}
        storing.write_facts(store, "", layout)
        for k, group in enumerate(plan.groups):
            later = sum((len(pending[g.name]) * g.passes for g in plan.groups[k + 1 :]), 0.0)
            work = Work(target, store, journal, watch or (lambda _: None), deadline, later)
            done = run_group(work, group, pending[group.name], first=computed == 0)
            computed += done
            if done < len(pending[group.name]):
                break
    except StorageError as error:
        raise counted(error, plan, store) from error
    failed = sum(int((statuses(store, g) == FAILED).sum()) for g in plan.groups)
    return Outcome(computed, failed, left - computed, "time budget" if left > computed else "done")


def todo(store: Store, group: Group, retry_failed: bool = False) -> list[int]:
    """The units of a group still to compute."""
    marks = statuses(store, group)
    wanted = (marks == TODO) | (marks == FAILED) if retry_failed else marks == TODO
    return [int(k) for k in np.flatnonzero(wanted)]


def run_group(work: Work, group: Group, units: list[int], *, first: bool) -> int:
    """Compute the given units of a group; returns how many, fewer when the time was up."""
    began = time.monotonic()
    storing.prepare(work.store, group)
    work.watch(progress(work, group, units, 0, began))
    if units:
        compute, trouble = opened(work, group)
    for count, unit in enumerate(units):
        if late(work, began, count) and not (first and count == 0):
            return count
        failure = trouble or run_unit(work, group, unit, compute)
        if trouble:
            fail(work, group, unit, trouble)
        work.watch(progress(work, group, units, count + 1, began, failure))
    finish(work.store, group)
    return len(units)


def late(work: Work, began: float, count: int) -> bool:
    """Whether the next unit would probably end after the deadline."""
    if work.deadline is None:
        return False
    now = time.monotonic()
    expected = (now - began) / count if count else 0.0
    return now + expected > work.deadline


def opened(work: Work, group: Group) -> tuple[Unit, str]:
    """The group's function of a unit, or why there is none."""
    try:
        return group.open(work.target), ""
    except UNIT_FAILURES as error:
        return refuse, described(error)


def refuse(unit: int) -> Any:
    """Stands for a group that could not be prepared; never called."""
    raise LookupError(f"unit {unit} was asked of a group that could not be prepared")


def run_unit(work: Work, group: Group, unit: int, compute: Unit) -> str:
    """Compute and save one unit; returns why it failed, or an empty text."""
    began = time.monotonic()
    try:
        result = compute(unit)
    except UNIT_FAILURES as error:
        fail(work, group, unit, described(error))
        return described(error)
    storing.write_unit(work.store, group, unit, result)
    seconds = round(time.monotonic() - began, 4)
    work.journal.record("unit", group=group.name, unit=unit, seconds=seconds)
    return ""


def fail(work: Work, group: Group, unit: int, reason: str) -> None:
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


def progress(
    work: Work, group: Group, units: list[int], count: int, began: float, failed: str = ""
) -> Progress:
    done = group.units - len(units) + count
    left = work.passes + (len(units) - count) * group.passes
    spent = time.monotonic() - began
    return Progress(group.name, group.measure, done, group.units, count, spent, left, failed)


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
