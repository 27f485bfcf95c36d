"""Rules of products: what is summed over is unified, what remains comes out."""

from __future__ import annotations

from theodolite.symmetry.axes import Axis, freeze, product, unify
from theodolite.symmetry.elementwise_rules import broadcast
from theodolite.symmetry.propagation import Axes, Call, Trace, Value, rule


def contracted(trace: Trace, a: Axes, b: Axes) -> Axes:
    """The axes of ``a @ b``, batches included."""
    left, right = (a if len(a) > 1 else (Axis(1), *a)), (b if len(b) > 1 else (*b, Axis(1)))
    unify(left[-1], right[-2])
    batch = broadcast([left[:-2], right[:-2]])
    trace.mix([left[-1]], [*batch, left[-2], right[-1]])
    rows = (left[-2],) if len(a) > 1 else ()
    columns = (right[-1],) if len(b) > 1 else ()
    return (*batch, *rows, *columns)


@rule("matmul", "mm", "bmm", "mv", "dot", "vdot", "inner_product")
def matmul(trace: Trace, call: Call) -> Axes:
    a, b = call.values
    return contracted(trace, a.axes, b.axes)


@rule("addmm", "baddbmm", "addmv")
def added_product(trace: Trace, call: Call) -> Axes:
    added, a, b = call.values
    return broadcast([contracted(trace, a.axes, b.axes), added.axes])


@rule("linear")
def linear(trace: Trace, call: Call) -> Axes:
    inputs, weight = call.axes("input"), call.axes("weight")
    assert inputs is not None
    assert weight is not None
    made = contracted(trace, inputs, weight[::-1])
    bias = call.axes("bias")
    return made if bias is None else broadcast([made, bias])


@rule("outer", "ger")
def outer(trace: Trace, call: Call) -> Axes:
    a, b = call.values
    return (*a.axes, *b.axes)


@rule("cdist", "_cdist_forward")
def distances(trace: Trace, call: Call) -> Axes:
    a, b = call.values
    return contracted(trace, a.axes, (*b.axes[:-2], b.axes[-1], b.axes[-2]))


@rule("bilinear")
def bilinear(trace: Trace, call: Call) -> Axes:
    a, b, weight = (call.axes(name) or () for name in ("input1", "input2", "weight"))
    unify(a[-1], weight[1])
    unify(b[-1], weight[2])
    batch = broadcast([a[:-1], b[:-1]])
    trace.mix([a[-1], b[-1]], [*batch, weight[0]])
    made = (*batch, weight[0])
    bias = call.axes("bias")
    return made if bias is None else broadcast([made, bias])


@rule("einsum")
def einsum(trace: Trace, call: Call) -> Axes | list[Axes | Value]:
    """One letter is one axis; letters that do not come out are summed over."""
    equation = call["equation"].replace(" ", "")
    inputs, _, output = equation.partition("->")
    operands = [value.axes for value in call.values]
    sides = inputs.split(",")
    if "->" not in equation:
        letters = inputs.replace(",", "").replace(".", "")
        once = "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
        output = ("..." if "..." in inputs else "") + once
    by_letter: dict[str, Axis] = {}
    dotted: list[Axes] = []
    for side, axes in zip(sides, operands, strict=True):
        front, dots, back = side.partition("...")
        stop = len(axes) - len(back)
        if dots:
            dotted.append(axes[len(front) : stop])
        pairs = [*zip(front, axes, strict=False), *zip(back, axes[stop:], strict=True)]
        for letter, axis in pairs:
            known = by_letter.setdefault(letter, axis)
            if known.size == 1:
                by_letter[letter] = axis
            elif axis.size != 1:
                unify(known, axis)
    rest = broadcast(dotted) if dotted else ()
    front, dots, back = output.partition("...")
    made = [*(by_letter[c] for c in front), *(rest if dots else ()), *(by_letter[c] for c in back)]
    summed = [axis for c, axis in by_letter.items() if c not in output]
    trace.mix(summed, made)
    return tuple(made)


@rule(
    "scaled_dot_product_attention",
    "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_attention_math",
)
def attention(trace: Trace, call: Call) -> list[Axes | Value]:
    """Softmax of q k' over keys, times v; a mask broadcasts against queries and keys."""
    q, k, v = (call.axes(name) or () for name in ("query", "key", "value"))
    unify(q[-1], k[-1])
    unify(k[-2], v[-2])
    grouped = any(len(q) > 2 and 1 < t[-3].size < q[-3].size for t in (k, v))
    batch = (_grouped if grouped else _one_to_one)(q[:-2], k[:-2], v[:-2])
    scores = (*batch, q[-2], k[-2])
    mask = call.axes("attn_mask")
    if mask is not None:
        broadcast([scores, mask])
    if call["is_causal"]:
        _in_order(call, q[-2], k[-2])
    trace.mix([q[-1]], scores)
    trace.mix([k[-2]], [*batch, q[-2], v[-1]])
    made: list[Axes | Value] = [(*batch, q[-2], v[-1])]
    return made + [(*batch, q[-2]) if len(s) < len(q) else scores for s in call.shapes[1:]]


def _in_order(call: Call, *axes: Axis) -> None:
    for axis in axes:
        freeze(axis, "attention is causal along it")


def _one_to_one(q: Axes, k: Axes, v: Axes) -> Axes:
    return broadcast([q, k, v])


def _grouped(q: Axes, k: Axes, v: Axes) -> Axes:
    """Heads of queries as a product: heads of keys times queries a key (grouped-query)."""
    for heads in (k[-1], v[-1]):
        unify(q[-1], product([heads, Axis(q[-1].size // heads.size)]))
    return (*broadcast([q[:-1], k[:-1], v[:-1]]), q[-1])
