"""Rules of convolutions, batch and group norms, pooling and resampling: channels and space."""

from __future__ import annotations

from theodolite.symmetry.axes import Axis, freeze, product, split_product, unify
from theodolite.symmetry.propagation import Axes, Call, Trace, Value, fixed, rule

SPACE = "positions in space"


def _groups(axis: Axis, groups: int, call: Call) -> tuple[Axis, Axis]:
    """Channels as groups times channels a group."""
    pieces = split_product(axis, [groups, axis.size // groups])
    if pieces is None:
        freeze(axis, f"groups of channels do not fit how they are made ({call.where})")
        return fixed(groups, call.reason), fixed(axis.size // groups, call.reason)
    return pieces[0], pieces[1]


def _pointwise_in_space(call: Call) -> bool:
    """Whether a kernel of length one moves nothing."""

    def all_are(name: str, wanted: int) -> bool:
        value = call[name]
        listed = value if isinstance(value, list | tuple) else [value]
        return not isinstance(value, str) and all(v == wanted for v in listed)

    weight = call.axes("weight") or ()
    return all(a.size == 1 for a in weight[2:]) and all_are("stride", 1) and all_are("padding", 0)


@rule(
    *("conv1d", "conv2d", "conv3d", "convolution", "_convolution"),
    *("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
)
def convolution(trace: Trace, call: Call) -> Axes:
    """Channels in are summed over within each group, channels out are the weight's, space stays."""
    inputs, weight = call.first, call.axes("weight") or ()
    groups, bias = call["groups"], call.axes("bias")
    turned = call.name.startswith("conv_transpose") or bool(call["transposed"])
    space = len(weight) - 2
    channel = len(inputs) - space - 1
    for axis in weight[2:]:
        freeze(axis, "positions in a kernel")
    into, out = (weight[0], weight[1]) if turned else (weight[1], weight[0])
    kept = list(inputs[:channel])
    if groups == 1:
        unify(inputs[channel], into)
        trace.mix([inputs[channel]], [*kept, out])
    else:
        out = _grouped_channels(trace, call, inputs[channel], weight, turned, kept)
    if bias is not None:
        unify(bias[0], out)
    stays = _pointwise_in_space(call) and not turned
    for axis in () if stays else inputs[channel + 1 :]:
        freeze(axis, SPACE)
    after = inputs[channel + 1 :] if stays else [fixed(n, SPACE) for n in call.shape[-space:]]
    return (*kept, out, *after)


def _grouped_channels(
    trace: Trace, call: Call, channels: Axis, weight: Axes, turned: bool, kept: list[Axis]
) -> Axis:
    """The channels out of a grouped convolution; groups of inputs and of outputs are the same."""
    groups = call["groups"]
    outer, inner = _groups(channels, groups, call)
    first_outer, first_inner = _groups(weight[0], groups, call)
    unify(outer, first_outer)
    if not turned:
        unify(inner, weight[1])
        trace.mix([inner], [*kept, outer, first_inner])
        return weight[0]
    unify(inner, first_inner)
    trace.mix([inner], [*kept, outer, weight[1]])
    return product([outer, weight[1]])


@rule(
    *("batch_norm", "native_batch_norm", "cudnn_batch_norm", "instance_norm"),
    *("_native_batch_norm_legit_no_training", "_native_batch_norm_legit"),
)
def batch_norm(trace: Trace, call: Call) -> list[Axes | Value]:
    inputs = call.first
    channels = inputs[1]
    for name in ("weight", "bias", "running_mean", "running_var"):
        axes = call.axes(name)
        if axes is not None:
            unify(channels, axes[0])
    batch = bool(call["training"] or call["use_input_stats"])
    if batch:
        trace.mix([inputs[0], *inputs[2:]], [channels])
    return [inputs, *(tuple(Axis(n) for n in shape) for shape in call.shapes[1:])]


@rule("group_norm", "native_group_norm")
def group_norm(trace: Trace, call: Call) -> list[Axes | Value]:
    inputs = call.first
    groups = call["num_groups"] or call["group"]
    outer, inner = _groups(inputs[1], groups, call)
    for name in ("weight", "bias"):
        axes = call.axes(name)
        if axes is not None:
            unify(inputs[1], axes[0])
    trace.mix([inner, *inputs[2:]], [inputs[0], outer])
    return [inputs, *((inputs[0], outer) for _ in call.shapes[1:])]


@rule("prelu", "_prelu_kernel")
def prelu(trace: Trace, call: Call) -> Axes:
    inputs, weight = call.first, call.axes("weight") or ()
    if call.name == "prelu" and weight and weight[0].size > 1:
        unify(weight[0], inputs[1])
    elif len(weight) == len(inputs):
        for mine, other in zip(inputs, weight, strict=True):
            if other.size > 1:
                unify(mine, other)
    return inputs


def _resampled(call: Call, space: int) -> list[Axes | Value]:
    """Batch and channels as they were, positions in space fixed."""
    made: list[Axes | Value] = []
    for axis in call.first[-space:]:
        freeze(axis, SPACE)
    for shape in call.shapes:
        last = [fixed(n, SPACE) for n in shape[-space:]]
        made.append((*call.first[:-space], *last))
    return made


def _pooling(space: int, *names: str) -> None:
    @rule(*names)
    def pooled(trace: Trace, call: Call) -> list[Axes | Value]:
        return _resampled(call, space)


for _space in (1, 2, 3):
    _pooling(
        _space,
        *(f"{kind}_pool{_space}d" for kind in ("avg", "max", "lp")),
        *(f"adaptive_{kind}_pool{_space}d" for kind in ("avg", "max")),
        *(f"_adaptive_avg_pool{_space}d", f"max_pool{_space}d_with_indices"),
        *(f"reflection_pad{_space}d", f"replication_pad{_space}d"),
        f"{('linear', 'bilinear', 'trilinear')[_space - 1]}_resampling{_space}d",
    )
_pooling(1, "upsample_nearest1d", "upsample_linear1d", "_upsample_nearest_exact1d")
_pooling(
    *(2, "upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d"),
    *("_upsample_nearest_exact2d", "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"),
)
_pooling(3, "upsample_nearest3d", "upsample_trilinear3d", "_upsample_nearest_exact3d")


@rule("pixel_shuffle", "pixel_unshuffle")
def pixel_shuffle(trace: Trace, call: Call) -> Axes:
    """Channels times blocks become space, or back; order within a block is fixed."""
    axes, block = call.first, (call["upscale_factor"] or call["downscale_factor"]) ** 2
    *lead, channels, high, wide = axes
    for axis in (high, wide):
        freeze(axis, SPACE)
    space = [fixed(n, SPACE) for n in call.shape[-2:]]
    if call.name == "pixel_unshuffle":
        return (*lead, product([channels, fixed(block, SPACE)]), *space)
    outer, inner = _groups(channels, channels.size // block, call)
    freeze(inner, SPACE)
    return (*lead, outer, *space)
