"""Layers that see only the data are linear in theta: their outputs add up along a slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from theodolite.objective import Objective

KINDS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
BUDGET = 1 << 30
"""Bytes of outputs kept for one slice; layers beyond it are computed as usual."""

Outputs = tuple[Tensor, ...]
"""The layer's output at the point, then along each direction."""


@dataclass(eq=False)
class Place:
    """Where the evaluation stands: the batch, and the coordinates of the point."""

    batch: int = 0
    at: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False)
class FirstLayers:
    """Outputs by layer and batch; `place` says which of them a forward pass wants."""

    outputs: dict[str, dict[int, Outputs]]
    place: Place = field(default_factory=Place)

    def put_in(self, model: nn.Module) -> None:
        """Let the layers add up their outputs; undone by the guard this must be called under."""
        modules = dict(model.named_modules())
        for name, table in self.outputs.items():
            modules[name].forward = _adding(table, self.place)


def first_layers(objective: Objective, base: Tensor, directions: Sequence[Tensor]) -> FirstLayers:
    """The layers whose input is the same at every point of the slice, with their outputs.

    A layer qualifies if it is reached once a batch and its input, at the far corner of the
    slice, has the bits it has at its center. Costs two passes over the data and one application
    of these layers a direction; holds their outputs, at most `BUDGET` bytes. Call inside
    ``objective.guarded``.
    """
    corner = base + sum(d.to(base) for d in directions)
    seen = [_inputs(objective, point) for point in (base, corner)]
    modules = dict(objective.model.named_modules())
    outputs: dict[str, dict[int, Outputs]] = {}
    left = BUDGET
    for name in seen[0]:
        if not _same(*(s.get(name, {}) for s in seen), batches=objective.data.batches):
            continue
        table = {
            k: _along(objective, name, modules[name], x[0], (base, *directions))
            for k, x in seen[0][name].items()
        }
        size = sum(t.numel() * t.element_size() for ys in table.values() for t in ys)
        if size <= left:
            outputs[name], left = table, left - size
    return FirstLayers(outputs)


def _inputs(objective: Objective, point: Tensor) -> dict[str, dict[int, list[Tensor]]]:
    """What every layer of `KINDS` is given, by name and batch, at `point`."""
    seen: dict[str, dict[int, list[Tensor]]] = {}
    names = {m: n for n, m in objective.model.named_modules() if _plain(m)}
    place = Place()

    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if len(inputs) == 1 and isinstance(inputs[0], Tensor):
            kept = seen.setdefault(names[module], {}).setdefault(place.batch, [])
            kept.append(inputs[0])

    def body() -> None:
        for batch in objective.data:
            place.batch = batch.index
            objective.terms.run(objective.model, batch)

    handles = [m.register_forward_pre_hook(hook) for m in names]
    try:
        objective.forward.run(point, body)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _plain(module: nn.Module) -> bool:
    """A layer as torch made it: a subclass or a replaced ``forward`` may do anything."""
    return type(module) in KINDS and "forward" not in module.__dict__


def _same(first: dict[int, list[Tensor]], second: dict[int, list[Tensor]], *, batches: int) -> bool:
    """Whether a layer was given the same single input for every batch at both points."""
    return len(first) == len(second) == batches and all(
        len(x) == 1 and len(second[k]) == 1 and torch.equal(x[0], second[k][0])
        for k, x in first.items()
    )


def _along(
    objective: Objective, name: str, module: nn.Module, x: Tensor, vectors: Sequence[Tensor]
) -> Outputs:
    """The layer's output with its weights taken from each vector in turn."""
    state = dict(module.named_parameters())
    out = []
    for k, vector in enumerate(vectors):
        views = objective.space.views(vector.to(objective.start))
        by_name = {n: views[e.name] for e in objective.space.entries for n in (e.name, *e.aliases)}
        own = {}
        for n, p in state.items():
            full = f"{name}.{n}" if name else n
            still = objective.forward.fixed.get(f"model.{full}", p.detach())
            moved = by_name.get(full)
            own[n] = (still if k == 0 else torch.zeros_like(still)) if moved is None else moved
            own[n] = own[n].to(x.dtype)
        out.append(functional_call(module, own, (x,)))
    return tuple(out)


def _adding(table: dict[int, Outputs], place: Place) -> Any:
    """A ``forward`` that adds up outputs instead of computing one."""

    def forward(_: Tensor) -> Tensor:
        start, *along = table[place.batch]
        total = torch.add(start, along[0], alpha=place.at[0])
        for outputs, distance in zip(along[1:], place.at[1:], strict=True):
            total.add_(outputs, alpha=distance)
        return total

    return forward
