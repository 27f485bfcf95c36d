"""A fixed random sample of an objective's examples, in batches as full as the objective's own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from theodolite.errors import UnsupportedModel
from theodolite.objective import Objective
from theodolite.objective.rules import ModelLoss
from theodolite.objective.stratification import Design
from theodolite.surveys.stratified import drawn


def sample(objective: Objective, limit: int) -> tuple[list[Any], Design]:
    """A fixed random sample of examples, in the data's order, and its design (`drawn`).

    What is left of several batches is put together, up to the size of the largest, because many
    small batches take longer than few large ones. A loss over whole batches keeps its own.
    """
    wanted, design = drawn(objective, limit)
    batches, at, most = [], 0, 1
    for batch in objective.data:
        inside = wanted[(wanted >= at) & (wanted < at + batch.examples)] - at
        at += batch.examples
        most = max(most, batch.examples)
        if len(inside):
            batches.append((chosen(batch.raw, inside, batch.examples), len(inside)))
    if not isinstance(objective.terms, ModelLoss):
        return [raw for raw, _ in batches], design
    return _together(batches, most), design


def chosen(raw: Any, rows: Tensor, examples: int) -> Any:
    """Some examples of a batch; what does not go by example is kept."""

    def pick(leaf: Any) -> Any:
        by_example = isinstance(leaf, Tensor) and leaf.dim() > 0 and len(leaf) == examples
        return leaf[rows.to(leaf.device)] if by_example else leaf

    if not any(isinstance(t, Tensor) for t in pytree.tree_leaves(raw)):
        raise UnsupportedModel(
            "limit needs batches of tensors; these hold none.",
            fix="pass limit=N to td.Objective instead.",
            code="E-S13",
        )
    return pytree.tree_map(pick, raw)


def _together(batches: list[tuple[Any, int]], most: int) -> list[Any]:
    """Neighbors joined while they fit each other and `most` examples."""
    made: list[tuple[Any, int]] = []
    for raw, count in batches:
        before = made[-1] if made else None
        if before and before[1] + count <= most and _fit(before[0], raw, before[1], count):
            made[-1] = (pytree.tree_map(_joined, before[0], raw), before[1] + count)
        else:
            made.append((raw, count))
    return [raw for raw, _ in made]


def _fit(a: Any, b: Any, first: int, second: int) -> bool:
    """Whether two batches differ in nothing but their examples."""
    (left, form), (right, other) = pytree.tree_flatten(a), pytree.tree_flatten(b)
    return form == other and all(
        isinstance(s, Tensor)
        and isinstance(t, Tensor)
        and min(s.dim(), t.dim()) > 0
        and (len(s), len(t)) == (first, second)
        and (s.shape[1:], s.dtype, s.device) == (t.shape[1:], t.dtype, t.device)
        for s, t in zip(left, right, strict=False)
    )


def _joined(a: Tensor, b: Tensor) -> Tensor:
    return torch.cat([a, b])
