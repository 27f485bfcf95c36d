"""Data of any usual form, read once, checked to be the same on a second reading, and kept."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from theodolite.errors import InvalidArgument, InvalidData, NotDeterministic
from theodolite.objective.batches import Batch, count_examples, moved, plain, split
from theodolite.objective.content import ContentHash
from theodolite.objective.mistakes import named_reading
from theodolite.objective.sources import Settings, has_length, source_of

__all__ = ["MOST_BATCHES", "Replay", "Settings", "read"]

MOST_BATCHES = 10_000
"""A stream of unknown length is given up after so many batches."""

_END = object()


@dataclass(frozen=True, eq=False)
class Replay:
    """Batches that can be gone through again: kept in memory, or read anew from the source.

    ``batches`` are those of this process, of ``whole`` in the data; ``examples`` those of all.
    ``sums`` of the hashes of its own examples and of all tell whether shares make up the data.
    """

    kept: tuple[Batch, ...] | None
    source: Iterable[Any]
    settings: Settings
    model: nn.Module
    fingerprint: str
    examples: int
    batches: int
    whole: int
    sums: tuple[int, int] = (0, 0)

    def shielded(self, on: bool) -> Replay:
        """The same batches, handing out copies of their tensors or the tensors themselves."""
        settings = replace(self.settings, shielded=on)
        if self.kept is None:
            return replace(self, settings=settings)
        kept = tuple(replace(b, shielded=on) for b in self.kept)
        return replace(self, kept=kept, settings=settings)

    def converted(self, dtype: torch.dtype) -> Replay:
        """The same batches with floating tensors in `dtype`."""
        settings = replace(self.settings, dtype=dtype)
        if self.kept is None:
            return replace(self, settings=settings)
        kept = tuple(
            _made(moved(b.raw, settings.device, dtype), settings, self.model, b.index)
            for b in self.kept
        )
        return replace(self, kept=kept, settings=settings)

    def __iter__(self) -> Iterator[Batch]:
        if self.kept is not None:
            return iter(self.kept)
        return _batches(self.source, self.settings, self.model)


def read(data: Any, settings: Settings, model: nn.Module) -> Replay:
    """Read `data` once (twice where a second reading could differ) and keep what fits."""
    source, exact = source_of(data, settings)
    kept: list[Batch] | None = []
    content, own, examples, count, size = ContentHash(), ContentHash(), 0, 0, 0
    known, (first, parts) = exact or has_length(source), settings.share
    for count, batch in enumerate(_batches(source, _undivided(settings), model), 1):
        content.add(batch.raw, batch.examples)
        examples += batch.examples
        if (count - 1) % parts != first:
            continue
        own.add(batch.raw, batch.examples)
        size += batch.weigh()
        if kept is not None and (settings.freeze or size <= settings.budget):
            kept.append(batch)
        else:
            kept = None
        if not known and (kept is None or count >= MOST_BATCHES):
            _refuse_endless(count)
    if examples == 0:
        raise InvalidData(
            "the data hold no example.",
            why="the loader or dataset is empty, or it was already used up.",
            fix="pass data with at least one example, as something that can be iterated again.",
            code="E-O06",
        )
    if count < parts:
        _refuse_few(count, parts)
    if not exact and not settings.freeze:
        _check_second_reading(source, _undivided(settings), model, content)
        if parts > 1 and kept is None:
            _check_second_reading(source, settings, model, own)
    keep = None if kept is None else tuple(kept)
    here, sums = -(-(count - first) // parts), (own.total(), content.total())
    return Replay(keep, source, settings, model, content.digest(), examples, here, count, sums)


def _undivided(settings: Settings) -> Settings:
    return replace(settings, share=(0, 1))


def _refuse_few(count: int, parts: int) -> None:
    raise InvalidData(
        f"the data are {count} {'batch' if count == 1 else 'batches'} for {parts} ranks.",
        fix="pass smaller batches, so that every rank gets one.",
        code="E-O66",
    )


def _batches(source: Iterable[Any], settings: Settings, model: nn.Module) -> Iterator[Batch]:
    left, own, (first, parts) = settings.limit, not isinstance(source, list | tuple), settings.share
    count = 0
    for index, raw in zip(itertools.count(), _quietly(source), strict=False):
        examples = count_examples(plain(raw), f"batch {index + 1} of the data")
        if examples == 0:
            continue
        if left is not None:
            if left <= 0:
                return
            raw = _head(plain(raw), left, examples)
            left -= min(left, examples)
        count += 1
        if (count - 1) % parts != first:
            continue
        on_device = moved(raw, settings.device, settings.dtype, own=own)
        yield _made(on_device, settings, model, index)


def _made(raw: Any, settings: Settings, model: nn.Module, index: int) -> Batch:
    batch = split(raw, model, index, needs_targets=settings.needs_targets)
    return replace(batch, shielded=settings.shielded)


def _head(raw: Any, left: int, examples: int) -> Any:
    if left >= examples:
        return raw
    return pytree.tree_map(
        lambda t: t[:left] if isinstance(t, Tensor) and t.dim() and len(t) == examples else t, raw
    )


def _quietly(source: Iterable[Any]) -> Iterator[Any]:
    """Iterate without the loader's advice about pinned memory and worker counts."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="torch.utils.data")
        iterator = named_reading(0, lambda: iter(source))
    for index in itertools.count():
        raw = named_reading(index, lambda: next(iterator, _END))
        if raw is _END:
            return
        yield raw


def _refuse_endless(count: int) -> None:
    raise InvalidArgument(
        f"data has no length and did not end after {count} batches.",
        why="an endless stream defines no fixed objective, and one too large to keep cannot be "
        "replayed safely.",
        fix="pass limit=N to measure on the first N examples, or data with a length.",
        code="E-O05",
    )


def _check_second_reading(
    source: Iterable[Any], settings: Settings, model: nn.Module, first: ContentHash
) -> None:
    again = ContentHash()
    for batch in _batches(source, settings, model):
        again.add(batch.raw, batch.examples)
    if again.digest() != first.digest():
        raise NotDeterministic(
            f"two readings of the data differ: {first.examples} examples, then {again.examples}, "
            f"{first.differing(again)} of them not among the first.",
            where="the data passed to Objective",
            why="random augmentation in the dataset, shuffle=True with drop_last=True, random "
            "sampling with replacement, or an iterator that was used up.",
            fix="pass freeze_data=True to keep one reading, or make the data deterministic.",
            code="E-O02",
        )
