"""One batch: what goes into the model, what the loss compares with, and how it weighs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from theodolite.errors import InvalidData

TARGET_KEYS = ("labels", "label", "targets", "target", "y")


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch as the user's loader gave it (``raw``), on the objective's device.

    A ``shielded`` one hands out copies of its tensors, for models that write to their inputs.
    """

    raw: Any
    inputs: tuple[Any, ...]
    keywords: Mapping[str, Any]
    targets: Any
    examples: int
    index: int
    shielded: bool = False

    def call(self, model: nn.Module) -> Any:
        """The model's output on this batch."""
        if self.shielded:
            return model(*copied(self.inputs), **copied(dict(self.keywords)))
        return model(*self.inputs, **self.keywords)

    def given(self) -> Any:
        """What a loss over batches gets: containers of its own, and the tensors."""
        return copied(self.raw) if self.shielded else plain(self.raw)

    def copied(self, model: nn.Module) -> Batch:
        """The same batch on copies of its tensors."""
        both = bool(self.inputs or self.keywords)
        return split(copied(self.raw), model, self.index, needs_targets=both)

    def weigh(self) -> int:
        """Bytes of all tensors."""
        return sum(t.numel() * t.element_size() for t in tensors_of(self.raw))


def tensors_of(tree: Any) -> list[Tensor]:
    """All tensors of a nested structure, in order."""
    return [t for t in pytree.tree_leaves(plain(tree)) if isinstance(t, Tensor)]


def plain(tree: Any) -> Any:
    """`tree` with mapping types the tree functions do not know (Hugging Face's) as plain dicts."""
    if isinstance(tree, Mapping):
        return {k: plain(v) for k, v in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(plain(v) for v in tree))
    if isinstance(tree, list | tuple):
        return type(tree)(plain(v) for v in tree)
    return tree


def moved(tree: Any, device: torch.device, dtype: torch.dtype | None, *, own: bool = False) -> Any:
    """`tree` on `device`, floating tensors in `dtype` (or their own), detached from any graph.

    With `own`, the memory is not that of `tree`: a loader may fill the same buffers again.
    """

    def move(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return leaf
        to = dtype if dtype is not None and leaf.is_floating_point() else leaf.dtype
        out = leaf.detach().to(device=device, dtype=to)
        shared = own and out.data_ptr() == leaf.data_ptr()
        return out.clone() if shared or out.is_inference() else out

    return pytree.tree_map(move, plain(tree))


def copied(tree: Any) -> Any:
    """`tree` with copies of its tensors; nothing that is written to them reaches the others."""
    return pytree.tree_map(lambda t: t.clone() if isinstance(t, Tensor) else t, plain(tree))


def count_examples(tree: Any, where: str) -> int:
    """The common first dimension of the tensors in a batch."""
    lengths = [len(t) for t in tensors_of(tree) if t.dim() > 0]
    if not lengths:
        raise InvalidData(
            "a batch holds no tensor with a batch dimension.",
            where=where,
            fix="yield batches of tensors: (inputs, targets), a list or a dict of them.",
            code="E-O20",
        )
    return lengths[0]


def split(raw: Any, model: nn.Module, index: int, *, needs_targets: bool) -> Batch:
    """Tell inputs from targets in one batch.

    A tuple or list is (inputs..., targets); a dict gives the entry called ``labels``, ``label``,
    ``targets``, ``target`` or ``y`` to the loss and the rest to ``model(**rest)`` (or to
    ``model(value)`` where the model takes no argument of that name).
    """
    where = f"batch {index + 1} of the data"
    examples = count_examples(raw, where)
    if not needs_targets:
        return Batch(raw, (), {}, None, examples, index)
    if isinstance(raw, Mapping):
        inputs, keywords, targets = _split_mapping(raw, model, where)
    elif isinstance(raw, Sequence) and len(raw) >= 2:
        inputs, keywords = _as_arguments(raw[0] if len(raw) == 2 else tuple(raw[:-1]))
        targets = raw[-1]
    else:
        kind = f"{type(raw).__name__} of length {len(raw)}" if hasattr(raw, "__len__") else "object"
        raise InvalidData(
            f"a batch must be (inputs, targets) or a dict with targets; got a {kind}.",
            where=where,
            fix="yield pairs, or use Objective.from_batch_loss(model, batch_loss, data).",
            code="E-O21",
        )
    return Batch(raw, inputs, keywords, targets, examples, index)


def _as_arguments(value: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(value, Mapping):
        return (), dict(value)
    if isinstance(value, list | tuple):
        return tuple(value), {}
    return (value,), {}


def _split_mapping(
    raw: Mapping[str, Any], model: nn.Module, where: str
) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
    key = next((k for k in TARGET_KEYS if k in raw), None)
    if key is None:
        raise InvalidData(
            f"a dict batch has keys {sorted(map(str, raw))} and none of them names the targets.",
            where=where,
            fix=f"call the targets one of {', '.join(TARGET_KEYS)}, or use "
            "Objective.from_batch_loss(model, batch_loss, data).",
            code="E-O22",
        )
    rest = {k: v for k, v in raw.items() if k != key}
    if len(rest) == 1 and not _accepts(model.forward, next(iter(rest))):
        return tuple(rest.values()), {}, raw[key]
    return (), rest, raw[key]


def _accepts(function: Callable[..., Any], name: str) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return False
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
