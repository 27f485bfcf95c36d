"""Rules of operations that keep, broadcast or reduce axes."""

from __future__ import annotations

from collections.abc import Sequence

from theodolite.symmetry.axes import Axis, freeze, unify
from theodolite.symmetry.propagation import Axes, Call, Trace, Value, fixed, rule, without

RANDOM = ("bernoulli", "rand_like", "randn_like", "randint_like", "rrelu", "multinomial", "normal")

UNIFORM = (
    *("zeros", "ones", "full", "empty", "zeros_like", "ones_like", "full_like", "empty_like"),
    *("new_zeros", "new_ones", "new_full", "new_empty", "scalar_tensor"),
)
"""Operations that make one number everywhere; of a tensor they take the shape alone."""


def broadcast(operands: Sequence[Axes]) -> Axes:
    """The axes of operands lined up from the right; those of one place are unified."""
    made: list[Axis] = []
    for place in range(1, max((len(axes) for axes in operands), default=0) + 1):
        here = [axes[-place] for axes in operands if len(axes) >= place]
        long = [axis for axis in here if axis.size != 1] or here[:1]
        for other in long[1:]:
            unify(long[0], other)
        made.append(long[0])
    return tuple(made[::-1])


@rule(
    *("pointwise", "copy", "fill", "masked_fill", "hardswish", "hardtanh", "complex", "polar"),
    *("__and__", "__or__", "__xor__", "__iand__", "__ior__", "__ixor__"),
    keeps_families=True,
)
def pointwise(trace: Trace, call: Call) -> Axes:
    return broadcast([value.axes for value in call.values])


@rule(
    *("clone", "contiguous", "detach", "alias", "lift_fresh_copy", "lift_fresh", "to", "_to_copy"),
    *("type_as", "positive", "requires_grad", "conj", "resolve_conj", "resolve_neg", "real"),
    *("float", "double", "half", "bfloat16", "zero", "detach_copy"),
    keeps_families=True,
)
def kept(trace: Trace, call: Call) -> Axes:
    return call.first


@rule("dropout", "feature_dropout", "alpha_dropout", "native_dropout", keeps_families=True)
def dropout(trace: Trace, call: Call) -> Axes | list[Axes | Value]:
    if call["train"] and call["p"]:
        return drawn(trace, call)
    return [call.first] * len(call.shapes)


@rule(*RANDOM)
def drawn(trace: Trace, call: Call) -> list[Axes | Value]:
    """Random numbers differ from call to call, so no permutation can be shown to hold."""
    reason = f"random numbers ({call.name})"
    for value in call.values:
        for axis in value.axes:
            freeze(axis, reason)
    return [tuple(fixed(n, reason) for n in shape) for shape in call.shapes]


@rule(*UNIFORM)
def uniform(trace: Trace, call: Call) -> list[Axes | Value]:
    """One number everywhere: any permutation leaves it as it is."""
    return [Value(tuple(Axis(n) for n in call.shape), uniform=True)]


def _reduced(trace: Trace, call: Call, dims: list[int]) -> Axes:
    axes = call.first
    trace.mix([axes[d] for d in dims], without(axes, dims))
    if len(call.shape) == len(axes):
        return tuple(Axis(1) if d in dims else axis for d, axis in enumerate(axes))
    return without(axes, dims)


@rule(
    *("mean", "sum", "nansum", "amax", "amin", "prod", "var", "std", "logsumexp", "any", "all"),
    *("norm", "linalg_vector_norm", "count_nonzero"),
)
def reduction(trace: Trace, call: Call) -> Axes:
    return _reduced(trace, call, call.dims())


@rule("var_mean", "std_mean", "aminmax")
def two_reductions(trace: Trace, call: Call) -> list[Axes | Value]:
    return [_reduced(trace, call, call.dims()) for _ in call.shapes]


@rule("max", "min", "median", "mode", "kthvalue")
def extremes(trace: Trace, call: Call) -> Axes | list[Axes | Value]:
    """Values of a reduction are free; positions freeze the axis once something uses them."""
    if call.axes("other") is not None:
        return pointwise(trace, call)
    dims = call.dims()
    kept_axes = _reduced(trace, call, dims)
    if len(call.shapes) == 1:
        return kept_axes
    return [kept_axes, Value(kept_axes, tuple(call.first[d] for d in dims))]


@rule("argmax", "argmin")
def positions(trace: Trace, call: Call) -> list[Axes | Value]:
    dims = call.dims()
    return [Value(_reduced(trace, call, dims), tuple(call.first[d] for d in dims))]


@rule("softmax", "_softmax", "log_softmax", "_log_softmax", "_safe_softmax", "special_softmax")
def softmax(trace: Trace, call: Call) -> Axes:
    axes, dims = call.first, call.dims()
    trace.mix([axes[d] for d in dims], without(axes, dims))
    return axes


@rule("layer_norm", "native_layer_norm", "rms_norm", "_fused_rms_norm")
def layer_norm(trace: Trace, call: Call) -> list[Axes | Value]:
    axes = call.axes("input") or call.first
    rank = len(call["normalized_shape"])
    inner, outer = axes[len(axes) - rank :], axes[: len(axes) - rank]
    for name in ("weight", "bias"):
        for mine, other in zip(inner, call.axes(name) or inner, strict=True):
            unify(mine, other)
    trace.mix(inner, outer)
    statistics = (*outer, *(Axis(1) for _ in inner))
    return [axes, *(statistics for _ in call.shapes[1:])]


@rule("_weight_norm", "_weight_norm_interface")
def weight_norm(trace: Trace, call: Call) -> list[Axes | Value]:
    """A direction times a length for each entry along `dim`; the norm is over the others."""
    direction, length = call.axes("v") or (), call.axes("g") or ()
    made = broadcast([direction, length])
    dim = call["dim"] or 0
    trace.mix(without(made, [dim]), [made[dim]])
    return [made, *(length for _ in call.shapes[1:])]


@rule("cosine_similarity")
def cosine_similarity(trace: Trace, call: Call) -> Axes:
    axes = broadcast([value.axes for value in call.values])
    dims = call.dims(rank=len(axes))
    trace.mix([axes[d] for d in dims], without(axes, dims))
    return without(axes, dims)


@rule("cumsum", "cumprod", "logcumsumexp", "flip", "roll", "tril", "triu", "renorm")
def ordered(trace: Trace, call: Call) -> Axes:
    """What is read in order keeps its order; the other axes are free."""
    axes = call.first
    triangle = call.name in ("tril", "triu")
    given = "dims" if "dims" in call.arguments else "dim"
    for d in (len(axes) - 2, len(axes) - 1) if triangle else call.dims(given):
        freeze(axes[d], call.reason)
    return axes


@rule("sort", "argsort", "topk", "cummax", "cummin")
def sorted_values(trace: Trace, call: Call) -> list[Axes | Value]:
    """Sorted values forget where they were; positions freeze the axis once they are used."""
    axes = call.first
    (dim,) = call.dims()[-1:] or [0]
    if call.name in ("cummax", "cummin"):
        freeze(axes[dim], call.reason)
    reads = (axes[dim],)
    trace.mix(reads, without(axes, [dim]))

    def made() -> Axes:
        return tuple(
            fixed(n, call.reason) if d == dim else axes[d] for d, n in enumerate(call.shape)
        )

    if call.name == "argsort":
        return [Value(made(), reads)]
    return [made(), Value(made(), reads)]
