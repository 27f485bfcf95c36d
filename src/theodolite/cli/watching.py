"""Progress on stderr: bars with a rate and the time left, or one line a stage."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from theodolite.cli import terminal
from theodolite.cli.durations import clock
from theodolite.surveys.execution import Progress as State
from theodolite.surveys.execution import Watch
from theodolite.surveys.plan import Plan

Advance = Callable[[str, float], None]
"""Tells how far a stage of several is, as a fraction."""

NOUNS = {"planes": "rows", "lines": "lines"}

PATIENCE = 5.0
"""Seconds after which a target that is still being made is named."""

EVERY = 15.0
"""Seconds between two lines of a log on how far one long unit is."""


@contextmanager
def slow_target(name: str | None) -> Iterator[None]:
    """A word when the target's own code takes long: it may train, and says nothing itself."""
    line = f"Target   {name} is being made: its own code is running"
    timer = threading.Timer(PATIENCE, terminal.say, [line])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextmanager
def watching(plan: Plan) -> Iterator[Watch]:
    """A watcher of `execute` for people, or for a log where nobody watches."""
    if terminal.interactive():
        with bars(plan) as watch:
            yield watch
    else:
        yield stages(plan)


def stages(plan: Plan) -> Watch:
    """One line when all groups of a measure are through."""
    done: dict[str, int] = {}
    spent: dict[str, float] = {}
    failed: dict[str, int] = {}
    made: dict[str, bool] = {}
    totals = measure_units(plan)
    said: set[str] = set()
    now_and_then = throttled()

    def watch(state: State) -> None:
        if state.within:
            now_and_then(f"{state.measure:12} {state.within}")
            return
        done[state.group] = state.done
        spent[state.group] = state.seconds
        failed[state.measure] = failed.get(state.measure, 0) + bool(state.failed)
        made[state.measure] = made.get(state.measure, False) or state.computed > 0
        names = [g.name for g in plan.groups if g.measure == state.measure]
        complete = sum(done.get(n, 0) for n in names)
        if complete == totals[state.measure] and state.measure not in said:
            said.add(state.measure)
            seconds = sum(spent.get(n, 0.0) for n in names)
            noun = NOUNS.get(state.measure, "done")
            lost = f", {failed[state.measure]} failed" if failed[state.measure] else ""
            how = f"{seconds:.1f} s" if made.get(state.measure) else "saved before"
            terminal.say(f"{state.measure:12} {complete} {noun}  {how}{lost}")
        elif state.computed:
            now_and_then(f"{state.measure:12} {complete} of {totals[state.measure]} done")

    return watch


def throttled() -> Callable[[str], None]:
    """Says a line if the last one was said a while ago; the first one after that while."""
    last = [time.monotonic()]

    def say(line: str) -> None:
        if time.monotonic() - last[0] >= EVERY:
            last[0] = time.monotonic()
            terminal.say(line)

    return say


def measure_units(plan: Plan) -> dict[str, int]:
    totals: dict[str, int] = {}
    for group in plan.groups:
        totals[group.measure] = totals.get(group.measure, 0) + group.units
    return totals


@contextmanager
def bars(plan: Plan) -> Iterator[Watch]:
    """One bar a measure, and the time left of the whole."""
    with Progress(
        TextColumn("{task.description:12}"),
        BarColumn(bar_width=28),
        TextColumn("{task.percentage:>3.0f} %"),
        MofNCompleteColumn(),
        TextColumn("{task.fields[noun]}"),
        TextColumn("{task.fields[note]}"),
        console=terminal.console(),
    ) as progress:
        yield bar_watch(plan, progress)


def bar_watch(plan: Plan, progress: Progress) -> Watch:
    """Moves the bars; the time left is the cost left at the speed so far."""
    tasks: dict[str, TaskID] = {}
    done: dict[str, int] = {}
    totals = measure_units(plan)
    left = time_left()

    def watch(state: State) -> None:
        done[state.group] = state.done
        if state.measure not in tasks:
            noun = NOUNS.get(state.measure, "")
            tasks[state.measure] = progress.add_task(
                state.measure, total=totals[state.measure], noun=noun, note=""
            )
        names = [g.name for g in plan.groups if g.measure == state.measure]
        complete = sum(done.get(n, 0) for n in names)
        if state.within:
            progress.update(tasks[state.measure], note=state.within)
            return
        rate = state.computed / state.seconds if state.seconds > 0 and state.computed else 0.0
        note = f"{rate:.2g}/s  ETA {clock(left(state.passes_left))}" if rate else ""
        if complete == totals[state.measure]:
            note = ""
        progress.update(tasks[state.measure], completed=complete, note=note)

    return watch


def time_left() -> Callable[[float], float]:
    """Seconds left for so many passes, from how many were made since the first call."""
    first: list[tuple[float, float]] = []

    def seconds(passes_left: float) -> float:
        now = time.monotonic()
        if not first:
            first.append((now, passes_left))
        made = first[0][1] - passes_left
        return (now - first[0][0]) * passes_left / made if made > 0 else float("inf")

    return seconds


@contextmanager
def whole(stages: Mapping[str, float]) -> Iterator[Advance]:
    """One clock over several stages of known cost: a bar, or a line for each stage that ends."""
    if not terminal.interactive():
        yield ended_stages(stages)
        return
    with Progress(
        TextColumn("{task.description:16}"),
        BarColumn(bar_width=36),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[note]}"),
        console=terminal.console(),
    ) as progress:
        yield moving(stages, progress)


def ended_stages(stages: Mapping[str, float]) -> Advance:
    began, ended = time.monotonic(), set[str]()

    def advance(stage: str, fraction: float) -> None:
        if fraction >= 1.0 and stage not in ended:
            ended.add(stage)
            terminal.say(f"{stage:16} done  {time.monotonic() - began:.1f} s")

    return advance


def moving(stages: Mapping[str, float], progress: Progress) -> Advance:
    """Moves one bar by the cost done; the time left is the cost left at the speed so far."""
    total = sum(stages.values())
    task = progress.add_task("", total=total, note="")
    parts = dict.fromkeys(stages, 0.0)
    left = time_left()
    left(total)

    def advance(stage: str, fraction: float) -> None:
        parts[stage] = max(parts[stage], min(fraction, 1.0))
        done = sum(stages[s] * parts[s] for s in stages)
        note = f"ETA {clock(left(total - done))}" if done < total else ""
        progress.update(task, completed=done, description=stage, note=note)

    return advance
