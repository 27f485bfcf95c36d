"""What a worker process does: build the target once, open a group once, compute units.

A worker is given the target's name and the checkpoint's path, never a pickled model.
"""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
import traceback
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xarray as xr

from theodolite.errors import NotDeterministic, RunMismatch, TheodoliteError, TheodoliteWarning
from theodolite.surveys.configuration import Configuration
from theodolite.surveys.identity import differences
from theodolite.surveys.pools import attached, deaf
from theodolite.surveys.units import UNIT_FAILURES, described, opened

INSIDE = "THEODOLITE_WORKER"
"""Set in the environment of a worker: a survey there may not start workers of its own."""

_KEPT: dict[str, Any] = {}
"""This process's target, and the one group it has open."""

_ONE = threading.Lock()
"""A worker with several threads computes one unit at a time: they share a model."""


@dataclass(frozen=True)
class Errand:
    """What every unit needs: the configuration, what it must amount to, and on how many threads.

    ``name`` tells one run's errands from another's in a worker that outlives a run. ``parent`` is
    the process that asks and its machine; a worker on that machine ends when it does.
    """

    name: str
    configuration: Configuration
    identity: Mapping[str, Any]
    threads: int
    parent: tuple[int, str]
    path: tuple[str, ...] = ()


@dataclass(frozen=True)
class Answer:
    """A unit's result, or why there is none; the seconds it took and the warnings it gave."""

    result: xr.Dataset | None
    failure: str
    seconds: float
    notes: tuple[str, ...] = ()


def errand_of(configuration: Configuration, identity: Mapping[str, Any], threads: int) -> Errand:
    """This process's errand for its workers."""
    parent = (os.getpid(), platform.node())
    path = (str(Path.cwd()), *sys.path)
    return Errand(uuid.uuid4().hex, configuration, identity, threads, parent, path)


def compute(errand: Errand, group: str, unit: int, earlier: Any = None) -> Answer:
    """Compute one unit of a group; what the unit raises is in the answer.

    `earlier` is what the group can take up (`units.earlier`).

    What building the target raises is raised here, as an error of ours, and `NotDeterministic`
    (E-N06) where the target built here is not the one the survey began with.
    """
    with carried(), _ONE, warnings.catch_warnings(record=True) as caught, threads(errand.threads):
        warnings.simplefilter("always", TheodoliteWarning)
        prepared(errand)
        began = time.monotonic()
        open_group(group, earlier)
        function, trouble = _KEPT["open"]
        result = None
        if not trouble:
            try:
                result = function(unit)
            except UNIT_FAILURES as error:
                trouble = described(error)
        seconds = time.monotonic() - began
    notes = (str(w.message) for w in caught if issubclass(w.category, TheodoliteWarning))
    return Answer(result, trouble, seconds, tuple(notes))


@contextmanager
def carried() -> Iterator[None]:
    """Raise as an error of ours what may not survive the way to the parent.

    A class of the target's file need not exist there, nor take the arguments it would be made
    from: the parent could not read the answer, and would take it for the death of the worker.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, Exception) and not isinstance(error, TheodoliteError):
            raise foreign(error) from None
        raise


def foreign(error: Exception) -> TheodoliteError:
    """An error of the target's code as one of ours."""
    frames = traceback.extract_tb(error.__traceback__)
    return TheodoliteError(
        f"a worker failed: {described(error)}",
        where=f"{frames[-1].filename}, line {frames[-1].lineno}",
        why="the code of the target raised it.",
        fix="correct it there and run the command again; --n-jobs 1 --debug shows the traceback.",
        code="E-S23",
    )


@contextmanager
def threads(count: int | None) -> Iterator[int]:
    """Let torch use `count` threads from here; as before afterwards. Yields the number in use."""
    before = torch.get_num_threads()
    if count is not None and count != before:
        torch.set_num_threads(count)
    try:
        yield torch.get_num_threads()
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


def prepared(errand: Errand) -> None:
    """Build the target once a process; a worker that served another run forgets that one."""
    from theodolite.surveys.rebuilding import rebuilt
    from theodolite.surveys.surveying import identified, planned

    if _KEPT.get("name") == errand.name:
        return
    _KEPT.clear()
    os.environ[INSIDE] = "1"
    leave_with(errand.parent)
    target = rebuilt(errand.configuration, errand.path)
    found = differences(errand.identity, identified(target, errand.configuration))
    if found:
        raise NotDeterministic(
            f"the target built in a worker is another one than the survey's: {'; '.join(found)}.",
            why="its factory gives other weights or data when it is called again.",
            fix="seed it, or let it load weights from a file; --n-jobs 1 builds it only once.",
            code="E-N06",
        )
    plan = planned(target, errand.configuration)
    _KEPT.update(name=errand.name, target=target, groups={g.name: g for g in plan.groups})


def open_group(name: str, earlier: Any = None) -> None:
    """Have this group open and no other: at most one group's directions are held."""
    if _KEPT.get("group") != name:
        _KEPT.pop("open", None)
        _KEPT["open"] = opened(_KEPT["groups"][name], _KEPT["target"], earlier)
        _KEPT["group"] = name


def leave_with(parent: tuple[int, str]) -> None:
    """End this process when `parent` has started it and is gone; leave Ctrl-C to the parent."""
    pid, host = parent
    deaf()
    if host == platform.node() and os.getppid() == pid:
        attached(pid)


def refuse_inside() -> None:
    """Raise when this process is a worker itself: each would start workers of its own."""
    if os.environ.get(INSIDE):
        raise RunMismatch(
            "a worker process was asked to start workers.",
            why="the file of the target runs a survey when it is imported.",
            fix='put that call under: if __name__ == "__main__":',
            code="E-N07",
        )
