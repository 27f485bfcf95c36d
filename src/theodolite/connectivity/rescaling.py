"""Weights and biases scaled so that a layer's units get a given mean and spread."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvTransposeNd

from theodolite.connectivity.producers import Producer, full_name

CONSTANT = 1e-6
"""A deviation below this share of the wanted one is that of a unit which does not vary."""

Units = tuple[Tensor, Tensor]


def rescale(producer: Producer, views: Mapping[str, Tensor], here: Units, aim: Units) -> None:
    """Scale and shift the units of a linear or convolutional layer in place.

    `here` and `aim` are means and standard deviations of its outputs, now and wanted.
    """
    factor = _factor(here[1], aim[1])
    weight = views[full_name(producer.name, "weight")]
    weight.copy_(_scaled(producer.layer, weight.double(), factor))
    bias = views.get(full_name(producer.name, "bias"))
    if bias is not None:
        bias.copy_(factor * (bias.double() - here[0]) + aim[0])


def rescale_norm(
    producer: Producer, views: Mapping[str, Tensor], inputs: Units, aim: Units
) -> dict[str, Tensor]:
    """Set weight and bias of a BatchNorm layer in place; returns its running statistics.

    These become the moments of its input, so that its outputs before weight and bias have mean 0
    and variance ``v / (v + eps)``.
    """
    layer = producer.layer
    assert isinstance(layer, _BatchNorm)
    mean, deviation = inputs
    variance = deviation.square()
    weight = views.get(full_name(producer.name, "weight"))
    if weight is not None:
        own = weight.double().abs() * (variance / (variance + layer.eps)).sqrt()
        weight.copy_(weight.double() * _factor(own, aim[1]))
    bias = views.get(full_name(producer.name, "bias"))
    if bias is not None:
        bias.copy_(aim[0])
    if layer.running_mean is None or layer.running_var is None:
        return {}
    prefix = "model." + full_name(producer.name, "running_")
    dtype = layer.running_mean.dtype
    return {f"{prefix}mean": mean.to(dtype), f"{prefix}var": variance.to(dtype)}


def _factor(here: Tensor, aim: Tensor) -> Tensor:
    """What takes one deviation to the other; 1 for units that do not vary."""
    still = here <= CONSTANT * aim
    return torch.where(still, 1.0, aim / torch.where(here > 0, here, 1.0))


def _scaled(layer: nn.Module, weight: Tensor, factor: Tensor) -> Tensor:
    """A weight with every unit's share of it times that unit's factor."""
    if not isinstance(layer, _ConvTransposeNd):
        return weight * factor.view(-1, *[1] * (weight.dim() - 1))
    parts = factor.view(layer.groups, 1, -1, *[1] * (weight.dim() - 2))
    split = weight.reshape(layer.groups, -1, *weight.shape[1:])
    return (split * parts).reshape(weight.shape)
