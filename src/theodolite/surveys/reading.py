"""A run folder or an open store as a tree of Datasets, without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.storage import LocalStore

from theodolite.errors import StorageError
from theodolite.results import FAILED, SCHEMA
from theodolite.surveys.durable import naming
from theodolite.surveys.headline import headline
from theodolite.surveys.integrity import refuse_missing
from theodolite.surveys.monitored import LOG, history_of, read_log
from theodolite.surveys.store import MARK, Store, readable


def read_array(store: Store, group: str, name: str, array: zarr.Array[Any]) -> xr.Variable:
    """One array with its dimensions; raises `StorageError` naming a damaged chunk."""
    with naming(store.where(group, name), "reading"), readable(store.where(group, name)):
        values = np.asarray(array[...])
        dims = tuple(str(d) for d in getattr(array.metadata, "dimension_names", None) or ())
        if values.dtype.kind not in "biufc":
            values = values.astype(object).astype(str)
        return xr.Variable(dims, values, {str(k): v for k, v in array.attrs.items()})


def read_group(store: Store, name: str) -> xr.Dataset:
    """One group as the Dataset its measure describes; units without numbers are NaN."""
    node = store.root[name]
    assert isinstance(node, zarr.Group)
    variables = {k: read_array(store, name, k, a) for k, a in sorted(node.arrays())}
    marks = variables.pop(MARK, None)
    if marks is not None:
        refuse_missing(store, name, node, marks)
    if marks is not None and "status" in variables:
        lost = np.flatnonzero(marks.values == FAILED)
        status = variables["status"]
        if status.dims[:1] == marks.dims:
            status.values[lost] = FAILED
    coords = {k: v for k, v in variables.items() if v.dims == (k,)}
    data = {k: v for k, v in variables.items() if k not in coords}
    attrs = {str(k): v for k, v in node.attrs.items() if (k, v) != ("failures", "{}")}
    return xr.Dataset(data, coords, attrs)


def tree_of(store: Store, provenance: str = "{}") -> xr.DataTree:
    """Everything in a store that has numbers, with the headline computed from it.

    Reasons of failed units are JSON text in ``attrs["failures"]``, by group and unit.
    """
    root: dict[str, Any] = {str(k): v for k, v in store.root.attrs.items()}
    if int(root.get("schema", SCHEMA)) > SCHEMA:
        raise StorageError(
            f"{store.where()} has schema {root['schema']}; this version reads up to {SCHEMA}.",
            fix="install the version of theodolite that wrote it, or a newer one.",
            code="E-K08",
        )
    order = [n for n in root.pop("groups", []) if n in store.root]
    root.pop("units", None)
    found = {name: read_group(store, name) for name in order}
    tree = xr.DataTree(children={k: xr.DataTree(d) for k, d in found.items() if d.data_vars})
    created = json.loads(provenance).get("created", "")
    tree.attrs = {**root, "created": created, "provenance": provenance}
    lost = {k: json.loads(d.attrs["failures"]) for k, d in found.items() if "failures" in d.attrs}
    if lost:
        tree.attrs["failures"] = json.dumps(lost)
    tree.attrs["headline"] = json.dumps(headline(tree))
    return tree


def load_run(folder: str | Path) -> xr.DataTree:
    """The results in a run folder, complete or not, as a tree of Datasets.

    Reads ``results.zarr``, ``provenance.json`` and ``monitor.jsonl`` (the log of a monitored
    training, which may be all there is) and nothing else; never imports torch. Raises
    `StorageError` when the folder holds no run (E-K07), was written by a newer version (E-K08)
    or is damaged (E-K06, with the array named).
    """
    path = Path(folder)
    surveyed = (path / "results.zarr" / "zarr.json").exists()
    if not surveyed and (path / LOG).is_file():
        return monitored_tree(path)
    if not surveyed:
        raise StorageError(
            f"{path} holds no results.",
            why="a run folder has a results.zarr inside." if path.exists() else "no such folder.",
            fix="pass the folder given to -o when the survey was made.",
            code="E-K07",
        )
    written = path / "provenance.json"
    with naming(written, "reading"):
        provenance = written.read_text() if written.exists() else "{}"
    store = reading_store(path / "results.zarr")
    tree = tree_of(store, json.dumps(json.loads(provenance)))
    if (path / LOG).is_file():
        tree = with_history(tree, history_of(*read_log(path)))
    return tree


def monitored_tree(path: Path) -> xr.DataTree:
    """A folder that holds a monitored training and no survey."""
    history = history_of(*read_log(path))
    kept = ("model", "params", "examples", "seed", "schema")
    facts = {k: history.attrs[k] for k in kept if k in history.attrs}
    record = {"versions": json.loads(history.attrs.get("versions", "{}"))}
    record["created"] = history.attrs.get("created", "")
    facts |= {"created": record["created"], "provenance": json.dumps(record)}
    return with_history(xr.DataTree(xr.Dataset(attrs=facts)), history)


def with_history(tree: xr.DataTree, history: xr.Dataset) -> xr.DataTree:
    """The tree with a monitored training beside its other results."""
    tree["monitor"] = xr.DataTree(history)
    tree.attrs["headline"] = json.dumps(headline(tree))
    return tree


def reading_store(path: Path) -> Store:
    """A store opened for reading only: another process may be writing it."""
    with naming(path, "reading"), readable(path):
        return Store(zarr.open_group(LocalStore(path, read_only=True), mode="r"), path)
