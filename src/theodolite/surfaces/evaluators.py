"""An objective as one of the evaluations runs it: prepared once, used for any points of a slice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from theodolite.objective import Objective
from theodolite.objective.arrangement import chunked, separable
from theodolite.objective.batches import Batch
from theodolite.objective.rules import Sample
from theodolite.surfaces.evaluations import PLAIN, Evaluation
from theodolite.surfaces.first_layer import FirstLayers, Place, first_layers


@dataclass(frozen=True, eq=False)
class Evaluator:
    """What `prepared` made of an objective, its slice and an evaluation."""

    objective: Objective
    evaluation: Evaluation
    layers: FirstLayers | None = None
    compiled: Any = None
    place: Place = field(default_factory=Place)


def prepared(
    objective: Objective,
    base: Tensor,
    directions: Sequence[Tensor] | Tensor,
    evaluation: Evaluation = PLAIN,
) -> Evaluator | None:
    """An evaluator of the slice through `base` along `directions`; None for the plain one.

    What an evaluation asks for and the objective does not allow is left out: batches are cut
    only where losses come by example, and layers are added up or compiled only with frozen
    BatchNorm statistics. Costs the data once more in memory for ``channels_last``,
    and for ``first_layer`` two passes and the outputs of the layers that qualify.
    """
    if evaluation == PLAIN:
        return None
    used = objective
    if separable(objective) and (evaluation.chunk is not None or evaluation.channels_last):
        used = chunked(objective, evaluation.chunk, channels_last=evaluation.channels_last)
    layers, frozen = None, objective.batch_norm == "frozen"  # recomputing looks into the layers
    if evaluation.first_layer and frozen:
        along = [d.to(base) for d in directions]
        layers = used.guarded(lambda: first_layers(used, base, along))
    compiled = torch.compile(objective.model) if evaluation.compiled and frozen else None
    place = Place() if layers is None else layers.place
    return Evaluator(used, evaluation, layers, compiled, place)


def started(evaluator: Evaluator) -> None:
    """Set threads and put the layers in place; inside the guard, which undoes both."""
    if evaluator.evaluation.threads is not None:
        torch.set_num_threads(evaluator.evaluation.threads)
    if evaluator.layers is not None:
        evaluator.layers.put_in(evaluator.objective.model)


def sampler(evaluator: Evaluator) -> Callable[[Batch], Sample]:
    """How a batch gets its losses while the model holds the tensors of a point."""
    used, place = evaluator.objective, evaluator.place
    model = used.model if evaluator.compiled is None else evaluator.compiled

    def sample(batch: Batch) -> Sample:
        place.batch = batch.index
        return used.terms.sample(model, batch)

    def compiled(batch: Batch) -> Sample:
        with torch.compiler.set_stance("default"):
            return sample(batch)

    def narrow(batch: Batch) -> Sample:
        with torch.autocast(used.device.type, torch.bfloat16):
            return sample(batch)

    if evaluator.evaluation.bfloat16:
        return narrow
    return sample if evaluator.compiled is None else compiled
