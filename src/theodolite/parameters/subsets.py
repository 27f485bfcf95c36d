"""Some of the parameters of a model, chosen by name, as a space of their own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

import torch
from jaxtyping import Int
from torch import Tensor

from theodolite.errors import InvalidArgument
from theodolite.parameters.space import Entry, ParameterSpace


def chosen(space: ParameterSpace, names: Iterable[str]) -> tuple[Entry, ...]:
    """The entries that `names` mean, in the order of the space.

    A name is that of a tensor, of a module (all that is inside), or a pattern with ``*``, ``?``
    or ``[...]`` over the names of tensors. Raises `InvalidArgument` for a name that means nothing.
    """
    wanted = (names,) if isinstance(names, str) else tuple(names)
    if not wanted:
        raise InvalidArgument(
            "parameters must name one tensor, module or pattern at least; got none.",
            fix=f"use names such as {space.names[0]!r}.",
            code="E-P20",
        )
    found: set[str] = set()
    for name in wanted:
        means = {e.name for e in space.entries if any(_means(name, n) for n in _all_names(e))}
        if not means:
            _refuse(space, name)
        found |= means
    return tuple(e for e in space.entries if e.name in found)


def positions(space: ParameterSpace, names: Iterable[str]) -> Int[Tensor, " chosen"]:
    """The coordinates of what `names` mean, ascending: ``theta[positions(space, "fc1")]``.

    >>> from torch import nn
    >>> space = ParameterSpace.from_model(nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 1)))
    >>> positions(space, "1").tolist(), positions(space, "*.bias").tolist()
    ([3, 4], [2, 4])
    """
    return torch.cat([torch.arange(e.offset, e.stop) for e in chosen(space, names)])


def subspace(space: ParameterSpace, names: Iterable[str]) -> ParameterSpace:
    """What `names` mean as a space of its own, in the same order."""
    entries, offset = [], 0
    for e in chosen(space, names):
        entries.append(replace(e, offset=offset))
        offset += e.size
    pruned = None if space.pruned is None else space.pruned[positions(space, names)]
    return ParameterSpace(tuple(entries), space.dtype, pruned)


def _all_names(entry: Entry) -> tuple[str, ...]:
    return (entry.name, *entry.aliases)


def _means(wanted: str, name: str) -> bool:
    return name == wanted or name.startswith(f"{wanted}.") or fnmatchcase(name, wanted)


def _refuse(space: ParameterSpace, name: str) -> None:
    known = [*space.names, *space.layers()]
    near = get_close_matches(name, known, n=3) or list(space.names[:5])
    raise InvalidArgument(
        f"no trainable parameter is meant by {name!r}.",
        fix=f"use a tensor's name, a module's or a pattern, such as {', '.join(map(repr, near))}.",
        code="E-P21",
    )
