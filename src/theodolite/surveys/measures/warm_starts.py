"""Eigenvectors an earlier run kept, as the start of this one's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from theodolite.errors import InvalidArgument
from theodolite.objective import Objective
from theodolite.parameters import ParameterSpace
from theodolite.surveys.reading import load_run

GROUP, LAYOUT = "eigenvalues", "layout"
"""The result that holds the vectors, and its attribute that names the tensors they consist of."""


@dataclass(frozen=True, eq=False)
class WarmStart:
    """Rows to begin with, and what it cost to find them from a random start."""

    vectors: Float[Tensor, "k params"]
    cold_products: int
    cold_count: int
    cold_tolerance: float


def layout(space: ParameterSpace) -> str:
    """Names and shapes of the parameters in order, as JSON text."""
    return json.dumps([[e.name, list(e.shape)] for e in space.entries])


def warm_start(folder: str | Path, objective: Objective) -> WarmStart:
    """The eigenvectors that the run in `folder` kept.

    Raises `StorageError` where there is no run, `InvalidArgument` where it kept no vectors
    (E-D40) or measured another architecture (E-D41). Not checked: the data, the loss and the
    weights, which may differ; the start then only helps less.
    """
    pairs = _pairs(folder)
    _require_same(folder, str(pairs.attrs[LAYOUT]), objective.space)
    found = torch.from_numpy(pairs["vector"].values.copy()).to(objective.start)
    warm = pairs.attrs if "cold_products" not in pairs.attrs else _cold(pairs)
    return WarmStart(found, int(warm["products"]), int(warm["count"]), float(warm["tolerance"]))


def _pairs(folder: str | Path) -> xr.Dataset:
    tree = load_run(folder)
    pairs = tree[GROUP].to_dataset() if GROUP in tree.children else xr.Dataset()
    if "vector" not in pairs or LAYOUT not in pairs.attrs:
        why = "it measured no eigenvalues." if not pairs.sizes else "its vectors were not kept."
        raise InvalidArgument(
            f"{folder} holds no eigenvectors to start from.",
            why=why,
            fix="measure there first with theodolite spectrum TARGET --eigenvalues 10; vectors are "
            "kept while parameters times pairs stay within keep_vectors.",
            code="E-D40",
        )
    return pairs


def _cold(pairs: xr.Dataset) -> dict[str, Any]:
    """What the first run of a chain of warm starts took."""
    return {k: pairs.attrs[f"cold_{k}"] for k in ("products", "count", "tolerance")}


def _require_same(folder: str | Path, text: str, space: ParameterSpace) -> None:
    old = {n: tuple(s) for n, s in json.loads(text)}
    new = {e.name: e.shape for e in space.entries}
    if list(old.items()) == list(new.items()):
        return
    names = [n for n in (*new, *(n for n in old if n not in new)) if old.get(n) != new.get(n)]
    shown = [f"{n}: {old.get(n, 'absent')} there, {new.get(n, 'absent')} here" for n in names[:3]]
    more = f", and {len(names) - 3} more" if len(names) > 3 else ""
    what = "; ".join(shown) + more if names else "the same tensors come in another order"
    raise InvalidArgument(
        f"the run in {folder} has other parameters than this model: {what}.",
        why="its eigenvectors are vectors of another space.",
        fix="start from a run of the same architecture, or without --warm-start.",
        code="E-D41",
    )
