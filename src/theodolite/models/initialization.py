"""How the weights of every model here start: He for rectifiers, Glorot for tanh."""

from __future__ import annotations

from torch import nn

from theodolite.errors import InvalidArgument

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}


def activation_module(name: str) -> nn.Module:
    """A new module for the activation called `name`; raises `InvalidArgument` for another."""
    if name not in ACTIVATIONS:
        raise InvalidArgument(
            f"activation must be one of {', '.join(ACTIVATIONS)}; got {name!r}.", code="E-T21"
        )
    return ACTIVATIONS[name]()


def start_weights(layer: nn.Linear | nn.Conv2d, activation: str) -> None:
    """Draw `layer`'s weights for the activation that follows it; its bias starts at zero.

    Normal with variance ``2 / fan_in`` (``relu``, ``gelu``: He et al. 2015),
    ``2 / (fan_in + fan_out)`` (``tanh``: Glorot, Bengio 2010) or ``1 / fan_in`` (``linear``).
    """
    if activation == "tanh":
        nn.init.xavier_normal_(layer.weight)
    else:
        rectified = activation != "linear"
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu" if rectified else "linear")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def require_positive(**values: int) -> None:
    """Raise `InvalidArgument` naming the first of `values` below 1."""
    for name, value in values.items():
        if value < 1:
            raise InvalidArgument(f"{name} must be at least 1; got {value}.", code="E-T22")
