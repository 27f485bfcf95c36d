"""Residual networks for small images, with and without their shortcuts and norms."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from theodolite.errors import InvalidArgument
from theodolite.models.initialization import require_positive, start_weights

DEEPEST = 110
NORMS = ("batch", "layer", "group", None)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions; with ``skip``, their input is added before the last rectifier.

    Where the block halves the image or adds channels, the shortcut takes every ``stride``-th
    pixel and fills the new channels with zeros (option A): it never has parameters.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, *, skip: bool, norm: str | None
    ) -> None:
        super().__init__()
        self.stride, self.skip, self.new_channels = stride, skip, outputs - inputs
        self.conv1 = _convolution(inputs, outputs, stride, norm)
        self.norm1 = _norm(norm, outputs)
        self.conv2 = _convolution(outputs, outputs, 1, norm)
        self.norm2 = _norm(norm, outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm2(self.conv2(functional.relu(self.norm1(self.conv1(x)))))
        if self.skip:
            kept = x[:, :, :: self.stride, :: self.stride]
            y = y + functional.pad(kept, (0, 0, 0, 0, 0, self.new_channels))
        return functional.relu(y)


def resnet(
    depth: int = 20,
    *,
    width: int = 16,
    skip: bool = True,
    norm: str | None = "batch",
    classes: int = 10,
    channels: int = 1,
    stem_stride: int = 1,
) -> nn.Sequential:
    """A CIFAR-style residual network of ``depth = 6 n + 2`` weight layers, 8 to 110.

    A 3x3 convolution, three stages of ``n`` blocks at ``width``, 2 and 4 times ``width``
    channels and full, half and quarter resolution, an average over the image, and a linear
    layer. Inputs ``(example, channels, height, width)``, outputs ``(example, classes)``.
    ``skip=False`` leaves out every shortcut and nothing else: the same parameters, names,
    shapes and initial values. ``norm`` is "batch", "layer" (one group), "group" (groups of 8
    channels or fewer) or None, which gives the convolutions biases instead. ``stem_stride=2``
    halves the image first, for a quarter of the cost.

    Weights start as in He et al. (2015). With skips but without norm, that may treble the mean
    square of the activations at each block, so there the second convolution of every block
    starts ``sqrt(3 n)`` times smaller, which bounds the growth through all of them by e^2;
    nothing is added to the network. Without norm and skips it is left plain and, when deep, may
    not train.

    Raises `InvalidArgument` for a depth that is not 6 n + 2 in that range, or an unknown norm.

    Source: He, Zhang, Ren, Sun (2016), arXiv:1512.03385, section 4.2 (option A); scale of the
    branches: Zhang, Dauphin, Ma (2019), arXiv:1901.09321, without its biases and multipliers.

    >>> sum(p.numel() for p in resnet(20, channels=3).parameters())
    269722
    """
    _check(depth, norm)
    require_positive(width=width, classes=classes, channels=channels, stem_stride=stem_stride)
    blocks = (depth - 2) // 6
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        stem=_convolution(channels, width, stem_stride, norm),
        stem_norm=_norm(norm, width),
        stem_relu=nn.ReLU(),
    )
    inputs = width
    for stage in range(3):
        outputs = width * 2**stage
        for i in range(blocks):
            stride = 2 if stage and i == 0 else 1
            block = ResidualBlock(inputs, outputs, stride, skip=skip, norm=norm)
            layers[f"stage{stage + 1}_block{i + 1}"] = block
            inputs = outputs
    layers |= {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    head = nn.Linear(inputs, classes)
    start_weights(head, "linear")
    network = nn.Sequential(layers | {"head": head})
    if norm is None and skip:
        _shrink_branches(network, 3 * blocks)
    return network


def _check(depth: int, norm: str | None) -> None:
    if depth % 6 != 2 or not 8 <= depth <= DEEPEST:
        below = min(max(8, depth - (depth - 2) % 6), DEEPEST)
        raise InvalidArgument(
            f"depth must be 6 n + 2 between 8 and {DEEPEST} (8, 14, 20, ...); got {depth}.",
            fix=f"pass depth={below}" + (f" or depth={below + 6}" if 8 < depth < DEEPEST else ""),
            code="E-T26",
        )
    if norm not in NORMS:
        raise InvalidArgument(
            f"norm must be 'batch', 'layer', 'group' or None; got {norm!r}.", code="E-T24"
        )


def _convolution(inputs: int, outputs: int, stride: int, norm: str | None) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=norm is None)
    start_weights(layer, "relu")
    return layer


def _norm(norm: str | None, channels: int) -> nn.Module:
    if norm is None:
        return nn.Identity()
    if norm == "batch":
        return nn.BatchNorm2d(channels)
    size = 8 if norm == "group" and channels % 8 == 0 else channels
    return nn.GroupNorm(channels // size, channels)


def _shrink_branches(network: nn.Sequential, blocks: int) -> None:
    with torch.no_grad():
        for block in network:
            if isinstance(block, ResidualBlock):
                block.conv2.weight.div_(blocks**0.5)
