r"""Gradients of single examples kept as factors: their norms and products, never the gradients.

A layer that multiplies by one weight at many positions (tokens, pixels, calls) has, for one
example, the gradient :math:`\sum_t d_t a_t^\top` with inputs `a` and output gradients `d`, so

.. math:: \Big\| \sum_t d_t a_t^\top \Big\|^2 = \sum_{t,s} (a_t^\top a_s)(d_t^\top d_s),
          \qquad \Big\langle \sum_t d_t a_t^\top, V \Big\rangle = \sum_t d_t^\top V a_t .
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

NUMBERS = 1 << 24
"""About how many numbers a step may hold at once; examples are taken in slices of this size."""


@dataclass(frozen=True, eq=False)
class Outer:
    """Sums of outer products; ``groups`` are those of a grouped convolution, one otherwise."""

    inputs: Float[Tensor, "example groups position fan_in"]
    slopes: Float[Tensor, "example groups position fan_out"]


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a table, each added to where its index occurs."""

    indices: Int[Tensor, "example position"]
    slopes: Float[Tensor, "example position width"]


@dataclass(frozen=True, eq=False)
class Direct:
    """The gradients themselves, for tensors so small that nothing is gained by factors."""

    gradients: Float[Tensor, "example ..."]


Part = Outer | Rows | Direct


@dataclass(frozen=True, eq=False)
class Use:
    """One use of a tensor in a forward pass: ``cut(start, stop)`` gives some examples' part.

    ``numbers`` is about how many numbers one example's part holds: factors are made slice by
    slice, because those of a convolution are many times its input.
    """

    cut: Callable[[int, int], Part]
    numbers: int


def squared_norms(
    uses: Sequence[Use], examples: int, shape: torch.Size
) -> Float[Tensor, " example"]:
    """The squared norm of each example's gradient for a tensor with all its `uses`; float64."""
    found = []
    for start, stop in slices(examples, sum(u.numbers for u in uses) + shape.numel()):
        part = _joined([u.cut(start, stop) for u in uses], shape)
        found.append(_norms(part, shape).double())
    return torch.cat(found)


def products(
    uses: Sequence[Use], examples: int, directions: Float[Tensor, "direction ..."]
) -> Float[Tensor, "example direction"]:
    """The product of each example's gradient with each direction; float64."""
    if not len(directions):
        return directions.new_zeros(examples, 0, dtype=torch.float64)
    numbers = sum(u.numbers for u in uses) * (1 + len(directions))
    return torch.cat(
        [
            sum_of([_products(u.cut(start, stop), directions).double() for u in uses])
            for start, stop in slices(examples, numbers)
        ]
    )


def sum_of(tensors: Sequence[Tensor]) -> Tensor:
    """Their sum, of one tensor at least."""
    total = tensors[0]
    for more in tensors[1:]:
        total = total + more
    return total


def slices(examples: int, numbers: int) -> list[tuple[int, int]]:
    """Ranges of examples, each of which holds about `NUMBERS` numbers at most."""
    step = max(1, NUMBERS // max(numbers, 1))
    return [(k, min(k + step, examples)) for k in range(0, examples, step)]


def _joined(parts: list[Part], shape: torch.Size) -> Part:
    """Several uses of one tensor as one part: positions side by side where all are alike."""
    if len(parts) == 1:
        return parts[0]
    outer = [p for p in parts if isinstance(p, Outer)]
    if len(outer) == len(parts):
        return Outer(
            torch.cat([p.inputs for p in outer], 2), torch.cat([p.slopes for p in outer], 2)
        )
    rows = [p for p in parts if isinstance(p, Rows)]
    if len(rows) == len(parts):
        return Rows(torch.cat([p.indices for p in rows], 1), torch.cat([p.slopes for p in rows], 1))
    return Direct(sum_of([formed(p, shape) for p in parts]))


def _norms(part: Part, shape: torch.Size) -> Tensor:
    if isinstance(part, Direct):
        return part.gradients.flatten(1).square().sum(1)
    if isinstance(part, Rows):
        same = part.indices.unsqueeze(1) == part.indices.unsqueeze(2)
        return ((part.slopes @ part.slopes.mT) * same).sum((1, 2))
    positions, fan_in, fan_out = part.inputs.shape[2], part.inputs.shape[3], part.slopes.shape[3]
    if positions == 1:
        return (part.inputs.square().sum(3) * part.slopes.square().sum(3)).sum((1, 2))
    if positions * (fan_in + fan_out) < fan_in * fan_out:
        gram = (part.inputs @ part.inputs.mT) * (part.slopes @ part.slopes.mT)
        return gram.sum((1, 2, 3))
    return formed(part, shape).flatten(1).square().sum(1)


def formed(part: Part, shape: torch.Size) -> Float[Tensor, "example ..."]:
    """The gradients that `part` stands for."""
    if isinstance(part, Direct):
        return part.gradients
    if isinstance(part, Outer):
        return (part.slopes.mT @ part.inputs).reshape(-1, *shape)
    table = part.slopes.new_zeros(len(part.slopes), *shape)
    places = part.indices.unsqueeze(2).expand(-1, -1, shape[1])
    return table.scatter_add(1, places, part.slopes)


def _products(part: Part, directions: Tensor) -> Tensor:
    if isinstance(part, Direct):
        return part.gradients.flatten(1) @ directions.flatten(1).T
    if isinstance(part, Rows):
        rows = [(d[part.indices] * part.slopes).sum((1, 2)) for d in directions]
        return torch.stack(rows, 1)
    groups, fan_out, fan_in = part.slopes.shape[1], part.slopes.shape[3], part.inputs.shape[3]
    matrices = directions.reshape(len(directions), groups, fan_out, fan_in)
    columns = [((part.slopes @ m) * part.inputs).sum((1, 2, 3)) for m in matrices]
    return torch.stack(columns, 1)
