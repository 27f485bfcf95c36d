"""What a classifier answers at a point: probabilities by example, and activations of layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor, nn

from theodolite.connectivity.ends import End
from theodolite.errors import InvalidArgument, UnsupportedModel
from theodolite.objective import Objective
from theodolite.objective.batches import Batch
from theodolite.objective.losses import logits_of
from theodolite.objective.pooling import samples
from theodolite.objective.statistics import batch_norm_layers, recompute


@dataclass(frozen=True, eq=False)
class Answers:
    """Log-probabilities, labels and which count, by answer; activations by layer and example.

    ``example`` is the number of the example that an answer belongs to.
    """

    logs: Float64[Tensor, "answer class"]
    labels: Int64[Tensor, " answer"]
    counted: Bool[Tensor, " answer"]
    example: Int64[Tensor, " answer"]
    activations: dict[str, Float64[Tensor, "example feature"]]


def answers(objective: Objective, end: End, layers: Sequence[str]) -> Answers:
    """One pass over the data at an end; with recomputed BatchNorm that of the objective's losses,
    and with `layers` to look into one a BatchNorm layer more."""
    point = objective.point(end.theta)

    def body() -> Answers:
        with torch.no_grad():
            for name, value in end.statistics.items():
                objective.forward.working[name].copy_(value)
        model = objective.model
        run = partial(objective.terms.run, model)
        if not layers:
            outputs: list[Any] = samples(objective, run)
            return _joined(objective, outputs, {})
        if objective.batch_norm == "recompute":  # the layers are looked into afterwards
            recompute(batch_norm_layers(model), objective.data, run)
        return _gathered(objective, layers)

    return objective.guarded(lambda: objective.forward.run(point, body))


def _gathered(objective: Objective, layers: Sequence[str]) -> Answers:
    held: dict[str, list[Tensor]] = {name: [] for name in layers}
    outputs = []
    for batch in objective.data:
        with _watched(objective.model, layers, held, batch):
            outputs.append(objective.terms.run(objective.model, batch))
    return _joined(objective, outputs, {name: torch.cat(parts) for name, parts in held.items()})


def _joined(
    objective: Objective, outputs: Sequence[Any], activations: dict[str, Tensor]
) -> Answers:
    """The answers of all batches in a row."""
    logs, labels, owners = [], [], []
    examples = 0
    for batch, output in zip(objective.data, outputs, strict=True):
        scores = logits_of(output).detach().double()
        scores = scores.movedim(1, -1).reshape(-1, scores.shape[1])
        logs.append(torch.log_softmax(scores, -1).cpu())
        labels.append(batch.targets.reshape(-1).cpu())
        owner = torch.arange(examples, examples + batch.examples)
        owners.append(owner.repeat_interleave(len(labels[-1]) // batch.examples))
        examples += batch.examples
    all_labels = torch.cat(labels).long()
    loss: Any = getattr(objective.terms, "loss", None)
    ignored = getattr(loss, "ignore_index", None)
    every = torch.ones_like(all_labels, dtype=torch.bool)
    counted = every if ignored is None else all_labels != ignored
    return Answers(torch.cat(logs), all_labels, counted, torch.cat(owners), activations)


@contextmanager
def _watched(
    model: nn.Module, layers: Sequence[str], held: dict[str, list[Tensor]], batch: Batch
) -> Iterator[None]:
    """Keep what each layer returns while the model runs on one batch."""
    seen: dict[str, list[Any]] = {name: [] for name in layers}

    def hook(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        seen[name].append(output)

    handles = [
        model.get_submodule(name).register_forward_hook(partial(hook, name)) for name in layers
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
    for name, outputs in seen.items():
        held[name].append(_rows(name, outputs, batch))


def _rows(name: str, outputs: list[Any], batch: Batch) -> Tensor:
    """The output of a layer as a row an example; refused where it is none, or several."""
    if len(outputs) != 1:
        raise InvalidArgument(
            f"layer {name!r} was used {len(outputs)} times in a forward pass.",
            why="its activations are not one row an example.",
            fix="name a layer that is used once.",
            code="E-A11",
        )
    (found,) = outputs
    if not isinstance(found, Tensor) or found.dim() < 2 or len(found) != batch.examples:
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise InvalidArgument(
            f"layer {name!r} returned {shape}: not a tensor with a row for each of the "
            f"{batch.examples} examples.",
            fix="name another layer.",
            code="E-A11",
        )
    return found.detach().flatten(1).double().cpu()


def check_answers(objective: Objective, layers: Any) -> list[str]:
    """The names of layers; raises where the objective is no classifier or has no such layer."""
    if objective.ranks is not None:
        raise UnsupportedModel(
            "answers cannot be gathered where processes share an objective.",
            fix="build the objective without process_group.",
            code="E-A12",
        )
    if objective.start_pass.hits is None:
        raise InvalidArgument(
            "functions are compared by their answers, and the data have no class labels.",
            fix="pass an objective whose targets are integer classes.",
            code="E-A10",
        )
    names = [layers] if isinstance(layers, str) else list(layers)
    known = {name for name, _ in objective.model.named_modules() if name}
    for name in names:
        if name not in known:
            listed = ", ".join(sorted(known)[:8])
            raise InvalidArgument(
                f"the model has no layer {name!r}.",
                fix=f"use names of model.named_modules(): {listed}{', ...' * (len(known) > 8)}.",
                code="E-A11",
            )
    return list(dict.fromkeys(names))
