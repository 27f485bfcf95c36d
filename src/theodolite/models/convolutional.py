"""A small convolutional network without shortcuts."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from theodolite.errors import InvalidArgument
from theodolite.models.initialization import activation_module, require_positive, start_weights


def cnn(
    widths: Sequence[int] = (16, 32),
    *,
    classes: int = 10,
    channels: int = 1,
    activation: str = "relu",
    batch_norm: bool = True,
) -> nn.Sequential:
    """Convolutions 3x3 at ``widths`` channels, each followed by 2x2 max pooling; a linear layer.

    Inputs ``(example, channels, height, width)`` with sides of at least ``2 ** len(widths)``;
    the last feature maps are averaged, so the size of the image does not enter the parameters.
    Outputs are ``(example, classes)``. Convolutions carry a bias only without batch norm.

    Raises `InvalidArgument` for an empty or non-positive width or an unknown activation.

    >>> sum(p.numel() for p in cnn((8, 16), batch_norm=False).parameters())
    1418
    """
    if not widths or min(widths) < 1:
        raise InvalidArgument(
            f"widths must be one or more positive channel counts; got {tuple(widths)}.",
            code="E-T25",
        )
    require_positive(classes=classes, channels=channels)
    layers: list[nn.Module] = []
    for width in widths:
        convolution = nn.Conv2d(channels, width, 3, padding=1, bias=not batch_norm)
        start_weights(convolution, activation)
        layers.append(convolution)
        layers += [nn.BatchNorm2d(width)] if batch_norm else []
        layers += [activation_module(activation), nn.MaxPool2d(2)]
        channels = width
    head = nn.Linear(channels, classes)
    start_weights(head, "linear")
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
