"""Multilayer perceptrons."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from theodolite.errors import InvalidArgument
from theodolite.models.initialization import activation_module, start_weights

NORMS: dict[str, type[nn.Module]] = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm}


def mlp(
    sizes: Sequence[int], *, activation: str = "relu", norm: str | None = None
) -> nn.Sequential:
    """A fully connected network: linear, norm, activation, ..., linear.

    ``sizes`` are the widths from input to output, so ``len(sizes) - 1`` linear layers with
    ``sum(a * b + b)`` parameters (and 2 per hidden unit where there is a ``norm``, "batch" or
    "layer"). Inputs ``(example, ...)`` are flattened; outputs are ``(example, sizes[-1])``.
    He initialization for "relu" and "gelu", Glorot for "tanh", zero biases.

    Raises `InvalidArgument` for fewer than two sizes, a size below 1, or an unknown name.

    >>> sum(p.numel() for p in mlp((64, 32, 10)).parameters())
    2410
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise InvalidArgument(
            f"sizes must be two or more positive widths; got {tuple(sizes)}.", code="E-T23"
        )
    if norm is not None and norm not in NORMS:
        raise InvalidArgument(f"norm must be 'batch', 'layer' or None; got {norm!r}.", code="E-T24")
    activation_module(activation)
    layers: list[nn.Module] = [nn.Flatten()]
    last = len(sizes) - 2
    for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        linear = nn.Linear(fan_in, fan_out)
        start_weights(linear, "linear" if i == last else activation)
        layers.append(linear)
        if i < last:
            layers += [NORMS[norm](fan_out)] if norm else []
            layers.append(activation_module(activation))
    return nn.Sequential(*layers)
