"""BatchNorm statistics of the whole data, recomputed for the weights being evaluated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from theodolite.objective.batches import Batch


class _Enough(BaseException):
    """Leaves a forward pass once the layer of interest has seen its input."""


@dataclass(eq=False)
class Moments:
    """Count, mean and sum of squared deviations by channel, merged exactly over batches."""

    count: int = 0
    mean: Tensor | None = None
    spread: Tensor | None = None

    def add(self, x: Tensor) -> None:
        """Take in a layer's input, channels in the second dimension; in float64."""
        dims = [d for d in range(x.dim()) if d != 1]
        x = x.detach().double()
        mean = x.mean(dims)
        spread = ((x - mean.view(1, -1, *[1] * (x.dim() - 2))) ** 2).sum(dims)
        self.merge(Moments(x.numel() // x.shape[1], mean, spread))

    def merge(self, other: Moments) -> None:
        """Take in the moments of other examples, each side weighted by its count."""
        if other.mean is None or other.spread is None:
            return
        if self.mean is None or self.spread is None:
            self.count, self.mean, self.spread = other.count, other.mean, other.spread
            return
        total, gap = self.count + other.count, other.mean - self.mean
        self.mean = self.mean + gap * (other.count / total)
        self.spread = self.spread + other.spread + gap**2 * (self.count * other.count / total)
        self.count = total

    def write(self, layer: _BatchNorm) -> None:
        """Make these the layer's statistics (population variance, as training normalizes)."""
        assert self.mean is not None
        assert self.spread is not None
        assert layer.running_mean is not None
        assert layer.running_var is not None
        with torch.no_grad():
            layer.running_mean.copy_(self.mean)
            layer.running_var.copy_(self.spread / self.count)


def batch_norm_layers(model: nn.Module) -> list[_BatchNorm]:
    """The layers with running statistics, each once, in the order the model registers them."""
    return [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]


def recompute(
    layers: list[_BatchNorm],
    batches: Iterable[Batch],
    call: Callable[[Batch], Any],
    merged: Callable[[dict[int, Moments]], dict[int, Moments]] | None = None,
) -> int:
    """Set every layer's running statistics to the moments of its input over all `batches`.

    Layers are set one by one, each from inputs normalized with the pooled statistics of those
    before it: the result does not depend on how the data are split, and the loss equals that of
    one pass in training mode over the whole data as one batch with dropout off. Call inside a
    substituted model, in evaluation mode: the statistics written are working copies.

    Every batch goes up to the first layer not yet set. Where batches take different ways, the
    layer registered first among those they stop at is next, set from the batches that stop
    there. A layer used twice keeps the statistics of its first use; one never reached keeps
    those it came with. Costs one pass a layer, each stopped at its layer, and holds one batch's
    activations at a time; returns the number of passes. `lockstep.together` gives the same
    numbers in one pass. `merged` puts in what other processes found, by the layers' places.
    """
    waiting, passes, places = {id(m) for m in layers}, 0, {id(m): k for k, m in enumerate(layers)}
    while waiting:
        by_layer = _first_inputs(layers, waiting, batches, call)
        found = {places[k]: moments for k, moments in by_layer.items()}
        found = found if merged is None else merged(found)
        reached = [m for k, m in enumerate(layers) if k in found]
        if not reached:
            break
        passes += 1
        found[places[id(reached[0])]].write(reached[0])
        waiting.discard(id(reached[0]))
    return passes


def _first_inputs(
    layers: list[_BatchNorm],
    waiting: set[int],
    batches: Iterable[Batch],
    call: Callable[[Batch], Any],
) -> dict[int, Moments]:
    """By layer, the moments over the batches for which it is the first one still waiting."""
    found: dict[int, Moments] = {}

    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if id(module) in waiting:
            found.setdefault(id(module), Moments()).add(inputs[0])
            raise _Enough

    def through() -> None:
        for batch in batches:
            try:
                call(batch)
            except _Enough:
                continue

    with_hooks(layers, hook, through)
    return found


def with_hooks(
    layers: Sequence[nn.Module],
    hook: Callable[[nn.Module, tuple[Any, ...]], None],
    body: Callable[[], Any],
) -> Any:
    """`body()` while `hook` sees the inputs of every layer."""
    handles = [m.register_forward_pre_hook(hook) for m in layers]
    try:
        return body()
    finally:
        for handle in handles:
            handle.remove()
