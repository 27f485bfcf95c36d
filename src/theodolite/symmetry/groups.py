"""From the axes of a trace to groups of permutations and the layout of every tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from theodolite.symmetry.axes import FAMILY, LEAF, PRODUCT, SUM, Axis, factors, find, leaves
from theodolite.symmetry.propagation import Axes, Trace


@dataclass(frozen=True)
class Layout:
    """How one dimension of a tensor is made: ``leaf``, ``product`` (row-major) or ``sum``.

    A leaf has the name of the ``group`` that permutes it; the empty name leaves it as it is.
    """

    kind: str
    size: int
    group: str = ""
    kids: tuple[Layout, ...] = ()

    def __str__(self) -> str:
        if self.kind == LEAF:
            return f"{self.size}:{self.group}" if self.group else str(self.size)
        return "(" + (" x " if self.kind == PRODUCT else " + ").join(map(str, self.kids)) + ")"


@dataclass(frozen=True)
class Group:
    """Units that can change places: `size` of them, in the dimensions ``(tensor, dim)``.

    With ``within``, they change places independently at every index of those groups: the channels
    of each head, or of each group of a convolution.
    """

    name: str
    size: int
    members: tuple[tuple[str, int], ...]
    within: tuple[str, ...] = ()


def free_leaves(state: Mapping[str, Axes], parameters: Sequence[str]) -> dict[Axis, str]:
    """The leaves that may be permuted and occur in a parameter, each with a name, in order."""
    places: dict[Axis, str] = {}
    taken: dict[str, int] = {}
    for name in parameters:
        for dim, axis in enumerate(state[name]):
            for leaf in leaves(axis):
                if leaf.reason or leaf.size < 2 or leaf in places:
                    continue
                base = f"{name}[{dim}]"
                taken[base] = taken.get(base, 0) + 1
                places[leaf] = base if taken[base] == 1 else f"{base}.{taken[base]}"
    return places


def layout(axis: Axis, names: Mapping[Axis, str]) -> Layout:
    """The frozen form of an axis; what has no name stays in place."""
    axis = find(axis)
    if axis.kind == LEAF:
        return Layout(LEAF, axis.size, names.get(axis, ""))
    kids = factors(axis) if axis.kind == PRODUCT else axis.kids
    return Layout(axis.kind, axis.size, "", tuple(layout(kid, names) for kid in kids))


def groups_in(layouts: Layout) -> Iterator[str]:
    """The names of the groups in a layout, in order."""
    if layouts.group:
        yield layouts.group
    for kid in layouts.kids:
        yield from groups_in(kid)


def made_groups(
    layouts: Mapping[str, tuple[Layout, ...]],
    names: Mapping[Axis, str],
    within: Mapping[Axis, tuple[Axis, ...]],
) -> tuple[Group, ...]:
    """The groups with their members."""
    members: dict[str, list[tuple[str, int]]] = {name: [] for name in names.values()}
    for tensor, dims in layouts.items():
        for dim, each in enumerate(dims):
            for name in dict.fromkeys(groups_in(each)):
                members[name].append((tensor, dim))
    return tuple(
        Group(name, leaf.size, tuple(members[name]), tuple(names[h] for h in within.get(leaf, ())))
        for leaf, name in names.items()
    )


def independent_within(trace: Trace, names: Mapping[Axis, str]) -> dict[Axis, tuple[Axis, ...]]:
    """For each leaf, the leaves at whose every index it may be permuted on its own.

    D may depend on the index of H where every tensor that has D has H beside it, once, and no
    operation lets values at different positions of H meet while D is there. These are candidates:
    each is checked numerically with the others.
    """
    beside = _companions(trace.seen, names)
    forbidden = {
        (inner, outer)
        for over, kept in trace.mixed
        for outer in {leaf for axis in over for leaf in leaves(axis)} & names.keys()
        for inner in {leaf for axis in kept for leaf in leaves(axis)} & names.keys()
    }
    rank = {leaf: place for place, leaf in enumerate(names)}
    within: dict[Axis, tuple[Axis, ...]] = {}
    for leaf in names:
        outer = [
            h
            for h in sorted(beside.get(leaf, ()), key=rank.__getitem__)
            if rank[h] < rank[leaf] and (leaf, h) not in forbidden
        ]
        while lacking := [h for h in outer if not set(within[h]) <= set(outer)]:
            outer = [h for h in outer if h not in lacking]
        within[leaf] = tuple(outer)
    return within


def _companions(seen: Sequence[Axes], names: Mapping[Axis, str]) -> dict[Axis, frozenset[Axis]]:
    """For each leaf, those that stand beside it wherever it occurs, exactly once each."""
    beside: dict[Axis, frozenset[Axis]] = {}
    done: set[tuple[int, ...]] = set()
    for resolved in (each for axes in seen for each in _by_index(axes)):
        key = tuple(axis.number for axis in resolved)
        if key in done:
            continue
        done.add(key)
        plain = [_plain(axis) for axis in resolved]
        for dim, axis in enumerate(resolved):
            others = [leaf for d, each in enumerate(plain) if d != dim for leaf in each]
            for leaf, around in _occurrences(axis, others):
                if leaf not in names:
                    continue
                once = frozenset(h for h in around if around.count(h) == 1 and h in names)
                beside[leaf] = beside.get(leaf, once) & once
    return beside


def _by_index(axes: Axes) -> Iterator[Axes]:
    """The axes with each family as one of its members, for every index in turn."""
    found = tuple(find(axis) for axis in axes)
    counts = [len(axis.kids) for axis in found if axis.kind == FAMILY]
    for i in range(max(counts, default=1)):
        yield tuple(
            find(axis.kids[i % len(axis.kids)]) if axis.kind == FAMILY else axis for axis in found
        )


def _plain(axis: Axis) -> list[Axis]:
    """The leaves whose index every entry of a dimension has."""
    return [find(f) for f in factors(axis) if find(f).kind == LEAF]


def _occurrences(axis: Axis, around: list[Axis]) -> Iterator[tuple[Axis, list[Axis]]]:
    axis = find(axis)
    if axis.kind == LEAF:
        yield axis, [h for h in around if h is not axis]
    elif axis.kind == SUM:
        for kid in axis.kids:
            yield from _occurrences(kid, around)
    else:
        kids = factors(axis)
        for place, kid in enumerate(kids):
            others = [leaf for p, each in enumerate(kids) if p != place for leaf in _plain(each)]
            yield from _occurrences(kid, around + others)
