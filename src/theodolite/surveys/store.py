"""``results.zarr``: every unit of work one chunk, its mark written after its data.

A unit counts as done when its cell of the array ``unit_status`` says so, never because its numbers
are there or are not NaN: a diverged row is all NaN and is done. Chunks carry a checksum.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.storage import LocalStore, MemoryStore

from theodolite.errors import StorageError
from theodolite.results import FAILED, OK, STATUS_MEANING, TODO
from theodolite.surveys.durable import naming, sweep, sync
from theodolite.surveys.groups import Group

MARK = "unit_status"
"""The array that says which units are done; the store's own, not part of the result."""


@dataclass(frozen=True, eq=False)
class Store:
    """An open store; ``path`` is None when it lives in memory."""

    root: zarr.Group
    path: Path | None

    def where(self, *names: str) -> Path:
        return (self.path or Path("memory")).joinpath(*names)


def open_store(path: Path | None) -> Store:
    """Open or create a store, sweeping away what a killed writer left half done."""
    if path is None:
        return Store(zarr.open_group(MemoryStore(), mode="a", zarr_format=3), None)
    with naming(path), readable(path):
        if path.exists():
            sweep(path)
        return Store(zarr.open_group(LocalStore(path), mode="a", zarr_format=3), path)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what zarr says about bytes it cannot make sense of into a named error."""
    try:
        yield
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        raise StorageError(
            f"{path} cannot be read: {error}",
            why="the bytes on disk are not those that were written: checksum or format differ.",
            fix="theodolite resume RUN --repair computes damaged units again; --fresh, all units.",
            code="E-K06",
        ) from error


def create_array(
    store: Store,
    group: zarr.Group,
    name: str,
    dims: tuple[str, ...],
    shape: tuple[int, ...],
    **how: Any,
) -> zarr.Array[Any]:
    """A zarr array with named dimensions, checksummed chunks, and empty chunks written too."""
    made = group.create_array(
        name,
        shape=shape,
        chunks=tuple(max(1, n) for n in how.pop("chunks")),
        dimension_names=dims,
        compressors=[ZstdCodec(), Crc32cCodec()],
        config={"order": "C", "write_empty_chunks": True},
        overwrite=True,
        **how,
    )
    settle(store, store.where(*made.path.split("/"), "zarr.json"))
    return made


def prepare(store: Store, group: Group) -> None:
    """Create the coordinates known beforehand, then the marks; no effect where marks exist."""
    with naming(store.where(group.name)):
        node = store.root.require_group(group.name)
        if MARK in node:
            return
        for name, values in group.coords.items():
            write_whole(store, node, name, xr.DataArray(values, dims=(name,)).variable)
        along = group.along or "unit"
        notes = {"long_name": f"status of the unit: {STATUS_MEANING}"}
        how = {"chunks": (1,), "dtype": "u1", "attributes": notes}
        create_array(store, node, MARK, (along,), (group.units,), **how)


def write_whole(store: Store, node: zarr.Group, name: str, variable: xr.Variable) -> None:
    """Write an array in one chunk."""
    values = np.asarray(variable.values)
    text = values.dtype.kind in "USO"
    made = create_array(
        store,
        node,
        name,
        tuple(map(str, variable.dims)),
        values.shape,
        chunks=values.shape,
        dtype=str if text else values.dtype,
        attributes=dict(variable.attrs),
    )
    made[...] = values.astype(object) if text else values
    flush(store, made, (0,) * values.ndim)


def fill_value(dtype: np.dtype[Any]) -> Any:
    """What an array holds where nothing was computed: NaN, or zero where there is no NaN."""
    return np.nan if dtype.kind in "fc" else 0


def writing(node: zarr.Group, name: str) -> zarr.Array[Any]:
    """An array opened so that a chunk of nothing but its fill value is written like any other."""
    array: Any = node[name]
    return zarr.Array(
        zarr.AsyncArray(
            metadata=array.metadata,
            store_path=array.store_path,
            config={"order": "C", "write_empty_chunks": True},
        )
    )


def write_slice(
    store: Store, node: zarr.Group, group: Group, unit: int, name: str, variable: xr.Variable
) -> None:
    """Write one unit's slice of an array, which is exactly one of its chunks."""
    dims = (str(group.along), *(str(d) for d in variable.dims if d != group.along))
    if group.along not in variable.dims:
        raise StorageError(
            f"unit {unit} of {group.name} gave {name}, which does not lie along {group.along!r}.",
            why="it could not be told which unit wrote it.",
            fix="give it that dimension, or make it a coordinate of the group.",
            code="E-K10",
        )
    values = np.asarray(variable.transpose(*dims).values)
    shape = (group.units, *values.shape[1:])
    if name not in node:
        create_array(
            store,
            node,
            name,
            dims,
            shape,
            chunks=(1, *values.shape[1:]),
            dtype=values.dtype,
            fill_value=fill_value(values.dtype),
            attributes=dict(variable.attrs),
        )
    array = writing(node, name)
    if array.shape != shape or values.shape[:1] != (1,):
        raise StorageError(
            f"unit {unit} of {group.name} gave {name} of shape {values.shape}, which does not fit "
            f"the stored {array.shape}.",
            why=f"a unit is one index along {group.along!r} and all units have one shape.",
            fix="run again with --fresh; if that repeats, the measure itself is at fault.",
            code="E-K10",
        )
    array[unit : unit + 1] = values
    flush(store, array, (unit,) + (0,) * (values.ndim - 1))


def chunk_path(store: Store, array: zarr.Array[Any], index: tuple[int, ...]) -> Path:
    """The file that holds one chunk of an array of a store on disk."""
    return store.where(*array.path.split("/"), "c", *map(str, index))


def flush(store: Store, array: zarr.Array[Any], index: tuple[int, ...]) -> None:
    """Force a chunk to disk, so that no mark can survive a power loss that its data did not."""
    if array.size and store.path is not None:
        sync(chunk_path(store, array, index))


def settle(store: Store, path: Path) -> None:
    """Force a file of the store, and the folders that lead to it, to disk."""
    if store.path is not None:
        sync(path)
        for folder in path.parents:
            sync(folder)
            if folder == store.path:
                return


def write_unit(store: Store, group: Group, unit: int, result: xr.Dataset) -> None:
    """Store what a unit computed, then mark it done: killed between, it is computed again."""
    with naming(store.where(group.name)):
        node = store.root[group.name]
        assert isinstance(node, zarr.Group)
        for name, variable in result.variables.items():
            if str(name) in group.coords:
                continue
            if group.along is None:
                write_whole(store, node, str(name), variable)
            else:
                write_slice(store, node, group, unit, str(name), variable)
        if "quantity" not in node.attrs or group.along is None:
            write_facts(store, group.name, {str(k): v for k, v in result.attrs.items()})
        forget_failure(store, group, unit)
        mark(store, group, unit, OK)


def forget_failure(store: Store, group: Group, unit: int) -> None:
    """Drop the reason of an earlier failure of a unit that has its numbers now."""
    attrs = {str(k): v for k, v in store.root[group.name].attrs.items()}
    reasons = dict(json.loads(str(attrs.pop("failures", "{}"))))
    if reasons.pop(str(unit), None) is not None:
        kept = {"failures": reasons_text(reasons)} if reasons else {}
        put_attributes(store, group.name, {**attrs, **kept})


def reasons_text(reasons: Mapping[str, str]) -> str:
    """Reasons of failed units as JSON, by number, whatever the order in which they failed."""
    return json.dumps({k: reasons[k] for k in sorted(reasons, key=int)})


def write_failure(store: Store, group: Group, unit: int, reason: str) -> None:
    """Record why a unit has no numbers, then mark it failed."""
    with naming(store.where(group.name)):
        node = store.root[group.name]
        assert isinstance(node, zarr.Group)
        reasons = dict(json.loads(str(node.attrs.get("failures", "{}"))))
        facts = {"failures": reasons_text({**reasons, str(unit): reason})}
        write_facts(store, group.name, facts)
        mark(store, group, unit, FAILED)


def mark(store: Store, group: Group, unit: int, status: int) -> None:
    """Set the mark of one unit."""
    array = writing(store.root, f"{group.name}/{MARK}")
    array[unit : unit + 1] = np.array([status], np.uint8)
    flush(store, array, (unit,))
    if store.path is not None:
        sync(chunk_path(store, array, (unit,)).parent)


def write_facts(store: Store, name: str, facts: Mapping[str, Any]) -> None:
    """Add attributes to a group, or to the root when `name` is empty."""
    with naming(store.where(name)):
        node = store.root[name] if name else store.root
        if any(node.attrs.get(k) != v for k, v in facts.items()):
            put_attributes(store, name, {**node.attrs, **facts})


def put_attributes(store: Store, name: str, attributes: Mapping[str, Any]) -> None:
    """Replace a group's attributes, sorted: the same bytes in whatever order they came."""
    node = store.root[name] if name else store.root
    node.attrs.put(dict(sorted(attributes.items())))
    settle(store, store.where(*name.split("/"), "zarr.json"))


def finished(store: Store, name: str) -> bool:
    """Whether every unit of a group has its numbers."""
    if f"{name}/{MARK}" not in store.root:
        return False
    with naming(store.where(name), "reading"), readable(store.where(name, MARK)):
        marks: np.ndarray = np.asarray(store.root[f"{name}/{MARK}"][...])  # type: ignore[index]
        return bool((marks == OK).all())


def statuses(store: Store, group: Group) -> np.ndarray:
    """The mark of every unit: 0 not computed, 1 ok, 3 failed; zeros for a group never begun."""
    if f"{group.name}/{MARK}" not in store.root:
        return np.full(group.units, TODO, np.uint8)
    with naming(store.where(group.name), "reading"), readable(store.where(group.name, MARK)):
        return np.asarray(store.root[f"{group.name}/{MARK}"][...], np.uint8)  # type: ignore[index]
