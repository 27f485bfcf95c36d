"""Axes of tensors as terms: leaves, row-major products and concatenations, made equal on demand.

An axis is a leaf, a product of axes (a row-major reshape), a sum of axes (a concatenation) or a
family (another axis at each index of a frozen one). Axes that an operation lines up are unified:
they carry one permutation. A leaf that nothing freezes is one symmetry of the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count

LEAF, PRODUCT, SUM, FAMILY = "leaf", "product", "sum", "family"

_numbers = count()


class Axis:
    """One axis: its length, how it is made of others, and the axis it was made equal to.

    ``reason`` of a leaf says why it may not be permuted (empty: it may); ``origins`` are the
    reshapes that made it, and ``index`` of a family is the frozen axis that picks the member.
    """

    __slots__ = ("index", "kids", "kind", "number", "origins", "reason", "size", "target")

    def __init__(
        self, size: int, kind: str = LEAF, kids: Sequence[Axis] = (), reason: str = ""
    ) -> None:
        self.size, self.kind, self.kids, self.reason = size, kind, tuple(kids), reason
        self.target: Axis | None = None
        self.index: Axis | None = None
        self.origins: frozenset[tuple[int, int]] = frozenset()
        self.number = next(_numbers)


def find(axis: Axis) -> Axis:
    """The axis that `axis` has become."""
    while axis.target is not None:
        axis = axis.target
    return axis


def leaves(axis: Axis) -> Iterator[Axis]:
    """Every leaf of the term, in order; one that occurs twice comes twice."""
    axis = find(axis)
    if axis.kind == LEAF:
        yield axis
    for kid in axis.kids:
        yield from leaves(kid)


def freeze(axis: Axis, reason: str) -> None:
    """Forbid every permutation of `axis`."""
    for leaf in leaves(axis):
        leaf.reason = leaf.reason or reason


def factors(axis: Axis) -> list[Axis]:
    """The factors of a product, slowest first, without those of length one."""
    axis = collapsed(axis)
    if axis.kind == PRODUCT:
        return [factor for kid in axis.kids for factor in factors(kid)]
    return [] if axis.size == 1 else [axis]


def terms(axis: Axis) -> list[Axis]:
    """The parts of a concatenation, in order."""
    axis = collapsed(axis)
    if axis.kind == SUM:
        return [term for kid in axis.kids for term in terms(kid)]
    return [] if axis.size == 0 else [axis]


def product(axes: Sequence[Axis]) -> Axis:
    """The axis of a reshape that joins `axes`."""
    kids = [factor for axis in axes for factor in factors(axis)]
    size = 1
    for kid in kids:
        size *= kid.size
    return kids[0] if len(kids) == 1 else Axis(size, PRODUCT, kids) if kids else Axis(1)


def total(axes: Sequence[Axis]) -> Axis:
    """The axis of a concatenation of `axes`."""
    kids = [term for axis in axes for term in terms(axis)]
    return kids[0] if len(kids) == 1 else Axis(sum(kid.size for kid in kids), SUM, kids)


def family(index: Axis, members: Sequence[Axis]) -> Axis:
    """The axis that is ``members[i]`` where the frozen axis `index` is at i."""
    made = Axis(members[0].size, FAMILY, members)
    made.index = index
    return made


def collapsed(axis: Axis) -> Axis:
    """`axis`, where a family has become one axis for all indices."""
    axis = find(axis)
    if axis.kind != FAMILY:
        return axis
    first = axis.kids[0]
    for other in axis.kids[1:]:
        unify(first, other)
    axis.target = find(first)
    return collapsed(axis)


def unify(a: Axis, b: Axis) -> None:
    """Give two axes of one length the same permutations; freezes both where none fits."""
    a, b = find(a), find(b)
    if a is b:
        return
    if a.size != b.size:
        _freeze_both(a, b, f"axes of lengths {a.size} and {b.size} meet")
    elif a.kind == FAMILY and b.kind == FAMILY and _same_index(a, b):
        for mine, other in zip(a.kids, b.kids, strict=True):
            unify(mine, other)
    elif FAMILY in (a.kind, b.kind):
        unify(collapsed(a), collapsed(b))
    elif a.kind == LEAF or b.kind == LEAF:
        _bind(*((a, b) if a.kind == LEAF else (b, a)))
    elif a.kind == PRODUCT and b.kind == PRODUCT:
        _unify_products(a, b)
    elif a.kind == SUM and b.kind == SUM:
        _unify_sums(a, b)
    else:
        _unify_mixed(*((a, b) if a.kind == SUM else (b, a)))


def _same_index(a: Axis, b: Axis) -> bool:
    assert a.index is not None
    assert b.index is not None
    return find(a.index) is find(b.index) and len(a.kids) == len(b.kids)


def _freeze_both(a: Axis, b: Axis, reason: str) -> None:
    freeze(a, reason)
    freeze(b, reason)


def _bind(leaf: Axis, other: Axis) -> None:
    if any(inner is leaf for inner in leaves(other)):
        freeze(other, "an axis meets a part of itself")
        return
    if leaf.reason:
        freeze(other, leaf.reason)
    if other.kind == LEAF:
        other.origins |= leaf.origins
    leaf.target = other


def _unify_products(a: Axis, b: Axis) -> None:
    left, right = factors(a), factors(b)
    while left and right:
        x, y = _last(left), _last(right)
        if x.size == y.size:
            unify(x, y)
            continue
        (large, small, rest) = (x, y, left) if x.size > y.size else (y, x, right)
        if large.size % small.size or (halves := divide(large, small.size)) is None:
            _freeze_both(a, b, "two reshapes of one axis do not fit each other")
            return
        rest.append(halves[0])
        unify(halves[1], small)


def _last(stack: list[Axis]) -> Axis:
    """Take the fastest factor off a stack, as what it has become meanwhile."""
    top = factors(stack.pop())
    stack.extend(top[:-1])
    return top[-1]


def _unify_sums(a: Axis, b: Axis) -> None:
    left, right = terms(a)[::-1], terms(b)[::-1]
    while left and right:
        x, y = _first(left), _first(right)
        if x.size == y.size:
            unify(x, y)
            continue
        (large, small, rest) = (x, y, left) if x.size > y.size else (y, x, right)
        halves = part(large, small.size)
        if halves is None:
            _freeze_both(a, b, "two concatenations do not fit each other")
            return
        rest.append(halves[1])
        unify(halves[0], small)


def _first(stack: list[Axis]) -> Axis:
    """Take the first term off a reversed stack, as what it has become meanwhile."""
    top = terms(stack.pop())
    stack.extend(top[:0:-1])
    return top[0]


def _unify_mixed(whole: Axis, other: Axis) -> None:
    parts = terms(whole)
    segments = cut(other, [each.size for each in parts])
    if segments is None:
        _freeze_both(whole, other, "a concatenation and a reshape do not fit each other")
        return
    for mine, segment in zip(parts, segments, strict=True):
        unify(mine, segment)


def divide(axis: Axis, inner: int) -> tuple[Axis, Axis] | None:
    """`axis` as a product whose fast factor has length `inner`, or None."""
    axis = collapsed(axis)
    if axis.size % inner:
        return None
    if axis.kind == LEAF:
        slow, fast = (Axis(n, reason=axis.reason) for n in (axis.size // inner, inner))
        axis.target = product([slow, fast])
        return slow, fast
    halves = _divide_sum(axis, inner) if axis.kind == SUM else _divide_product(axis, inner)
    if halves is not None and find(axis) is axis and axis.kind == SUM:
        axis.target = product(halves)
    return halves


def _divide_product(axis: Axis, inner: int) -> tuple[Axis, Axis] | None:
    split = split_product(axis, [axis.size // inner, inner])
    return None if split is None else (split[0], split[1])


def _divide_sum(axis: Axis, inner: int) -> tuple[Axis, Axis] | None:
    parts = terms(axis)
    if all(each.size % inner == 0 for each in parts):
        halves = [(each, divide(each, inner)) for each in parts]
        if any(half is None for _, half in halves):
            return None
        slow = total([half[0] for _, half in halves if half])
        fast = [half[1] for _, half in halves if half]
    else:
        slow = Axis(axis.size // inner, reason="the position in a concatenation")
        fast = cut(axis, [inner] * slow.size) or []
        if not fast:
            return None
    for other in fast[1:]:
        unify(fast[0], other)
    return slow, fast[0]


def split_product(axis: Axis, sizes: Sequence[int]) -> list[Axis] | None:
    """The axes of a reshape of `axis` into `sizes`, or None where its structure forbids it."""
    stack, made = factors(axis), []
    for size in reversed(sizes):
        taken: list[Axis] = []
        while size > 1:
            last = _last(stack)
            if size % last.size == 0:
                taken.append(last)
                size //= last.size
                continue
            halves = divide(last, size)
            if halves is None:
                return None
            stack.append(halves[0])
            taken.append(halves[1])
            size = 1
        made.append(product(taken[::-1]))
    return made[::-1]


def part(axis: Axis, size: int) -> tuple[Axis, Axis] | None:
    """The first `size` entries of `axis` and the others, or None."""
    axis = collapsed(axis)
    if axis.kind == SUM:
        pieces = cut(axis, [size, axis.size - size])
        return None if pieces is None else (pieces[0], pieces[1])
    if axis.kind == LEAF:
        first, rest = (Axis(n, reason=axis.reason) for n in (size, axis.size - size))
        axis.target = total([first, rest])
        return first, rest
    slow, *fast = factors(axis)
    inner = axis.size // slow.size
    halves = None if size % inner else part(slow, size // inner)
    return halves and (product([halves[0], *fast]), product([halves[1], *fast]))


def cut(axis: Axis, sizes: Sequence[int]) -> list[Axis] | None:
    """`axis` in consecutive pieces of `sizes`, or None where its structure forbids it."""
    stack, made = terms(axis)[::-1], []
    for size in sizes:
        taken: list[Axis] = []
        while size > 0:
            first = _first(stack)
            if first.size > size:
                halves = part(first, size)
                if halves is None:
                    return None
                stack.append(halves[1])
                first = halves[0]
            taken.append(first)
            size -= first.size
        made.append(total(taken))
    return made
