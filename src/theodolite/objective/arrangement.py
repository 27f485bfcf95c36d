"""The same objective over its data in another arrangement: smaller batches, or fewer examples."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from theodolite.objective.batches import Batch, split
from theodolite.objective.intake import Replay
from theodolite.objective.objective import Objective
from theodolite.objective.rules import ModelLoss


def separable(objective: Objective) -> bool:
    """Whether batches may be cut: data in memory, and losses and outputs by example.

    In training mode a batch's statistics belong to it, and a loss given by batch is one number.
    """
    by_example = isinstance(objective.terms, ModelLoss) and not objective.terms.loss.free
    alone = objective.ranks is None and objective.data.kept is not None
    return alone and by_example and objective.mode == "eval"


def chunked(objective: Objective, size: int | None, *, channels_last: bool = False) -> Objective:
    """`objective` with batches of at most `size` examples, in the same order.

    Its value is that of `objective` up to rounding; call only where it is `separable`. Smaller
    batches stay in a processor's cache, and ``channels_last`` is the layout of images that
    convolutions on a CPU read fastest. Costs a copy of the data where the layout changes.
    """
    batches: list[Batch] = []
    for batch in objective.data.kept or ():
        for start, stop in _pieces(batch.examples, size):
            raw = _part(batch, start, stop, channels_last=channels_last)
            made = split(raw, objective.model, len(batches), needs_targets=True)
            batches.append(replace(made, shielded=batch.shielded))
    return _with_data(objective, tuple(batches))


def subset(objective: Objective, indices: Sequence[int]) -> Objective:
    """`objective` over the examples at `indices` alone, in the data's order; reads the data once.

    Examples are joined into one batch where their tensors fit each other.
    """
    settings, wanted, first = objective.data.settings, sorted(indices), 0
    raws: list[Any] = []
    for batch in objective.data:
        here = [i - first for i in wanted if first <= i < first + batch.examples]
        if here:
            raws.append(_picked(batch, here))
        first += batch.examples
    kept = [
        split(raw, objective.model, k, needs_targets=settings.needs_targets)
        for k, raw in enumerate(_joined(raws))
    ]
    return _with_data(objective, tuple(replace(b, shielded=settings.shielded) for b in kept))


def _pieces(examples: int, size: int | None) -> Iterator[tuple[int, int]]:
    """Nearly equal parts of at most `size`: a small last batch would cost as much as a full one."""
    count = 1 if size is None else -(-examples // size)
    ends = [round(k * examples / count) for k in range(count + 1)]
    return itertools.pairwise(ends)


def _part(batch: Batch, start: int, stop: int, *, channels_last: bool) -> Any:
    def cut(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor) or leaf.dim() == 0 or len(leaf) != batch.examples:
            return leaf
        piece = leaf[start:stop]
        if channels_last and piece.dim() == 4 and piece.is_floating_point():
            return piece.contiguous(memory_format=torch.channels_last)
        return piece

    return pytree.tree_map(cut, batch.raw)


def _picked(batch: Batch, places: list[int]) -> Any:
    def pick(leaf: Any) -> Any:
        by_example = isinstance(leaf, Tensor) and leaf.dim() > 0 and len(leaf) == batch.examples
        return leaf[torch.tensor(places, device=leaf.device)] if by_example else leaf

    return pytree.tree_map(pick, batch.raw)


def _joined(raws: list[Any]) -> list[Any]:
    """All batches as one, or as they are where a leaf is no tensor or has another shape."""
    flat = [pytree.tree_flatten(raw) for raw in raws]
    columns = list(zip(*(leaves for leaves, _ in flat), strict=False))
    fit = all(form == flat[0][1] for _, form in flat) and all(
        all(isinstance(t, Tensor) and t.dim() > 0 for t in column)
        and len({(t.shape[1:], t.dtype) for t in column}) == 1
        for column in columns
    )
    if not fit:
        return raws
    return [pytree.tree_unflatten([torch.cat(list(c)) for c in columns], flat[0][1])]


def _with_data(objective: Objective, kept: tuple[Batch, ...]) -> Objective:
    data = objective.data
    examples = sum(b.examples for b in kept)
    replay: Replay = replace(data, kept=kept, examples=examples, batches=len(kept), whole=len(kept))
    made = object.__new__(Objective)
    for name in Objective.__dataclass_fields__:
        object.__setattr__(made, name, getattr(objective, name))
    object.__setattr__(made, "data", replay)
    object.__setattr__(made, "examples", examples)
    return made
