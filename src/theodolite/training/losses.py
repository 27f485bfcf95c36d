"""Losses per example, by name: the mean is taken in one place, by whoever sums them."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

from theodolite.errors import InvalidArgument, InvalidData

ExampleLoss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(outputs: Tensor, targets: Tensor, *, smoothing: float | int = 0) -> Tensor:
    """``-log softmax(outputs)[target]`` of every example, ``(example,)``."""
    if outputs.ndim != 2 or targets.ndim != 1 or targets.is_floating_point():
        raise InvalidData(
            "cross_entropy needs outputs (example, class) and integer labels (example,); "
            f"got {tuple(outputs.shape)} and {targets.dtype} {tuple(targets.shape)}.",
            fix="pass loss=function(outputs, targets) -> (example,) for other shapes",
            code="E-T42",
        )
    low, high, classes = int(targets.min()), int(targets.max()), outputs.shape[1]
    if low < 0 or high >= classes:
        raise InvalidData(
            f"labels must lie between 0 and {classes - 1}; got {high if low >= 0 else low}.",
            why=f"the model has {classes} outputs",
            code="E-T50",
        )
    return functional.cross_entropy(outputs, targets, reduction="none", label_smoothing=smoothing)


def mse(outputs: Tensor, targets: Tensor) -> Tensor:
    """Squared error of every example, averaged over its outputs, ``(example,)``."""
    if outputs.shape != targets.shape:
        raise InvalidData(
            f"mse needs outputs and targets of one shape; got {tuple(outputs.shape)} and "
            f"{tuple(targets.shape)}.",
            code="E-T42",
        )
    return functional.mse_loss(outputs, targets, reduction="none").flatten(1).mean(1)


def example_loss(loss: str | ExampleLoss, *, smoothing: float | int = 0) -> ExampleLoss:
    """The loss called `loss`, or `loss` itself; smoothing belongs to ``cross_entropy`` alone."""
    if smoothing and loss != "cross_entropy":
        raise InvalidArgument(
            f"label_smoothing needs loss='cross_entropy'; got {loss!r}.", code="E-T43"
        )
    if loss == "cross_entropy":
        return lambda outputs, targets: cross_entropy(outputs, targets, smoothing=smoothing)
    if loss == "mse":
        return mse
    if callable(loss):
        return loss
    raise InvalidArgument(
        f"loss must be 'cross_entropy', 'mse' or a function; got {loss!r}.", code="E-T44"
    )
