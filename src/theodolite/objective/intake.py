"""Data of any usual form, read once, checked to be the same on a second reading, and kept."""

from __future__ import annotations

import itertools
import operator
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils.data import DataLoader, Dataset, IterableDataset

from theodolite import seeds
from theodolite.errors import InvalidArgument, InvalidData, InvalidType, NotDeterministic
from theodolite.objective.batches import Batch, count_examples, moved, plain, split, tensors_of
from theodolite.objective.content import ContentHash
from theodolite.objective.mistakes import named_reading

MOST_BATCHES = 10_000
"""A stream of unknown length is given up after so many batches."""

_END = object()


@dataclass(frozen=True)
class Settings:
    """How data become batches."""

    device: torch.device
    dtype: torch.dtype | None
    freeze: bool
    needs_targets: bool
    limit: int | None
    batch_size: int | None
    budget: int
    shielded: bool = False


@dataclass(frozen=True, eq=False)
class Replay:
    """Batches that can be gone through again: kept in memory, or read anew from the source."""

    kept: tuple[Batch, ...] | None
    source: Iterable[Any]
    settings: Settings
    model: nn.Module
    fingerprint: str
    examples: int
    batches: int

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
    source, exact = _source(data, settings)
    kept: list[Batch] | None = []
    content, examples, count, size = ContentHash(), 0, 0, 0
    known = exact or _has_length(source)
    for batch in _batches(source, settings, model):
        content.add(batch.raw, batch.examples)
        examples, count, size = examples + batch.examples, count + 1, size + batch.weigh()
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
    if not exact and not settings.freeze:
        _check_second_reading(source, settings, model, content)
    keep = None if kept is None else tuple(kept)
    return Replay(keep, source, settings, model, content.digest(), examples, count)


def _source(data: Any, settings: Settings) -> tuple[Iterable[Any], bool]:
    """`data` as something to iterate, and whether it is plain tensors (the same by nature)."""
    if isinstance(data, Tensor):
        raise InvalidType(
            "data must be (inputs, targets), a Dataset, a DataLoader or an iterable of batches; "
            "got a single tensor.",
            fix="pass (inputs, targets).",
            code="E-O23",
        )
    if _is_tensor_pair(data):
        return _slices(plain(data), settings), True
    if isinstance(data, Mapping):
        _check_lengths([t for t in tensors_of(data) if t.dim() > 0])
        return _slices(plain(data), settings), True
    if isinstance(data, DataLoader):
        return data, False
    if isinstance(data, Dataset):
        return _loader(data, settings), False
    if not isinstance(data, Iterable):
        raise InvalidType(
            "data must be (inputs, targets), a Dataset, a DataLoader or an iterable of batches; "
            f"got {type(data).__name__}.",
            fix="pass (inputs, targets) tensors or a DataLoader.",
            code="E-O23",
        )
    if isinstance(data, Iterator) and not settings.freeze:
        raise InvalidData(
            f"data is a one-shot iterator ({type(data).__name__}): it can be read only once, and a "
            "measurement reads it many times.",
            fix="pass a list, a DataLoader or a Dataset, or freeze_data=True to keep one reading.",
            code="E-O04",
        )
    return data, False


def _has_length(source: Any) -> bool:
    """Whether the source says how long it is (a loader of a stream has the method, no answer)."""
    try:
        return len(source) >= 0
    except TypeError:
        return False


def _is_tensor_pair(data: Any) -> bool:
    """(x, y), or ((x1, x2), y), ({"a": x}, y): the whole data as one structure of tensors."""
    if not isinstance(data, tuple | list) or len(data) < 2 or not isinstance(data[-1], Tensor):
        return False
    leaves = pytree.tree_leaves(plain(data))
    same = all(isinstance(t, Tensor) and t.dim() > 0 for t in leaves)
    if not same:
        return False
    _check_lengths(leaves)
    return True


def _check_lengths(tensors: list[Tensor]) -> None:
    lengths = [len(t) for t in tensors]
    if len(set(lengths)) > 1:
        raise InvalidData(
            f"inputs and targets must have the same number of examples; got {lengths}.",
            fix="pass (inputs, targets) with equal first dimensions.",
            code="E-O24",
        )


def _slices(tree: Any, settings: Settings) -> list[Any]:
    examples = count_examples(tree, "the data")
    chosen = _subset(examples, settings.limit)
    if chosen is not None:
        tree = _picked(tree, lambda t: t[chosen.to(t.device)])
        examples = len(chosen)
    step = settings.batch_size or max(1, min(examples, 512))
    starts = range(0, examples, step)
    return [_picked(tree, operator.itemgetter(slice(i, i + step))) for i in starts]


def _picked(tree: Any, pick: Callable[[Tensor], Tensor]) -> Any:
    """Some examples of a whole: numbers and texts beside the tensors stay as they are."""
    return pytree.tree_map(lambda t: pick(t) if isinstance(t, Tensor) and t.dim() else t, tree)


def _subset(examples: int, limit: int | None) -> Tensor | None:
    """The fixed sample every measurement shares: seeded, sorted, without replacement."""
    if limit is None or limit >= examples:
        return None
    order = torch.randperm(examples, generator=seeds.torch_generator(0, "limit", examples))
    return order[:limit].sort().values


def _loader(data: Dataset[Any], settings: Settings) -> DataLoader[Any]:
    step = settings.batch_size or 256
    if isinstance(data, IterableDataset):
        return DataLoader(data, batch_size=step)
    if not _has_length(data):
        raise InvalidData(
            f"the dataset {type(data).__name__} has no length.",
            why="a dataset that is read by index needs __len__, or nobody knows where it ends.",
            fix="add __len__, make it an IterableDataset, or pass a list of batches.",
            code="E-O26",
        )
    chosen = _subset(len(data), settings.limit)  # type: ignore[arg-type]
    wanted = data if chosen is None else torch.utils.data.Subset(data, chosen.tolist())
    return DataLoader(wanted, batch_size=step, shuffle=False)


def _batches(source: Iterable[Any], settings: Settings, model: nn.Module) -> Iterator[Batch]:
    left, own = settings.limit, not isinstance(source, list | tuple)
    for index, raw in zip(itertools.count(), _quietly(source), strict=False):
        examples = count_examples(plain(raw), f"batch {index + 1} of the data")
        if examples == 0:
            continue
        if left is not None:
            if left <= 0:
                return
            raw = _head(plain(raw), left, examples)
            left -= min(left, examples)
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
