"""Layers that produce units by a sum of inputs, and the mean and variance of what they produce."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrize

from theodolite.connectivity.ends import End
from theodolite.connectivity.holding import held
from theodolite.objective import Objective
from theodolite.objective.statistics import Moments

CONVOLUTIONS = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
PRODUCERS = (nn.Linear, *CONVOLUTIONS, _BatchNorm)


class _Seen(BaseException):
    """Leaves a forward pass once the layer of interest has been seen."""


@dataclass(frozen=True, eq=False)
class Producer:
    """A layer that ran, in the order of the run; ``left`` says why it cannot be rescaled.

    ``partly`` says that its units can be scaled and not shifted.
    """

    name: str
    layer: nn.Module
    left: str = ""
    partly: str = ""


def producers_of(objective: Objective, end: End) -> list[Producer]:
    """The layers in the order in which the first batch reaches them; a pass over that batch."""
    model = objective.model
    named: dict[nn.Module, str] = {
        m: n for n, m in model.named_modules() if isinstance(m, PRODUCERS)
    }
    order: list[nn.Module] = []
    outputs: dict[int, nn.Module] = {}
    normalized: set[nn.Module] = set()
    kept: list[Any] = []  # ids stay theirs while tensors live

    def before(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(layer, _BatchNorm) and id(inputs[0]) in outputs:
            normalized.add(outputs[id(inputs[0])])

    def after(layer: nn.Module, inputs: Any, output: Any) -> None:
        order.append(layer)
        outputs[id(output)] = layer
        kept.append(output)

    def body() -> None:
        handles = [m.register_forward_pre_hook(before) for m in named]
        handles += [m.register_forward_hook(after) for m in named]
        try:
            with torch.no_grad():
                objective.terms.run(model, next(iter(objective.data)))
        finally:
            for handle in handles:
                handle.remove()

    held(objective, end, body)
    found = [m for m in dict.fromkeys(order) if m not in normalized]
    made = [_producer(objective, named[m], m, order.count(m)) for m in found]
    silent = [m for m in named if m not in order]
    return made + [Producer(named[m], m, "its forward never ran") for m in silent]


def _producer(objective: Objective, name: str, layer: nn.Module, runs: int) -> Producer:
    """The layer, and why it cannot be rescaled, if so."""
    moving = {e.name: e for e in objective.space.entries}
    parts = {part: getattr(layer, part, None) for part in ("weight", "bias")}
    left, partly = "", ""
    if runs > 1:
        left = f"it runs {runs} times"
    elif parametrize.is_parametrized(layer) or (
        parts["weight"] is not None and "weight" not in layer._parameters
    ):
        left = "its weight is computed from others"
    elif parts["weight"] is None:
        partly = "no weight and no bias, so only its statistics are set"
    for part, tensor in parts.items():
        entry = moving.get(full_name(name, part))
        if left or tensor is None:
            continue
        if entry is None:
            left = f"its {part} is frozen, or another layer's"
        elif entry.aliases:
            left = f"its {part} is shared with {entry.aliases[0]}"
    if not left and not partly and parts["bias"] is None:
        partly = "no bias, so means stay"
    return Producer(name, layer, left, partly)


def full_name(layer: str, part: str) -> str:
    """The name of a layer's tensor in the model; the layer may be the whole model."""
    return f"{layer}.{part}" if layer else part


def moments(
    objective: Objective,
    end: End,
    layers: Sequence[nn.Module],
    *,
    inputs: bool = False,
    stop: bool = False,
) -> dict[nn.Module, Moments]:
    """Moments by unit of what layers return (or of what they get); one pass over the data.

    With `stop` each batch ends at the first of the layers.
    """
    found = {layer: Moments() for layer in layers}

    def see(layer: nn.Module, given: tuple[Any, ...], output: Any = None) -> None:
        tensor = given[0] if inputs else output
        found[layer].add(units_second(layer, tensor))
        if stop:
            raise _Seen

    def body() -> None:
        with _hooked(layers, see, inputs), torch.no_grad():
            for batch in objective.data:
                try:
                    objective.terms.run(objective.model, batch)
                except _Seen:
                    continue

    held(objective, end, body)
    return found


def units_second(layer: nn.Module, tensor: Tensor) -> Tensor:
    """A layer's tensor with its units in the second dimension."""
    if isinstance(layer, nn.Linear):
        return tensor.reshape(-1, tensor.shape[-1])
    return tensor


@contextmanager
def _hooked(layers: Sequence[nn.Module], see: Callable[..., None], inputs: bool) -> Iterator[None]:
    handles = [
        m.register_forward_pre_hook(see) if inputs else m.register_forward_hook(see) for m in layers
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
