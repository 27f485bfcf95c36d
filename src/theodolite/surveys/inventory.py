"""What a run folder holds and what is missing, without torch and without its target."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from theodolite.errors import StorageError
from theodolite.results import FAILED, OK
from theodolite.surveys.durable import naming
from theodolite.surveys.folder import recorded
from theodolite.surveys.lock import lock_holder
from theodolite.surveys.reading import reading_store
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
class Inventory:
    """A run folder's state; ``writer`` names the process that writes it now, if one does."""

    path: Path
    target: str
    model: str
    holdings: tuple[Holding, ...]
    writer: dict[str, Any]
    seconds: float

    @property
    def left(self) -> int:
        return sum(h.left for h in self.holdings)

    @property
    def failed(self) -> int:
        return sum(h.failed for h in self.holdings)


def inventory(folder: str | Path) -> Inventory:
    """The state of a run folder; raises `StorageError` when it holds no run (E-K07)."""
    path = Path(folder)
    record = recorded(path)
    if record is None:
        raise StorageError(
            f"{path} holds no run.",
            why="a run folder has a provenance.json inside."
            if path.exists()
            else "no such folder.",
            fix="pass the folder given to -o when the survey was made.",
            code="E-K07",
        )
    root: dict[str, Any] = {}
    holdings: list[Holding] = []
    if (path / "results.zarr" / "zarr.json").exists():
        store = reading_store(path / "results.zarr")
        root = dict(store.root.attrs)
        pairs = zip(root.get("groups", []), root.get("units", []), strict=True)
        holdings = [holding(store, name, units) for name, units in pairs]
    spent = sum(s.get("wall_seconds", 0.0) for s in record.get("stretches", []))
    model, target = str(root.get("model", "")), str(root.get("target", ""))
    return Inventory(path, target, model, tuple(holdings), lock_holder(path), float(spent))


def holding(store: Store, name: str, units: int) -> Holding:
    """The state of one group."""
    key = f"{name}/{MARK}"
    if key not in store.root:
        return Holding(name, units, 0, 0)
    with naming(store.where(name), "reading"), readable(store.where(key)):
        marks = np.asarray(store.root[key][...])  # type: ignore[index]
    return Holding(name, units, int((marks == OK).sum()), int((marks == FAILED).sum()))
