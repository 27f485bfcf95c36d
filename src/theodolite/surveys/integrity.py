"""Whether what a store marks as done is there and is what was written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr
import zarr

from theodolite.errors import StorageError
from theodolite.results import OK, TODO
from theodolite.surveys.durable import naming
from theodolite.surveys.groups import Group
from theodolite.surveys.store import MARK, Store, chunk_path, mark, readable


def chunks_of(
    node: zarr.Group, along: str, unit: int
) -> Iterator[tuple[str, zarr.Array[Any], tuple[int, ...]]]:
    """The chunks that hold the numbers of one unit: name, array, index of the chunk."""
    for name, array in node.arrays():
        dims = getattr(array.metadata, "dimension_names", None) or ()
        laid = dims[:1] == (along,) and array.chunks[0] == 1
        if name != MARK and array.size:
            yield (
                name,
                array,
                ((unit,) if laid else (0,) * min(1, array.ndim)) + (0,) * (array.ndim - 1),
            )


def refuse_missing(store: Store, name: str, node: zarr.Group, marks: xr.Variable) -> None:
    """Raise when a unit is marked done and a chunk of it is gone: it would read as NaN."""
    if store.path is None:
        return
    for unit in np.flatnonzero(marks.values == OK).tolist():
        for key, array, index in chunks_of(node, str(marks.dims[0]), unit):
            if not chunk_path(store, array, index).exists():
                raise damage(store, name, [unit], f"{key} of unit {unit} has no file")


def damage(store: Store, name: str, units: list[int], why: str) -> StorageError:
    shown = ", ".join(map(str, units[:5])) + (", ..." if len(units) > 5 else "")
    return StorageError(
        f"{store.where(name)} is damaged: {len(units)} of its units cannot be read back ({shown}).",
        why=why,
        fix="theodolite resume RUN --repair computes them again; everything else is kept.",
        code="E-K06",
    )


def damaged_units(store: Store, group: Group) -> dict[int, str]:
    """Units whose mark or numbers are missing or fail their checksum, and which array does."""
    if store.path is None or f"{group.name}/{MARK}" not in store.root:
        return {}
    node = store.root[group.name]
    assert isinstance(node, zarr.Group)
    marks = node[MARK]
    assert isinstance(marks, zarr.Array)
    bad: dict[int, str] = {}
    for unit in range(group.units):
        if not chunk_path(store, marks, (unit,)).exists():
            continue
        if not sound(store, marks, (unit,)):
            bad[unit] = f"the mark of unit {unit} fails its checksum"
        elif int(np.asarray(marks[unit])) == OK:
            for key, array, index in chunks_of(node, group.along or "unit", unit):
                if not sound(store, array, index):
                    bad[unit] = f"{key} of unit {unit} is missing or fails its checksum"
    return bad


def sound(store: Store, array: zarr.Array[Any], index: tuple[int, ...]) -> bool:
    """Whether a chunk is there and passes its checksum."""
    path = chunk_path(store, array, index)
    if not path.exists():
        return False
    try:
        with naming(path, "reading"), readable(path):
            _ = array.get_block_selection(index) if index else array[...]
    except StorageError as error:
        if error.code != "E-K06":
            raise
        return False
    return True


def check(store: Store, group: Group, *, repair: bool = False) -> int:
    """Raise `StorageError` when a group is damaged, or with `repair` mark its units not done."""
    bad = damaged_units(store, group)
    if bad and not repair:
        raise damage(store, group.name, sorted(bad), next(iter(bad.values())))
    for unit in bad:
        mark(store, group, unit, TODO)
    return len(bad)
