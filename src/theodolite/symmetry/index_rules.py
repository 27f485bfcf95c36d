"""Rules of operations that pick by position: tables, gathers and scatters."""

from __future__ import annotations

from theodolite.symmetry.axes import Axis, freeze, unify
from theodolite.symmetry.elementwise_rules import broadcast
from theodolite.symmetry.propagation import Axes, Call, Trace, Value, fixed, rule, without


@rule("embedding")
def embedding(trace: Trace, call: Call) -> Axes:
    weight, indices = call.axes("weight") or (), call.axes("indices") or ()
    freeze(weight[0], "rows of a table are picked by number")
    return (*indices, weight[1])


@rule("index_select")
def index_select(trace: Trace, call: Call) -> Axes:
    (dim,) = call.dims()
    axes, index = call.first, call.axes("index") or ()
    freeze(axes[dim], call.reason)
    return (*axes[:dim], index[0] if index else Axis(1), *axes[dim + 1 :])


@rule("gather")
def gather(trace: Trace, call: Call) -> Axes:
    axes, index = call.axes("self") or (), call.axes("index") or ()
    _line_up(call, axes, index, call.dims(rank=len(axes))[0])
    return index


def _line_up(call: Call, axes: Axes, index: Axes, dim: int) -> None:
    """Along `dim` positions are read; elsewhere entries of both meet one to one."""
    for d, (mine, other) in enumerate(zip(axes, index, strict=True)):
        if d == dim or mine.size != other.size:
            freeze(mine, call.reason)
            if d != dim:
                freeze(other, call.reason)
        else:
            unify(mine, other)


@rule("scatter", "scatter_add", "scatter_reduce")
def scatter(trace: Trace, call: Call) -> Axes:
    axes, index = call.axes("self") or (), call.axes("index") or ()
    _line_up(call, axes, index, call.dims(rank=len(axes))[0])
    for name in ("src", "value"):
        source = call.axes(name)
        if source is None or len(source) != len(index):
            continue
        for mine, other in zip(index, source, strict=True):
            if mine.size == other.size:
                unify(mine, other)
            else:
                freeze(mine, call.reason)
                freeze(other, call.reason)
    return axes


@rule("index_add", "index_copy", "index_reduce")
def index_add(trace: Trace, call: Call) -> Axes:
    (dim,) = call.dims(rank=len(call.first))
    axes, index, source = call.first, call.axes("index") or (), call.axes("source") or ()
    freeze(axes[dim], call.reason)
    for d, (mine, other) in enumerate(zip(axes, source, strict=True)):
        if d != dim:
            unify(mine, other)
    if index:
        unify(source[dim], index[0])
    return axes


def _indexed(call: Call) -> tuple[Axes, list[Value | None]]:
    """Freeze what is indexed; the axes of ``self[indices]``, and the indices as given."""
    axes = call.axes("self") or ()
    given: list[Value | None] = list(call["indices"])
    dims = [d for d, index in enumerate(given) if index is not None]
    for d in dims:
        freeze(axes[d], call.reason)
    picked = broadcast([index.axes for index in given if index is not None])
    rest = without(axes, dims)
    together = dims == list(range(dims[0], dims[-1] + 1))
    front = dims[0] if together else 0
    return (*rest[:front], *picked, *rest[front:]), given


def _has_mask(call: Call, made: Axes) -> bool:
    return call.name == "index" and [a.size for a in made] != list(call.shape)


@rule("index")
def index(trace: Trace, call: Call) -> Axes:
    """Picking by tensors of numbers, or by one mask over the first axes."""
    given = [value for value in call["indices"] if value is not None]
    made, _ = _indexed(call)
    if not _has_mask(call, made):
        return made
    axes = call.axes("self") or ()
    masked = len(given[0].axes) if len(given) == 1 else len(axes)
    for axis in (*axes[:masked], *(a for value in given for a in value.axes)):
        freeze(axis, call.reason)
    return (fixed(call.shape[0], call.reason), *axes[masked:])


@rule("index_put", "_index_put_impl")
def index_put(trace: Trace, call: Call) -> Axes:
    axes, values = call.axes("self") or (), call.axes("values") or ()
    given = [value for value in call["indices"] if value is not None]
    made, _ = _indexed(call)
    if any(value.axes and len(value.axes) > 1 for value in given) and len(given) == 1:
        for axis in axes[: len(given[0].axes)]:  # a mask may span several axes
            freeze(axis, call.reason)
    for mine, other in zip(made[::-1], values[::-1], strict=False):
        if mine.size == other.size:
            unify(mine, other)
        elif other.size != 1:
            freeze(mine, call.reason)
            freeze(other, call.reason)
    return axes


@rule("nonzero", "masked_select", "bincount", "one_hot", "bucketize", "searchsorted")
def places(trace: Trace, call: Call) -> list[Axes | Value]:
    """Numbers of places, or classes by number: the order of all that is read matters."""
    for value in call.values:
        for axis in value.axes if call.name in ("nonzero", "masked_select", "bincount") else ():
            freeze(axis, call.reason)
    if call.name in ("bucketize", "searchsorted"):
        for axis in call["boundaries"].axes if call.axes("boundaries") else ():
            freeze(axis, call.reason)
        inputs = call.axes("input") or call.axes("self") or ()
        return [inputs]
    if call.name == "one_hot":
        return [(*call.first, fixed(call.shape[-1], "classes by number"))]
    return [tuple(fixed(n, call.reason) for n in shape) for shape in call.shapes]


@rule("tril_indices", "triu_indices", "arange", "eye", "linspace", "item", "_local_scalar_dense")
def constants(trace: Trace, call: Call) -> list[Axes | Value]:
    return [tuple(fixed(n, "a constant by position") for n in shape) for shape in call.shapes]
