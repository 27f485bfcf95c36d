"""BatchNorm statistics of the whole data, recomputed for the weights being evaluated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from theodolite.objective.batches import Batch


class _Enough(Exception):
    """Leaves a forward pass once the layer of interest has seen its input."""


@dataclass(eq=False)
class _Moments:
    """Count, mean and sum of squared deviations by channel, merged exactly over batches."""

    count: int = 0
    mean: Tensor | None = None
    spread: Tensor | None = None

    def add(self, x: Tensor) -> None:
        dims = [d for d in range(x.dim()) if d != 1]
        x = x.double()
        count, mean = x.numel() // x.shape[1], x.mean(dims)
        spread = ((x - mean.view(1, -1, *[1] * (x.dim() - 2))) ** 2).sum(dims)
        if self.mean is None or self.spread is None:
            self.count, self.mean, self.spread = count, mean, spread
            return
        total, gap = self.count + count, mean - self.mean
        self.mean = self.mean + gap * (count / total)
        self.spread = self.spread + spread + gap**2 * (self.count * count / total)
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
    """The layers with running statistics."""
    return [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]


def recompute(
    layers: list[_BatchNorm], batches: Sequence[Batch], call: Callable[[Batch], Any]
) -> int:
    """Set every layer's running statistics to the moments of its input over all `batches`.

    Layers are set in the order the forward pass reaches them, each from inputs normalized with
    the pooled statistics of those before it: the result does not depend on how the data are
    split, and the loss equals that of one pass in training mode over the whole data as one
    batch with dropout off. Call inside a substituted model, in evaluation mode: the statistics
    written are working copies. Costs one pass for one batch, otherwise one pass a layer, each
    stopped at its layer; returns that number.
    """
    waiting = {id(m) for m in layers}
    if len(batches) == 1:
        _with_hooks(layers, _settle_at_once(waiting), lambda: call(batches[0]))
        return 1
    passes = 0
    while waiting and _settle_next(layers, waiting, batches, call):
        passes += 1
    return passes


def _settle_at_once(waiting: set[int]) -> Callable[[_BatchNorm, tuple[Tensor, ...]], None]:
    def hook(module: _BatchNorm, inputs: tuple[Tensor, ...]) -> None:
        if id(module) in waiting:
            waiting.discard(id(module))
            moments = _Moments()
            moments.add(inputs[0])
            moments.write(module)

    return hook


def _settle_next(
    layers: list[_BatchNorm],
    waiting: set[int],
    batches: Sequence[Batch],
    call: Callable[[Batch], Any],
) -> bool:
    """Settle the first layer still waiting; false if the forward pass reaches none."""
    moments = _Moments()
    reached: list[_BatchNorm] = []

    def hook(module: _BatchNorm, inputs: tuple[Tensor, ...]) -> None:
        if id(module) in waiting:
            reached.append(module)
            moments.add(inputs[0])
            raise _Enough

    def through() -> None:
        for batch in batches:
            try:
                call(batch)
            except _Enough:
                continue

    _with_hooks(layers, hook, through)
    if not reached:
        return False
    moments.write(reached[0])
    waiting.discard(id(reached[0]))
    return True


def _with_hooks(
    layers: list[_BatchNorm],
    hook: Callable[[_BatchNorm, tuple[Tensor, ...]], None],
    body: Callable[[], Any],
) -> None:
    handles = [m.register_forward_pre_hook(hook) for m in layers]
    try:
        body()
    finally:
        for handle in handles:
            handle.remove()
