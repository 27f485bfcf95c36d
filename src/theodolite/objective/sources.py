"""Data of any usual form as something to iterate over, batch by batch."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.data import DataLoader, Dataset, IterableDataset

from theodolite import seeds
from theodolite.errors import InvalidData, InvalidType
from theodolite.objective.batches import count_examples, plain, tensors_of


@dataclass(frozen=True)
class Settings:
    """How data become batches; a share ``(k, n)`` is every n-th of them from the k-th on."""

    device: torch.device
    dtype: torch.dtype | None
    freeze: bool
    needs_targets: bool
    limit: int | None
    batch_size: int | None
    budget: int
    shielded: bool = False
    share: tuple[int, int] = (0, 1)


def source_of(data: Any, settings: Settings) -> tuple[Iterable[Any], bool]:
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


def has_length(source: Any) -> bool:
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
    step = settings.batch_size or max(1, min(-(-examples // settings.share[1]), 512))
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
    if not has_length(data):
        raise InvalidData(
            f"the dataset {type(data).__name__} has no length.",
            why="a dataset that is read by index needs __len__, or nobody knows where it ends.",
            fix="add __len__, make it an IterableDataset, or pass a list of batches.",
            code="E-O26",
        )
    chosen = _subset(len(data), settings.limit)  # type: ignore[arg-type]
    wanted = data if chosen is None else torch.utils.data.Subset(data, chosen.tolist())
    if settings.batch_size is None:
        step = max(1, min(step, -(-len(wanted) // settings.share[1])))  # type: ignore[arg-type]
    return DataLoader(wanted, batch_size=step, shuffle=False)
