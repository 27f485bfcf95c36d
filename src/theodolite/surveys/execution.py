"""Units of work, computed once each, and saved as they are done."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from theodolite.errors import StorageError
from theodolite.results import FAILED
from theodolite.surveys import store as storing
from theodolite.surveys.farm import Errand, farm
from theodolite.surveys.groups import Group, Tell, Unit
from theodolite.surveys.journal import Journal
from theodolite.surveys.plan import Plan
from theodolite.surveys.pools import HERE, Engine
from theodolite.surveys.store import Store, statuses
from theodolite.surveys.units import (
    UNIT_FAILURES,
    Overdue,
    Progress,
    Watch,
    Work,
    counted,
    described,
    earlier,
    fail,
    finish,
    late,
    opened,
    save,
    todo,
)

__all__ = ["Outcome", "Progress", "Watch", "execute"]


@dataclass(frozen=True)
class Outcome:
    """What a run did: units computed now, units failed in all, units left, and why it stopped."""

    computed: int
    failed: int
    left: int
    stopped: str


def execute(
    plan: Plan,
    target: Any,
    store: Store,
    journal: Journal,
    *,
    time_budget: float | int | None = None,
    retry_failed: bool = False,
    watch: Watch | None = None,
    engine: Engine = HERE,
    errand: Errand | None = None,
    only: Mapping[str, Collection[int]] | None = None,
) -> Outcome:
    """Compute every unit that is not marked done and save each as soon as it is.

    Stopped at any moment, even by SIGKILL, and called again, it ends with the same bytes as if
    it had never been stopped, and no saved unit is computed again. A unit that raises is marked
    failed with its reason and the others go on; ``retry_failed`` computes such units again.
    After ``time_budget`` seconds no unit is begun, but one is computed in any run. ``engine``
    says by whom: here in order, or by worker processes, which are given ``errand``, in any order
    and to the same bytes. ``only`` keeps to some units of each group. Raises `StorageError` when
    something cannot be saved, with how many units are safe.
    """
    deadline = None if time_budget is None else time.monotonic() + time_budget
    pending = {g.name: todo(store, g, retry_failed) for g in plan.groups}
    if only is not None:
        pending = {k: [u for u in units if u in only.get(k, ())] for k, units in pending.items()}
    work = Work(plan, target, store, journal, watch or (lambda _: None), deadline, pending)
    left = sum(map(len, pending.values()))
    try:
        layout = {"groups": [g.name for g in plan.groups], "units": [g.units for g in plan.groups]}
        storing.write_facts(store, "", layout)
        if engine.farms and left:
            assert errand is not None
            computed = farm(work, engine, errand)
        else:
            computed = sequence(work, engine.workers > 0)
    except StorageError as error:
        raise counted(error, plan, store) from error
    failed = sum(int((statuses(store, g) == FAILED).sum()) for g in plan.groups)
    return Outcome(computed, failed, left - computed, "time budget" if left > computed else "done")


def sequence(work: Work, computing: bool = True) -> int:
    """Compute the pending units here, in order; returns how many, fewer when the time was up.

    Without `computing` groups are only prepared, and finished where they are complete.
    """
    computed = 0
    for k, group in enumerate(work.plan.groups):
        later = [(g.passes, len(work.pending[g.name])) for g in work.plan.groups[k + 1 :]]
        units = work.pending[group.name]
        if units and not computing:
            storing.prepare(work.store, group)
            continue
        done = run_group(
            work, group, units, sum((p * n for p, n in later), 0.0), first=computed == 0
        )
        computed += done
        if done < len(units):
            break
    return computed


def run_group(work: Work, group: Group, units: list[int], later: float, *, first: bool) -> int:
    """Compute the given units of a group; returns how many, fewer when the time was up."""
    began = time.monotonic()
    storing.prepare(work.store, group)
    work.watch(progress(group, units, 0, began, later))
    if units:
        compute, trouble = opened(group, work.target, earlier(work.store, group))
    for count, unit in enumerate(units):
        expected = (time.monotonic() - began) / count if count else 0.0
        if late(work.deadline, expected) and not (first and count == 0):
            return count
        tell = telling(work, group, units, count, (began, later), spared=first and count == 0)
        try:
            failure = trouble or run_unit(work, group, unit, compute, tell)
        except Overdue:
            return count
        if trouble:
            fail(work, group, unit, trouble)
        work.watch(progress(group, units, count + 1, began, later, failure))
    finish(work.store, group)
    return len(units)


def telling(
    work: Work,
    group: Group,
    units: list[int],
    count: int,
    clock: tuple[float, float],
    *,
    spared: bool,
) -> Tell:
    """How a long unit says how far it is; once the time is up it is ended, unless `spared`.

    The first unit of a run is spared, so that runs of any time budget get on.
    """
    began, later = clock
    stage = progress(group, units, count, began, later)

    def tell(words: str) -> None:
        if late(work.deadline, 0.0) and not spared:
            raise Overdue
        work.watch(replace(stage, seconds=time.monotonic() - began, within=words))

    return tell


def run_unit(work: Work, group: Group, unit: int, compute: Unit, tell: Tell) -> str:
    """Compute and save one unit; returns why it failed, or an empty text."""
    began = time.monotonic()
    try:
        result = compute(unit, tell) if group.told else compute(unit)
    except UNIT_FAILURES as error:
        fail(work, group, unit, described(error))
        return described(error)
    save(work, group, unit, result, began)
    return ""


def progress(
    group: Group, units: list[int], count: int, began: float, later: float, failed: str = ""
) -> Progress:
    """The state after `count` of the given units; `later` is the cost of the groups after it."""
    done = group.units - len(units) + count
    left = later + (len(units) - count) * group.passes
    spent = time.monotonic() - began
    return Progress(group.name, group.measure, done, group.units, count, spent, left, failed)
