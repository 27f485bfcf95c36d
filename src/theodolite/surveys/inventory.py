"""What a run folder holds and what is missing, without torch and without its target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from theodolite.errors import StorageError
from theodolite.results import FAILED, OK, TODO
from theodolite.surveys.durable import naming
from theodolite.surveys.eta import pace, seconds_left
from theodolite.surveys.folder import recorded
from theodolite.surveys.journal import read_journal
from theodolite.surveys.lock import lock_holder
from theodolite.surveys.reading import reading_store
from theodolite.surveys.sharding import Shard, shard_folders, shard_units
from theodolite.surveys.store import MARK, Store, readable


@dataclass(frozen=True)
class Holding:
    """How many units of a group are done, failed and left."""

    group: str
    units: int
    done: int
    failed: int

    @property
    def left(self) -> int:
        return self.units - self.done - self.failed


@dataclass(frozen=True)
class ShardState:
    """A shard of a run: its own units, those that it holds, and the seconds it still needs.

    ``seconds_left`` is None where nothing can tell yet; ``begun`` is False where the shard has no
    folder, though others of as many parts have.
    """

    shard: str
    begun: bool
    units: int
    done: int
    failed: int
    left: int
    writer: dict[str, Any]
    seconds_left: float | None


@dataclass(frozen=True)
class Inventory:
    """A run folder's state; ``writer`` names the process that writes it now, if one does.

    ``holdings`` count what the run or any of its shards holds; ``unmerged`` of their units are
    held by shards only. ``seconds_left`` is the longest time that any shard still needs, or the
    run if it has none, and None where the logs cannot tell.
    """

    path: Path
    target: str
    model: str
    holdings: tuple[Holding, ...]
    writer: dict[str, Any]
    seconds: float
    shards: tuple[ShardState, ...] = ()
    unmerged: int = 0
    seconds_left: float | None = None

    @property
    def left(self) -> int:
        return sum(h.left for h in self.holdings)

    @property
    def failed(self) -> int:
        return sum(h.failed for h in self.holdings)


def inventory(folder: str | Path) -> Inventory:
    """The state of a run folder; raises `StorageError` when it holds no run (E-K07)."""
    path = Path(folder)
    shards = shard_folders(path)
    places = [path, *(place for _, place in shards)]
    records = [r for r in map(recorded, places) if r is not None]
    if not records:
        raise StorageError(
            f"{path} holds no run.",
            why="a run folder has a provenance.json inside."
            if path.exists()
            else "no such folder.",
            fix="pass the folder given to -o when the survey was made.",
            code="E-K07",
        )
    stores = {p: reading_store(p / "results.zarr") for p in places if begun(p)}
    root: dict[str, Any] = next((dict(s.root.attrs) for s in stores.values()), {})
    sizes = dict(zip(root.get("groups", []), root.get("units", []), strict=True))
    marks = {p: {n: marked(s, n, c) for n, c in sizes.items()} for p, s in stores.items()}
    best = {n: together([m[n] for m in marks.values()]) for n in sizes}
    holdings = tuple(holding(n, best[n]) for n in sizes)
    own = marks.get(path, {n: np.zeros(c, np.uint8) for n, c in sizes.items()})
    unmerged = sum(int(((best[n] != TODO) & (own[n] == TODO)).sum()) for n in sizes)
    states = shard_states(path, shards, best, marks)
    waits = [s.seconds_left for s in states if s.left] if states else [waiting(path, best)]
    spent = sum(s.get("wall_seconds", 0.0) for r in records for s in r.get("stretches", []))
    return Inventory(
        path,
        str(root.get("target", "")),
        str(root.get("model", "")),
        holdings,
        lock_holder(path),
        float(spent),
        states,
        unmerged,
        longest(waits),
    )


def begun(place: Path) -> bool:
    """Whether a folder has a store whose plan is known."""
    file = place / "results.zarr" / "zarr.json"
    return file.exists() and "groups" in reading_store(place / "results.zarr").root.attrs


def longest(waits: Sequence[float | None]) -> float | None:
    """The longest of some times; None where one of them is not known."""
    known = [w for w in waits if w is not None]
    return max(known, default=0.0) if len(known) == len(waits) else None


def shard_states(
    path: Path,
    shards: Sequence[tuple[Shard, Path]],
    best: Mapping[str, np.ndarray],
    marks: Mapping[Path, Mapping[str, np.ndarray]],
) -> tuple[ShardState, ...]:
    """Every shard there is, and those that are missing where others of as many parts are there."""
    places = dict(shards)
    parts = sorted({shard.parts for shard in places})
    names, counts = list(best), [len(m) for m in best.values()]
    return tuple(
        shard_state(
            Shard(k, n),
            places.get(Shard(k, n)),
            shard_units(names, counts, Shard(k, n)),
            best,
            marks,
            [place for _, place in shards],
        )
        for n in parts
        for k in range(1, n + 1)
    )


def shard_state(
    shard: Shard,
    place: Path | None,
    own: Mapping[str, set[int]],
    best: Mapping[str, np.ndarray],
    marks: Mapping[Path, Mapping[str, np.ndarray]],
    everywhere: Sequence[Path],
) -> ShardState:
    """What one shard holds; its pace is its own, or that of all shards where it has none."""
    held = marks.get(place, {}) if place is not None else {}
    done = sum(int((held[n][sorted(own[n])] == OK).sum()) for n in held)
    failed = sum(int((held[n][sorted(own[n])] == FAILED).sum()) for n in held)
    left = {n: int((best[n][sorted(own[n])] == TODO).sum()) for n in best}
    wait = None
    for logs in ([place] if place is not None else [], everywhere):
        if wait is None:
            found = [r for p in logs for r in read_journal(p / "log.jsonl")]
            wait = seconds_left(left, pace(found))
    holder = lock_holder(place) if place is not None else {}
    units = sum(map(len, own.values()))
    name = str(shard)
    return ShardState(
        name, place is not None, units, done, failed, sum(left.values()), holder, wait
    )


def waiting(path: Path, marks: Mapping[str, np.ndarray]) -> float | None:
    """Seconds that a run without shards still needs."""
    left = {n: int((m == TODO).sum()) for n, m in marks.items()}
    return seconds_left(left, pace(read_journal(path / "log.jsonl"))) if left else None


def together(marks: Sequence[np.ndarray]) -> np.ndarray:
    """The best that is known of every unit: its numbers, else that it failed, else nothing."""
    found = np.full_like(marks[0], TODO)
    for wanted in (FAILED, OK):
        for each in marks:
            found[each == wanted] = wanted
    return found


def marked(store: Store, name: str, units: int) -> np.ndarray:
    """The mark of every unit of a group; zeros where it was not begun."""
    key = f"{name}/{MARK}"
    if key not in store.root:
        return np.full(units, TODO, np.uint8)
    with naming(store.where(name), "reading"), readable(store.where(key)):
        return np.asarray(store.root[key][...], np.uint8)  # type: ignore[index]


def holding(name: str, marks: np.ndarray) -> Holding:
    """The state of one group."""
    return Holding(name, len(marks), int((marks == OK).sum()), int((marks == FAILED).sum()))
