"""Where in a run of a model the units of each group can be read: its activations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from itertools import product as every
from math import prod
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from theodolite.errors import UnsupportedModel
from theodolite.symmetry.actions import Coordinate, boxes
from theodolite.symmetry.axes import FAMILY, LEAF, PRODUCT, SUM, Axis, factors, find, leaves
from theodolite.symmetry.groups import Group, Layout, groups_in, layout
from theodolite.symmetry.propagation import Axes, Trace, Value
from theodolite.symmetry.symmetry import Symmetries
from theodolite.symmetry.tracing import ROUNDS, Watcher

COPIES = {"_unsafe_view", "clone", "_to_copy", "contiguous", "native_dropout", "dropout", "alias"}
"""Operations whose results are their arguments once more."""

MOST = 4096
"""Units of a site, at most: correlations of all pairs are held."""

UNCOUNTED = "aten.detach.default"
"""An operation that runs or not, as somebody else holds a tensor or not."""


Narrow = tuple[int, int] | None


@dataclass(frozen=True)
class Site:
    """An operation's first result that has an index for each unit of some groups, beside others.

    ``number`` counts the operations of a run; ``groups`` are mostly one, or heads and their units.
    ``narrow`` is the part of each dimension that is meant (None: all of it), ``split`` how
    dimensions fall into coordinates (0: whatever is left, a batch mostly), ``units`` which of
    these are the groups, and ``sizes`` how many units each has.
    """

    number: int
    operation: str
    groups: tuple[str, ...]
    narrow: tuple[Narrow, ...]
    split: tuple[tuple[int, ...], ...]
    units: tuple[int, ...]
    sizes: tuple[int, ...]

    def rows(self, tensor: Tensor) -> Shaped[Tensor, "unit observation"]:
        """The activations of every unit, all other indices in a row."""
        for dim, part in enumerate(self.narrow):
            tensor = tensor if part is None else tensor.narrow(dim, *part)
        shape = [
            size or n // prod(s or 1 for s in parts)
            for n, parts in zip(tensor.shape, self.split, strict=True)
            for size in parts
        ]
        rest = [d for d in range(len(shape)) if d not in self.units]
        apart = tensor.reshape(shape).permute(*self.units, *rest)
        return apart.reshape(prod(self.sizes), -1)


def activation_sites(
    symmetries: Symmetries, model: nn.Module, run: Callable[[], Any]
) -> tuple[Site, ...]:
    """The sites of one run, found by following the axes of the parameters through it.

    `run` runs `model`, as the caller holds it, on a batch. Views, copies and what does not depend
    on the inputs are left out. Costs up to four runs, and holds their activations.
    """
    tensors = {
        **dict(model.named_parameters(remove_duplicate=False)),
        **dict(model.named_buffers(remove_duplicate=False)),
    }
    marks: frozenset[tuple[int, int]] = frozenset()
    for _ in range(ROUNDS):
        trace, state = Trace(marks), _fresh(tensors)
        follower = _Follower(state)
        with torch.no_grad(), Watcher(state, trace, follower.hear):
            run()
        if trace.found <= marks:
            break
        marks |= trace.found
    names = _named_leaves(symmetries, {n: state[id(t)] for n, t in tensors.items()})
    groups = {g.name: g for g in symmetries.groups}
    return tuple(site for heard in follower.heard for site in _sites(*heard, names, groups))


def _fresh(tensors: Mapping[str, Tensor]) -> dict[int, Axes]:
    """New axes for every tensor of a model, by identity."""
    made: dict[int, Axes] = {}
    for tensor in tensors.values():
        made.setdefault(id(tensor), tuple(Axis(int(n)) for n in tensor.shape))
    return made


def _named_leaves(symmetries: Symmetries, state: Mapping[str, Axes]) -> dict[Axis, str]:
    """The leaves that are one group and no other, wherever parameters have them."""
    meant: dict[Axis, set[str]] = {}
    for name, axes in state.items():
        if name in symmetries.layouts:
            for each, axis in zip(symmetries.layouts[name], axes, strict=True):
                for leaf, group in _paired(each, axis):
                    meant.setdefault(leaf, set()).add(group)
    return {leaf: min(groups) for leaf, groups in meant.items() if len(groups) == 1 and min(groups)}


def _paired(each: Layout, axis: Axis) -> Iterator[tuple[Axis, str]]:
    """Leaves of an axis and the groups that a layout has there; none where they differ."""
    axis = find(axis)
    kids = factors(axis) if axis.kind == PRODUCT else axis.kids
    if each.kind == axis.kind and len(kids) == len(each.kids):
        if not kids:
            yield axis, each.group
        for part, kid in zip(each.kids, kids, strict=True):
            yield from _paired(part, kid)
    elif each.kind == PRODUCT and axis.kind == SUM and _stacked(each, kids):  # gates
        rest = each.kids[1:]
        size = each.size // each.kids[0].size
        for kid in kids:
            yield from _paired(rest[0] if len(rest) == 1 else Layout(PRODUCT, size, "", rest), kid)
    else:
        yield from ((leaf, "") for leaf in leaves(axis))


def _stacked(each: Layout, kids: Sequence[Axis]) -> bool:
    """Whether parts of a concatenation are the rows of a product."""
    first = each.kids[0]
    rows = [kid.size for kid in kids] == first.size * [each.size // first.size]
    return rows and not any(groups_in(first))


class _Follower:
    """Hears of operations, and keeps the axes of results that depend on the inputs."""

    def __init__(self, state: Mapping[int, Axes]) -> None:
        self.number = 0
        self.heard: list[tuple[int, str, Axes]] = []
        self.depends = dict.fromkeys(state, False)  # what nothing made here is an input

    def hear(self, func: Any, given: Any, result: Any, values: Any) -> None:
        """One operation."""
        number, self.number = self.number, self.number + (str(func) != UNCOUNTED)
        tensors = [t for t in pytree.tree_leaves(given) if isinstance(t, Tensor)]
        depends = any(self.depends.get(id(t), True) for t in tensors)
        made = result if isinstance(result, list | tuple) else [result]
        self.depends |= {id(t): depends for t in made if isinstance(t, Tensor)}
        first = values[0] if isinstance(values, list | tuple) and values else values
        if depends and isinstance(first, Value) and not _is_copy(func):
            self.heard.append((number, str(func), first.axes))


def _is_copy(func: Any) -> bool:
    """Whether an operation returns its argument in another shape or place."""
    returns = func._schema.returns
    views = any(r.alias_info is not None and not r.alias_info.is_write for r in returns)
    return views or func._schema.name.removeprefix("aten::") in COPIES


def _sites(
    number: int, operation: str, axes: Axes, names: Mapping[Axis, str], groups: Mapping[str, Group]
) -> Iterator[Site]:
    """The sites of a result with these axes: one for each part of what was concatenated."""
    if any(find(leaf).kind == FAMILY for axis in axes for leaf in leaves(axis)):
        return
    for chosen in every(*(_parts(layout(axis, names)) for axis in axes)):
        starts, layouts = zip(*chosen, strict=True) if chosen else ((), ())
        found = list(boxes(layouts))
        coordinates = found[0].coordinates
        present = [c.group for c in coordinates if c.group]
        order = tuple(g for g in groups if g in present)  # outer groups come first
        sizes = tuple(groups[name].size for name in order)
        if len(found) > 1 or not present or len(present) > len(order) or prod(sizes) > MOST:
            continue
        split, place = _split(coordinates, len(axes))
        yield Site(
            number, operation, order, starts, split, tuple(place[name] for name in order), sizes
        )


def _parts(each: Layout) -> list[tuple[Narrow, Layout]]:
    """The parts of a dimension, and where they lie in it."""
    if not any(groups_in(each)):
        return [(None, Layout(LEAF, each.size))]
    if each.kind != SUM:
        return [(None, each)]
    ends = [0, *accumulate(kid.size for kid in each.kids)]
    return [((start, kid.size), kid) for start, kid in zip(ends, each.kids, strict=False)]


def _split(
    coordinates: Sequence[Coordinate], dims: int
) -> tuple[tuple[tuple[int, ...], ...], dict[str, int]]:
    """How each dimension falls into coordinates, and which of all these each group is."""
    split: list[tuple[int, ...]] = []
    place: dict[str, int] = {}
    for dim in range(dims):
        split.append(())
        for k, c in enumerate(c for c in coordinates if c.dim == dim):
            if c.group:
                place[c.group] = sum(map(len, split))
                split[-1] += (c.size,)
            elif k == 0:
                split[-1] += (0,)
            elif split[-1][-1:] != (0,):  # what stays in place behind a batch is one with it
                split[-1] += (c.size,)
    return tuple(split), place


class Reader(TorchDispatchMode):
    """Shows the results at sites to `told` while a model runs, in the order of the run."""

    def __init__(self, sites: tuple[Site, ...], told: Callable[[Site, Tensor], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        numbers = dict.fromkeys(site.number for site in sites)
        self.sites = {n: [site for site in sites if site.number == n] for n in numbers}
        self.told = told
        self.number = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if str(func) == UNCOUNTED:
            return result
        here, self.number = self.sites.get(self.number, ()), self.number + 1
        for site in here:
            tensor = result[0] if isinstance(result, list | tuple) else result
            if str(func) != site.operation or tensor.dim() != len(site.split):
                raise UnsupportedModel(
                    f"operation {site.number} of the model is {func} on one batch and "
                    f"{site.operation} on another.",
                    where="match",
                    why="activations are paired by the order of operations.",
                    fix='use method="weights".',
                    code="E-A54",
                )
            self.told(site, tensor)
        return result
