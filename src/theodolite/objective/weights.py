"""What a batch's mean loss is a mean over, proved by splitting a batch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils import _pytree as pytree

from theodolite.engines.problem import MISTAKES
from theodolite.objective.batches import TARGET_KEYS, Batch, copied
from theodolite.objective.intake import Replay

Weighing = Callable[[Batch], float]

IGNORED = -100
"""The label Hugging Face models leave out of their mean."""


def by_examples(batch: Batch) -> float:
    """The number of examples."""
    return float(batch.examples)


def by_tokens(batch: Batch) -> float:
    """The number of labels that count."""
    labels = token_labels(batch.raw)
    return by_examples(batch) if labels is None else float((labels != IGNORED).sum())


def by_predicted_tokens(batch: Batch) -> float:
    """The number of labels that count in a causal model, which never predicts the first."""
    labels = token_labels(batch.raw)
    return by_examples(batch) if labels is None else float((labels[:, 1:] != IGNORED).sum())


def token_labels(raw: Any) -> Tensor | None:
    """Integer labels of more than one dimension, if the batch has them."""
    if isinstance(raw, Mapping):
        found = [raw[k] for k in TARGET_KEYS if k in raw]
        found = found or [raw[k] for k in ("input_ids",) if k in raw]
    elif isinstance(raw, tuple | list):
        found = [raw[-1]]
    else:
        found = [raw]
    labels = found[0] if found else None
    is_tokens = isinstance(labels, Tensor) and labels.dim() >= 2 and not labels.is_floating_point()
    return labels if is_tokens else None


def proved_weighing(
    function: Callable[[nn.Module, Any], Any],
    data: Replay,
    through: Callable[[Callable[[], Any]], Any],
) -> tuple[Weighing, bool]:
    """The first weight under which the parts of a batch combine to the whole, and if one did."""
    batch = next((b for b in data if b.examples > 1), None)
    candidates: list[Weighing] = [by_examples]
    if batch is not None and token_labels(batch.raw) is not None:
        candidates = [by_predicted_tokens, by_tokens, by_examples]
    if batch is None:
        return candidates[0], data.whole == 1
    whole = float(through(lambda: function(data.model, copied(batch.raw))))
    left = list(candidates)
    for cut in sorted({1, batch.examples // 2, batch.examples - 1} - {0}):
        halves = [_part(batch, 0, cut), _part(batch, cut, batch.examples)]
        try:
            values = [float(through(partial(function, data.model, h.raw))) for h in halves]
        except MISTAKES as error:
            if type(error) not in MISTAKES:
                raise
            return candidates[-1], False  # a model that takes batches of one size only
        left = [w for w in left if _combines(w, halves, values, whole)]
    return (left or [candidates[-1]])[0], bool(left)


def parts_add_up(
    losses: Callable[[nn.Module, Batch], tuple[Tensor, Tensor]],
    data: Replay,
    through: Callable[[Callable[[], Any]], Any],
) -> bool:
    """Whether weighted losses of a batch's halves add up to those of the batch."""
    batch = next((b for b in data if b.examples > 1), None)
    if batch is None:
        return True

    def sums(part: Batch) -> tuple[float, float, float]:
        each, weights = through(lambda: losses(data.model, part))
        parts = each.detach().double() * weights
        return float(parts.sum()), float(parts.abs().sum()), float(weights.double().sum())

    half = batch.examples // 2
    ends = (0, batch.examples), (0, half), (half, batch.examples)
    try:
        whole, *halves = (sums(_part(batch, *e)) for e in ends)
    except MISTAKES as error:
        if type(error) not in MISTAKES:
            raise
        return False
    gaps = [abs(w - sum(h)) for w, *h in zip(whole, *halves, strict=True)]
    return not (gaps[0] > 1e-4 * whole[1] or gaps[2] > 1e-4 * abs(whole[2]))


def _combines(weigh: Weighing, parts: list[Batch], values: list[float], whole: float) -> bool:
    pairs = [(weigh(p), v) for p, v in zip(parts, values, strict=True)]
    used = [(w, v) for w, v in pairs if w > 0]
    total = sum(w for w, _ in used)
    if total == 0 or not all(math.isfinite(v) for _, v in used):
        return not math.isfinite(whole)
    mean = sum(w * v for w, v in used) / total
    return abs(mean - whole) <= 1e-4 * max(abs(whole), 1e-6)


def _part(batch: Batch, start: int, stop: int) -> Batch:
    def cut(leaf: Any) -> Any:
        by_example = isinstance(leaf, Tensor) and leaf.dim() > 0 and len(leaf) == batch.examples
        return leaf[start:stop] if by_example else leaf

    raw = copied(pytree.tree_map(cut, batch.raw))
    return Batch(raw, (), {}, None, stop - start, batch.index)
