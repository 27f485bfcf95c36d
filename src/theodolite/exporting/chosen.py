"""What there is to export: the results of a tree, of one Dataset or of a run folder, by name."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from theodolite.errors import InvalidArgument, InvalidType
from theodolite.surveys import reading

Exportable = xr.DataTree | xr.Dataset | str | Path


def tree_of(source: Any) -> xr.DataTree:
    """`source` as a tree with one child a result; a run folder is read from disk, without torch.

    A single result becomes the child that its quantity names; a result that a tree holds at its
    root becomes one as well. Raises ``InvalidType`` (E-E05) for anything else, and what
    ``load_run`` raises for a folder that is not a run.
    """
    if isinstance(source, str | os.PathLike):
        return reading.load_run(Path(source))
    if isinstance(source, xr.Dataset):
        name = safe_name(str(source.attrs.get("quantity", "result")))
        return xr.DataTree(children={name: xr.DataTree(source)})
    if not isinstance(source, xr.DataTree):
        raise InvalidType(
            "source must be a survey tree, a result or the path of a run folder; got "
            f"{type(source).__name__}.",
            fix="pass what survey() or a measurement returned, or the folder given to -o.",
            code="E-E05",
        )
    if source.to_dataset().data_vars:
        return tree_of(source.to_dataset())
    return source


def results_of(tree: xr.DataTree, what: Sequence[str] = ()) -> dict[str, xr.Dataset]:
    """The results of `tree` by name, at any depth, in its order; only those in `what`, if any.

    A name in `what` may leave out the number: ``plane`` stands for ``plane_0``, ``plane_1``...
    Raises ``InvalidArgument``: a name the tree has not (E-E06), a tree without results (E-E07).
    """
    found = {
        safe_name(node.path.strip("/")): node.to_dataset()
        for node in tree.subtree
        if node.data_vars and node.path != "/"
    }
    if not found:
        raise InvalidArgument(
            "there is nothing to export: the tree holds no result.",
            fix="pass a survey with at least one finished measurement.",
            code="E-E07",
        )
    unknown = [w for w in what if not any(_names(w, name) for name in found)]
    if unknown:
        raise InvalidArgument(
            f"what must name results of this survey; got {', '.join(map(repr, unknown))}.",
            why=f"it holds {', '.join(found)}.",
            code="E-E06",
        )
    return {k: v for k, v in found.items() if not what or any(_names(w, k) for w in what)}


def safe_name(path: str) -> str:
    """A result's path in its tree as one file name that every system can hold.

    >>> safe_name("planes/plane_0"), safe_name("../a:b")
    ('planes.plane_0', 'a_b')
    """
    plain = re.sub(r"[^\w.+-]", "_", path.replace("/", ".")).lstrip(".")
    return plain or "result"


def _names(wanted: str, name: str) -> bool:
    return name == wanted or re.fullmatch(re.escape(wanted) + r"_\d+", name) is not None
