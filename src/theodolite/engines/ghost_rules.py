"""Which factors the gradients of a layer's tensors are made of, layer by layer.

A rule applies where a layer's own forward runs and examples are its first dimension. Whether the
factors then are all of the gradient (a weight may be used elsewhere, too) is not its business:
`theodolite.engines.example_gradients` compares with the whole gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.grad import conv1d_weight, conv2d_weight, conv3d_weight

from theodolite.engines.example_parts import Direct, Outer, Part, Rows, Use

Maker = Callable[[Tensor], Use]
"""From the gradients of a layer's outputs to the use of one of its tensors."""

Makers = dict[str, Maker]


def makers_of(module: nn.Module, given: Any, output: Any, examples: int) -> Makers:
    """The uses of a layer's own tensors in one call; empty where there is no rule."""
    rule = rule_of(module)
    fits = isinstance(given, Tensor) and isinstance(output, Tensor)
    if rule is None or not fits or given.dim() == 0 or output.dim() < 2:
        return {}
    if len(given) != examples or len(output) != examples:
        return {}
    return rule(module, given.detach())


def rule_of(module: nn.Module) -> Callable[[Any, Tensor], Makers] | None:
    """The rule for a layer, unless a subclass has a forward of its own."""
    for kind, rule in _RULES.items():
        if isinstance(module, kind) and type(module).forward is kind.forward:
            return rule
    return None


def _wide(tensor: Tensor) -> Tensor:
    """Half-precision factors are multiplied in float32."""
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


def _use(cut: Callable[[Tensor, Tensor], Part], given: Tensor, slopes: Tensor, factor: int) -> Use:
    def piece(start: int, stop: int) -> Part:
        return cut(_wide(given[start:stop]), _wide(slopes[start:stop]))

    return Use(piece, factor * given[0].numel() + slopes[0].numel())


def _outer_use(
    cut: Callable[[Tensor, Tensor], Part],
    form: Callable[[Tensor, Tensor], Tensor] | None,
    fans: tuple[int, int],
    given: Tensor,
    slopes: Tensor,
    factor: int,
    channels: int,
) -> Use:
    """A use that is a sum of outer products of `fans` numbers, one a place of the output."""
    plain = _use(cut, given, slopes, factor)
    places = slopes[0].numel() // max(channels, 1)

    def outright(start: int, stop: int) -> Tensor:
        assert form is not None
        return form(_wide(given[start:stop]), _wide(slopes[start:stop]))

    return Use(plain.cut, plain.numbers, places, fans, None if form is None else outright)


def given_use(gradients: Tensor) -> Use:
    """The use of a tensor whose gradients are known, a row an example."""
    wide = _wide(gradients)
    return Use(lambda i, j: Direct(wide[i:j]), gradients[0].numel())


def is_table(given: Any, output: Any, examples: int) -> bool:
    """Whether rows of an embedding were looked up once for all examples, as positions are."""
    if not isinstance(given, Tensor) or not isinstance(output, Tensor):
        return False
    once = given.dim() == 1 or (given.dim() == 2 and len(given) == 1)
    return once and output.dim() == given.dim() + 1 and len(given) != examples


def _linear(module: nn.Linear, given: Tensor) -> Makers:
    def weight(a: Tensor, d: Tensor) -> Part:
        return Outer(_positions(a), _positions(d))

    def bias(a: Tensor, d: Tensor) -> Part:
        return Direct(d.reshape(len(d), -1, d.shape[-1]).sum(1))

    fans = (module.in_features, module.out_features)
    return {
        "weight": partial(_outer_use, weight, None, fans, given, factor=1, channels=fans[1]),
        "bias": partial(_use, bias, given, factor=1),
    }


def _positions(tensor: Tensor) -> Tensor:
    return tensor.reshape(len(tensor), 1, -1, tensor.shape[-1])


def _convolution(module: Any, given: Tensor) -> Makers:
    size = module.kernel_size
    if given.dim() != len(size) + 2:
        return {}  # a picture without a dimension of examples
    groups, padding = module.groups, list(module._reversed_padding_repeated_twice)
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    stride, dilation = module.stride, module.dilation

    def weight(a: Tensor, d: Tensor) -> Part:
        a = _windows(F.pad(a, padding, mode=mode), size, stride, dilation)
        d = d.unflatten(1, (groups, -1)).flatten(3)
        return Outer(a.reshape(len(a), groups, -1, d.shape[3]).mT, d.mT)

    def bias(a: Tensor, d: Tensor) -> Part:
        return Direct(d.flatten(2).sum(2))

    shape = torch.Size(module.weight.shape)

    def form(a: Tensor, d: Tensor) -> Tensor:
        def one(row: Tensor, slope: Tensor) -> Tensor:
            made: Tensor = _WEIGHT_GRADIENTS[len(size)](
                row.unsqueeze(0), shape, slope.unsqueeze(0), stride, 0, dilation, groups
            )
            return made

        made: Tensor = torch.func.vmap(one)(F.pad(a, padding, mode=mode), d)
        return made

    fans = (shape[1:].numel(), shape[0] // groups)
    return {
        "weight": partial(
            _outer_use,
            weight,
            form,
            fans,
            given,
            factor=torch.Size(size).numel(),
            channels=shape[0],
        ),
        "bias": partial(_use, bias, given, factor=1),
    }


_WEIGHT_GRADIENTS: dict[int, Callable[..., Tensor]] = {
    1: conv1d_weight,
    2: conv2d_weight,
    3: conv3d_weight,
}


def _windows(
    padded: Tensor, size: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Float[Tensor, "example fan_in position"]:
    """What a kernel meets at each position, channel by channel."""
    if len(size) <= 2:  # the fused operation is for pictures; a line is one row of a picture
        flat = padded.unsqueeze(2) if len(size) == 1 else padded
        spans, steps, gaps = ((1, *v) if len(size) == 1 else v for v in (size, stride, dilation))
        return F.unfold(flat, tuple(spans), tuple(gaps), 0, tuple(steps))
    found = padded
    for k, (span, step, gap) in enumerate(zip(size, stride, dilation, strict=True)):
        found = found.unfold(2 + k, gap * (span - 1) + 1, step)[..., ::gap]
    ahead = found.movedim((2, 3, 4), (5, 6, 7))  # example, channel, window, place
    return ahead.reshape(len(padded), -1, ahead.shape[5:].numel())


def _embedding(module: nn.Embedding, given: Tensor) -> Makers:
    def weight(slopes: Tensor) -> Use:
        places = given.reshape(len(given), -1).long()
        d = _wide(slopes).reshape(len(given), -1, slopes.shape[-1])
        if module.padding_idx is not None:
            d = d * (places != module.padding_idx).unsqueeze(2)
        many = places.shape[1]
        return Use(lambda i, j: Rows(places[i:j], d[i:j]), many * (many + 2 * d.shape[2]))

    return {"weight": weight}


def _affine(standard: Callable[[Any, Tensor], Tensor], last: bool) -> Callable[..., Makers]:
    """A normalization: `standard` is what it does before its weight; ``last`` says over which
    dimensions weight and bias lie."""

    def rule(module: Any, given: Tensor) -> Makers:
        normal = standard(module, given)
        kept = len(module.normalized_shape) if last else 0

        def by_example(values: Tensor) -> Part:
            if not last:
                return Direct(values.flatten(2).sum(2) if values.dim() > 2 else values)
            between = tuple(range(1, values.dim() - kept))
            return Direct(values.sum(between) if between else values)

        def weight(a: Tensor, d: Tensor) -> Part:
            return by_example(a * d)

        def bias(a: Tensor, d: Tensor) -> Part:
            return by_example(d)

        return {
            k: partial(_use, f, normal, factor=2) for k, f in (("weight", weight), ("bias", bias))
        }

    return rule


def _layer_standard(m: nn.LayerNorm, x: Tensor) -> Tensor:
    return F.layer_norm(x, m.normalized_shape, None, None, m.eps)


def _rms_standard(m: nn.RMSNorm, x: Tensor) -> Tensor:
    return F.rms_norm(x, m.normalized_shape, None, m.eps)


def _group_standard(m: nn.GroupNorm, x: Tensor) -> Tensor:
    return F.group_norm(x, m.num_groups, None, None, m.eps)


def _batch_standard(m: Any, x: Tensor) -> Tensor:
    own = m.running_mean is None
    return F.batch_norm(x, m.running_mean, m.running_var, None, None, own, 0.0, m.eps)


_RULES: dict[Any, Callable[[Any, Tensor], Makers]] = {
    nn.Linear: _linear,
    nn.Conv1d: _convolution,
    nn.Conv2d: _convolution,
    nn.Conv3d: _convolution,
    nn.Embedding: _embedding,
    nn.LayerNorm: _affine(_layer_standard, last=True),
    nn.RMSNorm: _affine(_rms_standard, last=True),
    nn.GroupNorm: _affine(_group_standard, last=False),
    nn.BatchNorm1d: _affine(_batch_standard, last=False),
    nn.BatchNorm2d: _affine(_batch_standard, last=False),
    nn.BatchNorm3d: _affine(_batch_standard, last=False),
}
