"""How an objective recomputes BatchNorm statistics: in one pass, or one a layer to save memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from theodolite.engines.problem import MISTAKES
from theodolite.objective.batches import Batch
from theodolite.objective.evaluation import Pass
from theodolite.objective.lockstep import FEW, together
from theodolite.objective.statistics import batch_norm_layers, recompute, with_hooks

Objective = Any  # the class lives in a module that imports this one

Made = TypeVar("Made")


@dataclass(frozen=True)
class Pooling:
    """The way statistics are recomputed ("together" or "by layer"), why, and what is held.

    ``passes`` is the cost of one evaluation in forward passes, an upper bound by layer.
    """

    way: str
    reason: str
    passes: int
    held: int = 0


def by_layer(model: nn.Module, reason: str, held: int = 0) -> Pooling:
    """One pass a layer and one for the losses."""
    return Pooling("by layer", reason, 1 + len(batch_norm_layers(model)), held)


def samples(objective: Objective, run: Callable[[Batch], Made]) -> list[Made]:
    """What `run` gives for every batch, with statistics recomputed where the objective asks."""
    if objective.ranks is not None:
        return _shared(objective, run)
    return _own(objective, run)


def _shared(objective: Objective, run: Callable[[Batch], Made]) -> list[Made]:
    """Those of all ranks: each computes its own batches."""
    indices: list[int] = []

    def noted(batch: Batch) -> Made:
        indices.append(batch.index)
        return run(batch)

    found: list[Made] = objective.ranks.gathered(lambda: _own(objective, noted), indices)
    return found


def _own(objective: Objective, run: Callable[[Batch], Made]) -> list[Made]:
    model, data = objective.model, objective.data
    if objective.batch_norm != "recompute":
        return list(map(run, data))
    layers = batch_norm_layers(model)
    fits = data.kept is not None and len(data.kept) <= FEW  # batches may be cut smaller meanwhile
    if layers and fits and objective.pooling.way == "together":
        return together(layers, data.kept, run)
    merged = None if objective.ranks is None else objective.ranks.merged
    recompute(layers, data, partial(objective.terms.run, model), merged)
    return list(map(run, data))


def policy_facts(objective: Objective) -> dict[str, Any]:
    """The policy for BatchNorm, how it is followed, and how the examples were sampled."""
    layers = batch_norm_layers(objective.model)
    found: dict[str, Any] = {"batch_norm": objective.batch_norm if layers else "none"}
    if layers and objective.batch_norm == "recompute":
        found["batch_norm_way"] = objective.pooling.way
        found["batch_norm_reason"] = objective.pooling.reason
    if objective.design is None:
        return found
    found |= dict(objective.design.facts())
    wanted = 1e-3 * abs(objective.start_pass.loss())
    if wanted > 0 and math.isfinite(objective.start_pass.loss_error()):
        found["examples_for_permille_error"] = objective.start_pass.examples_needed(wanted)
    return found


def chosen_pooling(objective: Objective, first: Pass) -> Pooling:
    """The way for this objective, tried once against `first`, a pass at the start by layer.

    One pass where the data are in memory, where what all batches hold at once fits into the data
    budget, and where the losses are those of `first`: a model whose batches meet in an attribute
    of a module gives others. Costs one pass and one batch more.
    """
    model, kept = objective.model, objective.data.kept
    layers = batch_norm_layers(model)
    if not layers:
        return Pooling("together", "no layer has statistics", 1)
    if kept is None:
        return by_layer(model, "the data are read anew at every pass")
    if objective.ranks is not None:
        return by_layer(model, "the batches are shared between processes")
    if len(kept) == 1:
        return Pooling("together", "one batch", 1)
    if len(kept) > FEW:
        return by_layer(model, f"more than {FEW} batches")
    run = partial(objective.terms.sample, model)
    largest = max(kept, key=lambda b: b.examples)
    held = objective.forward.run(objective.start, lambda: waiting_bytes(layers, run, largest))
    held = held * objective.examples // largest.examples
    budget = objective.data.settings.budget
    if held > budget:
        return by_layer(model, f"all batches at once would hold {held:,} of {budget:,} bytes", held)
    try:
        tried = objective.forward.run(objective.start, lambda: together(layers, kept, run))
    except MISTAKES as error:
        return by_layer(model, f"side by side the batches fail ({type(error).__name__})", held)
    if not _same(torch.cat([t[0] for t in tried]), first.losses, objective.dtype):
        return by_layer(model, "batches meet in the model's attributes", held)
    return Pooling("together", "all batches fit into the data budget", 1, held)


def _same(a: Tensor, b: Tensor, dtype: torch.dtype) -> bool:
    """Equal up to the noise of parallel sums; the two ways do the same operations."""
    bound = {torch.float64: 1e-12, torch.bfloat16: 1e-2, torch.float16: 1e-3}.get(dtype, 1e-6)
    if a.shape != b.shape:
        return False
    gap = torch.nan_to_num((a - b).abs(), nan=0.0).max()
    return float(gap) <= bound * (float(b.abs().mean()) or 1.0)


def waiting_bytes(layers: list[Any], run: Callable[[Batch], Any], batch: Batch) -> int:
    """The most bytes that computing `batch` holds when a layer is reached or at its end.

    Counts every storage made since the beginning that is still alive: activations and results,
    not parameters or data. Costs one forward pass of the batch.
    """
    made = _Made()
    most = [0]

    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        most.append(made.alive())

    with made:
        result = with_hooks(layers, hook, partial(run, batch))
        most.append(made.alive())
    del result
    return max(most)


class _Made(TorchDispatchMode):
    """Remembers, without keeping them, the storages that operations return."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.storages: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {t.untyped_storage()._cdata for t in _dense(args)}
        for tensor in _dense(out):
            storage = tensor.untyped_storage()
            if storage._cdata not in given:
                self.storages[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        return out

    def alive(self) -> int:
        """Bytes of the storages that are still held."""
        return sum(size for ref, size in self.storages.values() if not ref.expired())


def _dense(tree: Any) -> list[Tensor]:
    return [
        t for t in pytree.tree_leaves(tree) if isinstance(t, Tensor) and t.layout == torch.strided
    ]
