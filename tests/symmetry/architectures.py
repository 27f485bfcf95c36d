"""Every architecture of these tests, with the groups that paper and pencil give it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from tests.symmetry.architectures_attention import ATTENTION
from tests.symmetry.architectures_convolutional import CONVOLUTIONAL
from tests.symmetry.architectures_further import FURTHER
from tests.symmetry.architectures_others import OTHERS
from torch import nn

import theodolite as td
from theodolite import models

Built = tuple[Callable[[], nn.Module], Callable[[], tuple[Any, ...]]]


def pixels() -> tuple[Any, ...]:
    return (torch.randn(2, 1, 8, 8),)


OURS: dict[str, Built] = {
    "mlp": (lambda: models.mlp((64, 12, 8, 10)), pixels),
    "mlp_batch": (lambda: models.mlp((64, 12, 8, 10), norm="batch"), pixels),
    "mlp_layer": (lambda: models.mlp((64, 12, 8, 10), norm="layer"), pixels),
    "cnn": (lambda: models.cnn((4, 6)), pixels),
    "cnn_plain": (lambda: models.cnn((4, 6), batch_norm=False), pixels),
    "resnet14": (lambda: models.resnet(14, width=4), pixels),
    "resnet8_group": (lambda: models.resnet(8, width=16, norm="group"), pixels),
    "resnet8_layer": (lambda: models.resnet(8, width=4, norm="layer"), pixels),
    "resnet8_no_skip": (lambda: models.resnet(8, width=4, skip=False, norm=None), pixels),
    "transformer": (lambda: models.transformer(64, width=12, heads=3), pixels),
    "language_model": (
        lambda: models.language_model(11, width=12, heads=3, length=8),
        lambda: (torch.randint(11, (2, 7)),),
    ),
}
ARCHITECTURES: dict[str, Built] = {**OURS, **CONVOLUTIONAL, **ATTENTION, **OTHERS, **FURTHER}

# Sizes of the groups, by counting: hidden widths, residual streams, heads, units of heads.
ATTENTION_GROUPS = [3, 4, 4]  # heads; units of queries and keys; units of values
EXPECTED: dict[str, list[int]] = {
    "mlp": [12, 8],
    "mlp_batch": [12, 8],
    "mlp_layer": [12, 8],
    "cnn": [4, 6],
    "cnn_plain": [4, 6],
    # two blocks a stage; option A pads the stream of one stage into the next, so the streams
    # are 4 channels, 4 more and 8 more
    "resnet14": [4] * 2 + [8] * 2 + [16] * 2 + [4, 4, 8],
    "resnet8_layer": [4, 8, 16, 4, 4, 8],
    "resnet8_no_skip": [4, 4, 4, 8, 8, 16, 16],
    "transformer": [12] + 2 * [*ATTENTION_GROUPS, 48],
    "language_model": [12] + 2 * [*ATTENTION_GROUPS, 48],
    "vgg": [6, 8, 10],
    "resnet": [6, 6, 8, 8],
    "bottleneck": [8, 4, 4],
    "resnext": [8, 3, 4, 4],
    "densenet": [6, 3, 3, 6, 4, 4],
    "mobilenet": [6, 12, 4, 12, 4, 8],
    "efficientnet": [6, 12, 4, 12, 4, 10, 20, 4, 16],
    # units keep halves of halves together, because the shuffles interleave them
    "shufflenet": [2, 2, 4, 4, 4, 10],
    "convnext": [6, 24, 24],
    "unet": [4, 6, 8, 6, 6, 4, 4],
    # a norm's groups and their channels; channels before flattening; the code; a grouped
    # transposed convolution's groups, channels in and out of each; blocks of the pixel shuffle
    "autoencoder": [2, 3, 4, 7, 2, 2, 3, 3],
    "siamese": [6, 8],
    "vit_fused": [12] + 2 * [*ATTENTION_GROUPS, 20],
    "vit_separate": [12] + 2 * [*ATTENTION_GROUPS, 20],
    "swin": [12] + 2 * [*ATTENTION_GROUPS, 20] + [8],
    # rotations by position fix the units of queries and keys
    "gpt": [12, 2, 3, 4, 18],
    "encoder_decoder": [12, 12] + 3 * ATTENTION_GROUPS,
    "torch_transformer": [12, 16, 16] + 3 * ATTENTION_GROUPS,
    "mixer": [6, 7, 9, 7, 9],
    "lstm": [5] * 4,
    "lstm_projected": [5] * 4 + [3] * 4,
    "gru": [5] * 4,
    "gru_cell": [6],
    "graph": [6, 8, 6],
    "mixture": [6, 8, 8, 8, 6],
    "mixture_routed": [6, 8, 8, 8, 6],
    "mixture_batched": [3, 7],
    "variational": [9, 4, 9],
    "gated": [6, 7],
    "pruned": [8],
    "wavenet": [6, 7, 7, 5, 4],  # stream, gated units, side branches, hidden layer
    "pointnet": [5, 6, 8, 4],  # of the transform, of points, of the whole
    "deep_sets": [6, 7, 5],
    "relative_attention": [12, 12, *ATTENTION_GROUPS],  # the stream and that of the positions
    "capsules": [5, 3, 4, 6],  # channels; types; their units; units of the capsules of classes
    "conditioned": [6, 8, 7],
    "flow": [6, 8],
    "adapted": [8, 3, 3],  # the ranks of the adapters are units as well
    "maxout": [6, 5, 3],
    "squeeze_attend": [12, 5, *ATTENTION_GROUPS],
    "fourier_operator": [6, 6],
    "hyper_network": [5, 6],  # units of the layer whose weights are made, too
    "normed": [6, 7, 5],
}
INDEPENDENT = {  # groups that may be permuted differently at every index of another
    "resnext": 2,
    "autoencoder": 3,
    "vit_fused": 4,
    "vit_separate": 2,
    "swin": 4,
    "gpt": 2,
    "encoder_decoder": 3,
    "torch_transformer": 6,
    "mixture_batched": 1,
    "transformer": 4,
    "language_model": 4,
    "relative_attention": 2,
    "capsules": 1,
    "maxout": 1,
    "squeeze_attend": 2,
}


def built(name: str) -> tuple[nn.Module, tuple[Any, ...]]:
    """The architecture called `name` and inputs for it, from one seed."""
    torch.manual_seed(0)
    make, inputs = ARCHITECTURES[name]
    return make(), inputs()


@cache
def discovered(name: str) -> td.Symmetries:
    """The symmetries of `built(name)`, traced once for all tests."""
    return td.symmetries(*built(name))
