"""Rules of operations that reshape, move, join and cut axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from theodolite.symmetry.axes import (
    FAMILY,
    LEAF,
    Axis,
    cut,
    family,
    find,
    freeze,
    product,
    split_product,
    total,
    unify,
)
from theodolite.symmetry.elementwise_rules import broadcast
from theodolite.symmetry.propagation import Axes, Call, Trace, Value, fixed, rule, without


@rule(
    *("view", "reshape", "_unsafe_view", "flatten", "unflatten", "view_as", "reshape_as", "ravel"),
    *("squeeze", "unsqueeze", "_reshape_alias", "squeeze_copy", "unsqueeze_copy", "view_copy"),
    keeps_families=True,
)
def reshape(trace: Trace, call: Call) -> Axes:
    """Old and new dimensions of equal length in groups; each group is joined and split anew."""
    axes, shape = call.first, call.shape
    if 0 in shape:
        return tuple(fixed(n, "an empty tensor") for n in shape)
    old = [axis for axis in axes if axis.size != 1]
    new = [n for n in shape if n != 1]
    made: list[Axis] = []
    while old:
        taken, sizes = [old.pop(0)], [new.pop(0)]
        while (left := math.prod(a.size for a in taken)) != (right := math.prod(sizes)):
            if left < right:
                taken.append(old.pop(0))
            else:
                sizes.append(new.pop(0))
        made += taken if len(taken) == len(sizes) == 1 else _regrouped(trace, call, taken, sizes)
    rest = iter(made)
    return tuple(Axis(1) if n == 1 else next(rest) for n in shape)


def _regrouped(trace: Trace, call: Call, taken: list[Axis], sizes: list[int]) -> list[Axis]:
    axis = product(taken)
    if len(sizes) == 1:
        return [axis]
    trace.reshapes += 1
    event = trace.reshapes
    marked = [place for place in range(len(sizes) - 1) if (event, place) in trace.marks]
    pieces = _by_index(axis, sizes, marked[0]) if marked else split_product(axis, sizes)
    if pieces is None:
        freeze(axis, f"{call.reason}: the new lengths {sizes} do not fit how it is made")
        return [fixed(n, call.reason) for n in sizes]
    for place, piece in enumerate(pieces[:-1]):
        if find(piece).kind == LEAF:
            find(piece).origins |= {(event, place)}
    return pieces


def _by_index(axis: Axis, sizes: Sequence[int], place: int) -> list[Axis] | None:
    """As `split_product`, with what lies below the factor at `place` free at each of its indices.

    So query, key and value of one fused matrix get axes of their own.
    """
    outer, count, inner = list(sizes[:place]), sizes[place], list(sizes[place + 1 :])
    front = split_product(axis, [*outer, count * math.prod(inner)]) if outer else [axis]
    segments = cut(front[-1], [math.prod(inner)] * count) if front else None
    members = [split_product(segment, inner) for segment in segments or []]
    if front is None or not members or None in members:
        return None
    index = fixed(count, "one of its indices is picked")
    columns = list(zip(*(m for m in members if m), strict=True))
    return [*front[:-1], index, *(family(index, column) for column in columns)]


@rule("permute", "permute_copy", keeps_families=True)
def permute(trace: Trace, call: Call) -> Axes:
    return tuple(call.first[d] for d in call.dims("dims"))


@rule("transpose", "swapaxes", "swapdims", "transpose_copy", keeps_families=True)
def transpose(trace: Trace, call: Call) -> Axes:
    moved, rank = list(call.first), len(call.first)
    places = [v for v in call.arguments.values() if isinstance(v, int)]
    a, b = (d % rank for d in places)
    moved[a], moved[b] = moved[b], moved[a]
    return tuple(moved)


@rule("t", "mT", "adjoint", "numpy_T", "t_copy", "matrix_H", keeps_families=True)
def turned(trace: Trace, call: Call) -> Axes:
    axes = call.first
    return axes if len(axes) < 2 else (*axes[:-2], axes[-1], axes[-2])


@rule("movedim", "moveaxis", keeps_families=True)
def movedim(trace: Trace, call: Call) -> Axes:
    source, destination = call.dims("source"), call.dims("destination")
    rest = iter(without(call.first, source))
    given = dict(zip(destination, source, strict=True))
    return tuple(call.first[given[d]] if d in given else next(rest) for d in range(len(call.first)))


@rule("select", "select_copy", "unbind", "unbind_copy", keeps_families=True)
def picked(trace: Trace, call: Call) -> list[Axes | Value]:
    """One index of an axis, or each: that axis is fixed, and families become their members."""
    axes = call.first
    (dim,) = call.dims()
    axis = find(axes[dim])
    wanted = range(axis.size) if call.name.startswith("unbind") else [call["index"] % axis.size]
    made: list[Axes | Value] = [
        tuple(_member(other, axis, i) for other in without(axes, [dim])) for i in wanted
    ]
    if axis.size > 1:
        trace.found |= axis.origins
        pieces = [1] * axis.size if len(made) > 1 else [wanted[0], 1, axis.size - wanted[0] - 1]
        if axis.reason or axis.kind == FAMILY or cut(axis, pieces) is None:
            freeze(axis, call.reason)
    return made


def _member(axis: Axis, index: Axis, i: int) -> Axis:
    axis = find(axis)
    own = axis.kind == FAMILY and axis.index is not None and find(axis.index) is index
    return axis.kids[i] if own else axis


@rule("slice", "slice_copy", "narrow")
def sliced(trace: Trace, call: Call) -> Axes:
    axes = call.first
    dim = call.dims()[0] if call["dim"] is not None else 0
    axis, length = axes[dim], call.shape[dim]
    start = call["start"] or 0
    start = max(0, start + axis.size if start < 0 else min(start, axis.size))
    pieces = None
    if (call["step"] or 1) == 1:
        pieces = cut(axis, [start, length, axis.size - start - length])
    if length == axis.size:
        return axes
    if pieces is None or length == 0:
        freeze(axis, call.reason)
        piece = fixed(length, call.reason)
    else:
        piece = pieces[1]
    return (*axes[:dim], piece, *axes[dim + 1 :])


@rule(
    *("split", "split_with_sizes", "chunk", "tensor_split", "unsafe_split", "unsafe_chunk"),
    *("split_copy", "split_with_sizes_copy", "hsplit", "vsplit"),
)
def chunks(trace: Trace, call: Call) -> list[Axes | Value]:
    axes = call.first
    dim = call.dims()[0] if call["dim"] is not None else 0
    sizes = [shape[dim] for shape in call.shapes]
    pieces = cut(axes[dim], sizes)
    if pieces is None:
        freeze(axes[dim], call.reason)
        pieces = [fixed(n, call.reason) for n in sizes]
    return [(*axes[:dim], piece, *axes[dim + 1 :]) for piece in pieces]


@rule("cat", "concat", "concatenate")
def joined(trace: Trace, call: Call) -> Axes:
    operands = [v.axes for v in call.values if [a.size for a in v.axes] != [0]]
    dim = call.dims(rank=len(operands[0]))[0] if call["dim"] is not None else 0
    others = broadcast([without(axes, [dim]) for axes in operands])
    return (*others[:dim], total([axes[dim] for axes in operands]), *others[dim:])


@rule("stack")
def stacked(trace: Trace, call: Call) -> Axes:
    operands = [value.axes for value in call.values]
    rank = len(operands[0]) + 1
    dim = call.dims(rank=rank)[0]
    index = fixed(len(operands), "the position in a stack")
    others = [
        column[0] if all(find(a) is find(column[0]) for a in column) else family(index, column)
        for column in zip(*operands, strict=True)
    ]
    return (*others[:dim], index, *others[dim:])


@rule("expand", "expand_as", "broadcast_to", "expand_copy")
def expanded(trace: Trace, call: Call) -> Axes:
    """New copies along an axis are alike: it is free until something tells them apart."""
    axes, shape = call.first, call.shape
    lead = len(shape) - len(axes)
    return tuple(
        axes[d - lead] if d >= lead and axes[d - lead].size == n else Axis(n)
        for d, n in enumerate(shape)
    )


@rule("repeat", "tile")
def repeated(trace: Trace, call: Call) -> Axes:
    axes, shape = call.first, call.shape
    padded = (*(Axis(1) for _ in range(len(shape) - len(axes))), *axes)
    return tuple(
        product([Axis(n // axis.size), axis]) if axis.size else fixed(n, call.reason)
        for axis, n in zip(padded, shape, strict=True)
    )


@rule("repeat_interleave")
def interleaved(trace: Trace, call: Call) -> Axes | list[Axes | Value]:
    axes = call.first
    if not isinstance(call["repeats"], int) or call["dim"] is None:
        for axis in (*axes, *(a for v in call.values for a in v.axes)):
            freeze(axis, call.reason)
        return tuple(fixed(n, call.reason) for n in call.shape)
    (dim,) = call.dims()
    long = product([axes[dim], Axis(call["repeats"])])
    return (*axes[:dim], long, *axes[dim + 1 :])


@rule("pad", "constant_pad_nd")
def padded(trace: Trace, call: Call) -> Axes:
    """A constant border is alike everywhere; other borders copy by position."""
    axes = list(call.first)
    pairs = list(zip(call["pad"][::2], call["pad"][1::2], strict=True))
    for d, (before, after) in zip(range(len(axes) - 1, -1, -1), pairs, strict=False):
        if before == after == 0:
            continue
        if min(before, after) < 0 or (call["mode"] or "constant") != "constant":
            freeze(axes[d], call.reason)
            axes[d] = fixed(call.shape[d], call.reason)
        else:
            axes[d] = total([Axis(before), axes[d], Axis(after)])
    return tuple(axes)


@rule("glu")
def gated_half(trace: Trace, call: Call) -> Axes:
    (dim,) = call.dims()
    half = call.first[dim].size // 2
    pieces = cut(call.first[dim], [half, half])
    if pieces is None:
        freeze(call.first[dim], call.reason)
        pieces = [fixed(half, call.reason)]
    else:
        unify(*pieces)
    return (*call.first[:dim], pieces[0], *call.first[dim + 1 :])
