"""Units of shards, copied into the run's own store: the bytes of a run made in one go."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr

from theodolite.errors import RunMismatch, StorageError, TheodoliteWarning
from theodolite.results import FAILED, OK, TODO
from theodolite.surveys import store as storing
from theodolite.surveys.durable import naming
from theodolite.surveys.folder import Run, continued, recorded
from theodolite.surveys.groups import Group
from theodolite.surveys.identity import refuse_mismatch
from theodolite.surveys.integrity import damaged_units
from theodolite.surveys.later_settings import grown
from theodolite.surveys.plan import Plan
from theodolite.surveys.provenance import changed_environment
from theodolite.surveys.reading import read_array, reading_store
from theodolite.surveys.sharding import Shard, shard_folders, shard_units
from theodolite.surveys.store import MARK, Store, readable, statuses


def stores(
    path: Path, identity: Mapping[str, Any], but: Shard | None = None
) -> dict[str, tuple[Store, dict[str, Any]]]:
    """The shards of the run at `path`, open for reading, with what they record about themselves.

    Raises `RunMismatch` where one was made with another configuration, checkpoint or data; `but`
    is left out.
    """
    found = {}
    for shard, folder in shard_folders(path):
        record = recorded(folder) if shard != but else None
        if record is not None and (folder / "results.zarr" / "zarr.json").exists():
            try:
                refuse_mismatch(folder, grown(record["identity"], identity, folder), identity)
            except RunMismatch as error:
                error.fix = (
                    "pass another -o to keep both, or delete that folder if it is of no use."
                )
                raise
            found[shard.name] = (reading_store(folder / "results.zarr"), record)
    return found


def own_units(
    path: Path, plan: Plan, identity: Mapping[str, Any], shard: Shard
) -> dict[str, set[int]]:
    """The units of a shard that neither the run at `path` nor another of its shards has.

    A unit of theirs that cannot be read counts as one they have not.
    """
    continued(path, identity)
    names, counts = [g.name for g in plan.groups], [g.units for g in plan.groups]
    found = shard_units(names, counts, shard)
    others = [s for s, _ in stores(path, identity, but=shard).values()]
    if (path / "results.zarr" / "zarr.json").exists():
        others.append(reading_store(path / "results.zarr"))
    for store in others:
        for group in plan.groups:
            held = marks(store, group, repair=True) == OK
            found[group.name] -= set(np.flatnonzero(held).tolist())
    return found


def marks(store: Store, group: Group, *, repair: bool) -> np.ndarray:
    """The mark of every unit; with `repair` "not computed" where it cannot be read back."""
    try:
        return statuses(store, group)
    except StorageError as error:
        if error.code != "E-K06" or not repair:
            raise
    each: Any = store.root[f"{group.name}/{MARK}"]
    bad = damaged_units(store, group)
    return np.array([TODO if u in bad else int(each[u]) for u in range(group.units)], np.uint8)


def merge(run: Run, plan: Plan, identity: Mapping[str, Any], *, repair: bool = False) -> int:
    """Copy what the shards of a run hold and the run does not; returns how many units.

    Shards are read in a fixed order and may be at work meanwhile: a unit is there once its mark
    is. A failed unit is copied as failed unless another shard has its numbers. Raises
    `RunMismatch` for a shard of another run, and `StorageError` for a damaged one (E-K06); with
    `repair` damaged units are left to be computed again.
    """
    if run.path is None:
        return 0
    copied = 0
    held: dict[str, Mapping[str, Any]] = {}
    for name, (store, record) in stores(run.path, identity).items():
        units = sum(merged_group(run.store, store, g, repair=repair) for g in plan.groups)
        if units:
            run.journal.record("merge", shard=name, units=units, host=record["machine"]["host"])
        if any((marks(store, g, repair=repair) == OK).any() for g in plan.groups):
            held[name] = record
        copied += units
    for name, made in held.items() if copied else ():
        warn_difference(name, changed_environment(next(iter(held.values())), made))
    return copied


def warn_difference(name: str, changes: Sequence[str]) -> None:
    """Warn where shards were computed by other versions, or on other numbers of threads."""
    if changes:
        warnings.warn(
            TheodoliteWarning(
                f"shard {name} was computed with {', '.join(changes)}, unlike the shards before "
                "it; its numbers may differ in their last digits."
            ),
            stacklevel=4,
        )


def merged_group(main: Store, shard: Store, group: Group, *, repair: bool) -> int:
    """Copy one group's units, sound ones only."""
    if f"{group.name}/{MARK}" not in shard.root:
        return 0
    here, there = statuses(main, group), marks(shard, group, repair=repair)
    ready = np.flatnonzero((here != OK) & (there == OK)).tolist()
    lost = np.flatnonzero((here == TODO) & (there == FAILED)).tolist()
    if ready or lost:
        storing.prepare(main, group)
    damaged = damaged_units(shard, group) if ready else {}
    bad = [u for u in ready if u in damaged]
    if bad and not repair:
        raise StorageError(
            f"{shard.where(group.name)} is damaged: {damaged[bad[0]]}.",
            why="the bytes on disk are not those that were written.",
            fix="theodolite resume RUN --repair leaves them out and computes them again.",
            code="E-K06",
        )
    for unit in ready:
        if unit not in bad:
            storing.write_unit(main, group, unit, unit_of(shard, group, unit))
    reasons = json.loads(str(shard.root[group.name].attrs.get("failures", "{}")))
    for unit in lost:
        storing.write_failure(main, group, unit, reasons.get(str(unit), "no reason recorded"))
    return len(ready) - len(bad) + len(lost)


def unit_of(store: Store, group: Group, unit: int) -> xr.Dataset:
    """One unit as it was computed: its slice of every array, and the group's attributes."""
    node = store.root[group.name]
    assert isinstance(node, zarr.Group)
    variables: dict[str, xr.Variable] = {}
    for name, array in sorted(node.arrays()):
        if name == MARK or name in group.coords:
            continue
        if group.along is None:
            variables[name] = read_array(store, group.name, name, array)
            continue
        with naming(store.where(group.name, name), "reading"), readable(store.where(group.name)):
            values = np.asarray(array[unit : unit + 1])
        dims = tuple(str(d) for d in getattr(array.metadata, "dimension_names", None) or ())
        variables[name] = xr.Variable(dims, values, {str(k): v for k, v in array.attrs.items()})
    attrs = {str(k): v for k, v in node.attrs.items() if k != "failures"}
    return xr.Dataset(variables, attrs=attrs)
