"""Permutations applied to tensors: which entry comes from where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product as every

import torch
from jaxtyping import Int64
from torch import Tensor

from theodolite.symmetry.axes import LEAF, SUM
from theodolite.symmetry.groups import Group, Layout

Permutations = Mapping[str, Tensor]


@dataclass(frozen=True)
class Coordinate:
    """One index of a box of entries: its group (or none), its length and its step in memory."""

    group: str
    size: int
    stride: int
    dim: int


@dataclass(frozen=True)
class Box:
    """Entries at ``offset + sum(stride * coordinate)``: a part of a tensor without sums in it."""

    offset: int
    coordinates: tuple[Coordinate, ...]


def boxes(layouts: Sequence[Layout]) -> Iterator[Box]:
    """The boxes that make up a tensor whose dimensions have these layouts."""
    stride, parts = 1, []
    for dim in range(len(layouts) - 1, -1, -1):
        parts.append(list(_branches(layouts[dim], stride, dim)))
        stride *= layouts[dim].size
    for chosen in every(*parts[::-1]):
        yield Box(sum(b.offset for b in chosen), tuple(c for b in chosen for c in b.coordinates))


def _branches(layout: Layout, stride: int, dim: int) -> Iterator[Box]:
    if layout.kind == LEAF:
        yield Box(0, (Coordinate(layout.group, layout.size, stride, dim),))
    elif layout.kind == SUM:
        offset = 0
        for kid in layout.kids:
            for branch in _branches(kid, stride, dim):
                yield Box(branch.offset + offset * stride, branch.coordinates)
            offset += kid.size
    else:
        parts, step = [], stride
        for kid in layout.kids[::-1]:
            parts.append(list(_branches(kid, step, dim)))
            step *= kid.size
        for chosen in every(*parts[::-1]):
            offset = sum(b.offset for b in chosen)
            yield Box(offset, tuple(c for b in chosen for c in b.coordinates))


def along(box: Box, place: int) -> Int64[Tensor, ...]:
    """The coordinate at `place` of every entry, shaped to broadcast over the box."""
    size = box.coordinates[place].size
    shape = [size if p == place else 1 for p in range(len(box.coordinates))]
    return torch.arange(size).reshape(shape)


def positions(box: Box) -> Int64[Tensor, ...]:
    """The place in memory of every entry of a box, in the box's shape."""
    at = torch.tensor(box.offset)
    for place, coordinate in enumerate(box.coordinates):
        at = at + coordinate.stride * along(box, place)
    return at


def sources(
    box: Box, permutations: Permutations, within: Mapping[str, tuple[str, ...]]
) -> Int64[Tensor, ...]:
    """The place in memory from which every entry of a box is taken."""
    at = torch.tensor(box.offset)
    for place, coordinate in enumerate(box.coordinates):
        index = along(box, place)
        if coordinate.group in permutations:
            outer = [along(box, _nearest(box, h)) for h in within[coordinate.group]]
            index = permutations[coordinate.group][(*outer, index)]
        at = at + coordinate.stride * index
    return at


def _nearest(box: Box, group: str) -> int:
    return next(p for p, c in enumerate(box.coordinates) if c.group == group)


def permuted(
    tensor: Tensor,
    layouts: Sequence[Layout],
    permutations: Permutations,
    within: Mapping[str, tuple[str, ...]],
) -> Tensor:
    """A new tensor whose entry at i is the old one at the permuted index of i."""
    named = {c.group for box in boxes(layouts) for c in box.coordinates} & permutations.keys()
    if not named:
        return tensor.clone()
    if any(within[name] for name in named):
        flat = _index(boxes(layouts), tensor.numel(), permutations, within).to(tensor.device)
        return tensor.reshape(-1)[flat].reshape(tensor.shape)
    made = tensor
    for dim, layout in enumerate(layouts):
        if any(c.group in named for box in boxes([layout]) for c in box.coordinates):
            index = _index(boxes([layout]), layout.size, permutations, within)
            made = made.index_select(dim, index.to(tensor.device))
    return made


def _index(
    parts: Iterator[Box],
    size: int,
    permutations: Permutations,
    within: Mapping[str, tuple[str, ...]],
) -> Int64[Tensor, " entry"]:
    index = torch.arange(size)
    for box in parts:
        index[positions(box).reshape(-1)] = sources(box, permutations, within).reshape(-1)
    return index


def inverse(groups: Sequence[Group], permutations: Permutations) -> dict[str, Tensor]:
    """The permutations that undo `permutations`."""
    undone: dict[str, Tensor] = {}
    for group in groups:  # a group comes after those it is within
        if group.name not in permutations:
            continue
        wanted = permutations[group.name]
        above = [torch.arange(n) for n in wanted.shape[:-1]]
        outer = torch.meshgrid(*above, indexing="ij") if above else ()
        from_where = []
        for place, name in enumerate(group.within):
            if name in undone:
                over = next(g for g in groups if g.name == name).within
                at = [outer[group.within.index(h)] for h in over]
                from_where.append(undone[name][(*at, outer[place])])
            else:
                from_where.append(outer[place])
        undone[group.name] = wanted[tuple(from_where)].argsort(-1) if outer else wanted.argsort()
    return undone
