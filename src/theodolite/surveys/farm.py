"""Units given to worker processes and saved here, in whatever order they come back."""

from __future__ import annotations

import time
import warnings
from collections import deque
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass, field

from theodolite.errors import TheodoliteError, TheodoliteWarning
from theodolite.surveys import store as storing
from theodolite.surveys.groups import Group
from theodolite.surveys.pools import Engine, Pool, pool_of
from theodolite.surveys.units import Progress, Work, described, earlier, fail, finish, late, save
from theodolite.surveys.workers import Answer, Errand, compute

__all__ = ["Errand", "farm"]

DIED = "its worker process died twice: killed, out of memory, or crashed"

HOPELESS = 3
"""After so many units whose workers died, and none that came back, the run is given up."""

Item = tuple[Group, int]


@dataclass(eq=False)
class Field:
    """The state of a farm: units waiting, units to be tried alone, units being computed."""

    waiting: deque[Item]
    suspects: deque[Item] = field(default_factory=deque)
    flying: dict[Future[Answer], Item] = field(default_factory=dict)
    alone: bool = False
    begun: set[str] = field(default_factory=set)
    settled: dict[str, int] = field(default_factory=dict)
    busy: dict[str, float] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    computed: int = 0
    deaths: int = 0


def farm(work: Work, engine: Engine, errand: Errand) -> int:
    """Compute the pending units by an engine's workers; returns how many were settled.

    Only this process writes. Every worker is given one unit at a time, so one that dies costs
    that unit, which is tried again alone: marked failed if its worker dies then as well. Raises
    `TheodoliteError` (E-N10) where workers die whatever they are given, where the cluster is lost
    (E-N05), and what building the target in a worker raises.
    """
    state = Field(deque((g, u) for g in work.plan.groups for u in work.pending[g.name]))
    for group in work.plan.groups:
        if not work.pending[group.name]:
            begin(work, state, group, engine)
            finish(work.store, group)
    pool = pool_of(engine)
    lost: tuple[type[BaseException], ...] = (CancelledError, *pool.gone)
    try:
        while True:
            hand_out(work, state, engine, errand, pool)
            if not state.flying:
                return state.computed
            wait(state.flying, return_when=FIRST_COMPLETED)
            gather(work, state, engine, pool)
    except lost as error:
        raise TheodoliteError(
            f"all {engine.backend} workers were lost: {described(error)}",
            why="their scheduler has ended or cannot be reached; what came back is saved.",
            fix="start it again, then theodolite resume RUN; --backend loky needs no server.",
            code="E-N05",
        ) from error
    finally:
        pool.close()


def hand_out(work: Work, state: Field, engine: Engine, errand: Errand, pool: Pool) -> None:
    """Keep the workers busy, or one of them with a suspect; nothing after the deadline."""
    while not state.alone:
        if state.suspects and state.flying:
            return
        source = state.suspects or state.waiting
        if len(state.flying) >= engine.workers or not source:
            return
        group, unit = source[0]
        counts = state.settled.get(group.name, 0)
        expected = state.busy.get(group.name, 0.0) / counts if counts else 0.0
        first = not state.computed and not state.flying
        if late(work.deadline, expected) and not first:
            return
        if waits(state, group):
            return
        if group.name not in state.begun:
            begin(work, state, group, engine)
        state.alone = bool(state.suspects)
        source.popleft()
        saved = earlier(work.store, group)
        known = () if saved is None else (saved,)
        state.flying[pool.submit(compute, errand, group.name, unit, *known)] = (group, unit)


def waits(state: Field, group: Group) -> bool:
    """Whether a group that gathers others has one of them at work: anew it would cost too much."""
    gathered = group.after if isinstance(group.after, tuple) else ()
    return any(g.name in gathered for g, _ in state.flying.values())


def gather(work: Work, state: Field, engine: Engine, pool: Pool) -> None:
    """Save what has come back, numbers first, and note the units whose workers died."""
    lost: list[Item] = []
    alone = state.alone
    done = [f for f in state.flying if f.done()]
    for future in sorted(done, key=lambda f: f.cancelled() or bool(f.exception())):
        try:
            answer = future.result()
        except pool.dead:
            lost.append(state.flying.pop(future))
            continue
        settle(work, state, engine, state.flying.pop(future), answer)
    if not state.flying:
        state.alone = False
    if lost:
        work.journal.record("worker died", units=[[g.name, u] for g, u in lost], alone=alone)
        bury(work, state, engine, lost, alone)


def bury(work: Work, state: Field, engine: Engine, lost: list[Item], alone: bool) -> None:
    """Try the units of dead workers again one at a time; mark failed what died alone."""
    if not alone:
        order = {g.name: k for k, g in enumerate(work.plan.groups)}
        state.suspects.extend(sorted(lost, key=lambda item: (order[item[0].name], item[1])))
        return
    state.deaths += 1
    if state.deaths >= HOPELESS and state.computed == state.deaths - 1:
        raise TheodoliteError(
            f"workers died on each of the first {HOPELESS} units they were given.",
            where=", ".join(f"unit {u} of {g.name}" for g, u in lost),
            why="there may be too little memory for so many copies of the target.",
            fix="use fewer with --n-jobs, and --retry-failed for the first of them; --dry-run "
            "prints the memory of each.",
            code="E-N10",
        )
    for item in lost:
        settle(work, state, engine, item, Answer(None, DIED, 0.0))


def begin(work: Work, state: Field, group: Group, engine: Engine) -> None:
    """Create a group's arrays and tell the watcher."""
    state.begun.add(group.name)
    storing.prepare(work.store, group)
    work.watch(progress(work, state, group, engine))


def settle(work: Work, state: Field, engine: Engine, item: Item, answer: Answer) -> None:
    """Record a unit that came back or is given up, and finish its group with its last unit."""
    group, unit = item
    name = group.name
    for note in answer.notes:
        if note not in state.told:
            state.told.add(note)
            warnings.warn(TheodoliteWarning(note), stacklevel=2)
    if answer.result is None:
        fail(work, group, unit, answer.failure)
    else:
        save(work, group, unit, answer.result, time.monotonic() - answer.seconds)
    state.computed += 1
    state.settled[name] = state.settled.get(name, 0) + 1
    state.busy[name] = state.busy.get(name, 0.0) + answer.seconds
    if state.settled[name] == len(work.pending[name]):
        finish(work.store, group)
    work.watch(progress(work, state, group, engine, answer.failure))


def progress(work: Work, state: Field, group: Group, engine: Engine, failed: str = "") -> Progress:
    """Where the group stands, and what is left of everything."""
    count = state.settled.get(group.name, 0)
    done = group.units - len(work.pending[group.name]) + count
    left = sum(
        (len(work.pending[g.name]) - state.settled.get(g.name, 0)) * g.passes
        for g in work.plan.groups
    )
    spent = state.busy.get(group.name, 0.0) / engine.workers
    return Progress(group.name, group.measure, done, group.units, count, spent, float(left), failed)
