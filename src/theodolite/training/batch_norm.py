"""BatchNorm statistics of weights that were never trained themselves: averages and samples."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from theodolite.errors import InvalidArgument, InvalidData, InvalidType
from theodolite.objective.batches import Batch
from theodolite.objective.statistics import batch_norm_layers, recompute


def recompute_batch_norm(model: nn.Module, batches: Iterable[Any]) -> int:
    r"""Set BatchNorm's running statistics to those of all the data; returns the passes it took.

    .. math:: \mu = \tfrac1n \sum_i x_i, \qquad \sigma^2 = \tfrac1n \sum_i (x_i - \mu)^2

    over every input ``x_i`` of a channel, in float64, layer after layer: what one pass in
    training mode over the whole data as one batch normalizes with, dropout off, however the data
    are cut. ``torch.optim.swa_utils.update_bn`` averages the batches' statistics instead, divides
    by ``n - 1``, and feeds deeper layers what each batch's own statistics made.

    Parameters
    ----------
    model
        Its running statistics are written (``num_batches_tracked`` becomes the number of batches);
        weights, modes, momenta and gradients are not. After an error all is as before.
    batches
        A list or a loader that can be gone through several times; a batch is the input or a tuple
        that begins with it.

    Raises
    ------
    InvalidArgument
        For an iterator, which is used up after one pass (E-W10).
    InvalidData
        Without any batch, or for statistics that are not finite (E-W11).
    InvalidType
        For a batch that is neither a tensor nor a tuple that begins with one (E-W12).

    Notes
    -----
    One forward pass a BatchNorm layer, each up to that layer. Random augmentation makes the passes
    differ, which is not checked; layers of other kinds (InstanceNorm) are left alone.

    Examples
    --------
    >>> layer = nn.BatchNorm1d(1)
    >>> recompute_batch_norm(layer, [torch.tensor([[1.0], [2.0]]), torch.tensor([[6.0]])])
    1
    >>> layer.running_mean.item(), round(layer.running_var.item(), 4)  # 3, (4 + 1 + 9) / 3
    (3.0, 4.6667)
    """
    layers = batch_norm_layers(model)
    if not layers:
        return 0
    if isinstance(batches, Iterator):
        raise InvalidArgument(
            f"batches must be gone through once a layer; got {type(batches).__name__}.",
            where="recompute_batch_norm",
            fix="pass list(batches), or the loader itself.",
            code="E-W10",
        )
    modes = [(module, module.training) for module in model.modules()]
    kept = [
        (buffer, buffer.clone())
        for m in layers
        for buffer in (m.running_mean, m.running_var, m.num_batches_tracked)
        if buffer is not None
    ]
    try:
        model.eval()
        with torch.no_grad():
            passes = _recomputed(model, layers, batches)
    except BaseException:
        with torch.no_grad():
            for buffer, copy in kept:
                buffer.copy_(copy)
        raise
    finally:
        for module, training in modes:
            module.training = training
    return passes


def _recomputed(model: nn.Module, layers: list[_BatchNorm], batches: Iterable[Any]) -> int:
    inputs = _Inputs(batches)
    passes = recompute(layers, inputs, lambda batch: batch.call(model))
    if not inputs.count:
        raise InvalidData(
            "batches holds no batch.",
            where="recompute_batch_norm",
            fix="pass the training data.",
            code="E-W11",
        )
    for m in layers:
        found = (m.running_mean, m.running_var)
        if not all(t is None or bool(torch.isfinite(t).all()) for t in found):
            raise InvalidData(
                f"the statistics of a BatchNorm layer of {m.num_features} channels are not finite.",
                where="recompute_batch_norm",
                why="its inputs hold NaN or infinity, or the weights before it do.",
                code="E-W11",
            )
        if m.num_batches_tracked is not None:
            m.num_batches_tracked.fill_(inputs.count)
    return passes


@dataclass(eq=False)
class _Inputs:
    """The batches as the objective's own, however often they are gone through; counted."""

    batches: Iterable[Any]
    count: int = 0

    def __iter__(self) -> Iterator[Batch]:
        self.count = 0
        for index, raw in enumerate(self.batches):
            x = _input(raw)
            self.count += 1
            yield Batch(raw, (x,), {}, None, len(x), index)


def _input(batch: Any) -> Tensor:
    first = batch[0] if isinstance(batch, tuple | list) and batch else batch
    if not isinstance(first, Tensor):
        raise InvalidType(
            "a batch must be a tensor or a tuple that begins with one; "
            f"got {type(batch).__name__}.",
            where="recompute_batch_norm",
            fix="pass a list of the inputs alone.",
            code="E-W12",
        )
    return first
