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
    slice, because those of a convolution are many times its input. Where the part is a sum of
    outer products, ``positions`` counts them and ``fans`` are the widths of both factors;
    ``form``, where there is one, makes the gradients without making the factors.
    """

    cut: Callable[[int, int], Part]
    numbers: int
    positions: int = 0
    fans: tuple[int, int] = (0, 0)
    form: Callable[[int, int], Tensor] | None = None


@dataclass(frozen=True)
class Work:
    """Multiplications for one tensor of one example: a pass through its layer there and back, its
    norm and products as ghosts, and the same with its gradient formed."""

    passing: int
    ghost: int
    forming: int


def work_of(uses: Sequence[Use], numel: int, rows: int) -> Work:
    """Counted, not timed, so that the same tensors go the same way everywhere."""
    outer = sum(u.positions for u in uses)
    reduced = (1 + rows) * numel
    if not all(u.positions for u in uses):  # rows of a table, or few numbers
        taken = sum(u.numbers for u in uses) * (1 + rows)
        return Work(2 * outer * numel, outer * numel + taken, outer * numel + reduced)
    groups = numel // max(uses[0].fans[0] * uses[0].fans[1], 1)
    pairs = outer * outer * sum(uses[0].fans) * groups if outer > 1 else sum(uses[0].fans)
    return Work(2 * outer * numel, pairs + rows * outer * numel, outer * numel + reduced)


def measured(
    uses: Sequence[Use], examples: int, directions: Float[Tensor, "direction ..."]
) -> tuple[Float[Tensor, " example"], Float[Tensor, "example direction"]]:
    """The squared norm of each example's gradient for a tensor with all its `uses`, and its
    products with `directions`; float64. Factors are multiplied out where that costs less."""
    shape, rows = directions.shape[1:], len(directions)
    work = work_of(uses, shape.numel(), rows)
    outright = all(u.positions for u in uses) and work.forming < work.ghost
    squares, along = [], []
    for start, stop in slices(examples, sum(u.numbers for u in uses) + shape.numel()):
        if outright:
            part: Part = Direct(sum_of([_outright(u, start, stop, shape) for u in uses]))
        else:
            part = _joined([u.cut(start, stop) for u in uses], shape)
        squares.append(_norms(part).double())
        along.append(_products(part, directions).double())
    return torch.cat(squares), torch.cat(along)


def _outright(use: Use, start: int, stop: int, shape: torch.Size) -> Tensor:
    return formed(use.cut(start, stop), shape) if use.form is None else use.form(start, stop)


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


def _norms(part: Part) -> Tensor:
    if isinstance(part, Direct):
        return part.gradients.flatten(1).square().sum(1)
    if isinstance(part, Rows):
        same = part.indices.unsqueeze(1) == part.indices.unsqueeze(2)
        return ((part.slopes @ part.slopes.mT) * same).sum((1, 2))
    if part.inputs.shape[2] == 1:
        return (part.inputs.square().sum(3) * part.slopes.square().sum(3)).sum((1, 2))
    gram = (part.inputs @ part.inputs.mT) * (part.slopes @ part.slopes.mT)
    return gram.sum((1, 2, 3))


def part_size(part: Part) -> int:
    """The examples of a part."""
    return len(part.gradients if isinstance(part, Direct) else part.slopes)


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
    if not len(directions):
        return directions.new_zeros(part_size(part), 0)
    if isinstance(part, Direct):
        return part.gradients.flatten(1) @ directions.flatten(1).T
    if isinstance(part, Rows):
        rows = [(d[part.indices] * part.slopes).sum((1, 2)) for d in directions]
        return torch.stack(rows, 1)
    groups, fan_out, fan_in = part.slopes.shape[1], part.slopes.shape[3], part.inputs.shape[3]
    matrices = directions.reshape(len(directions), groups, fan_out, fan_in)
    columns = [((part.slopes @ m) * part.inputs).sum((1, 2, 3)) for m in matrices]
    return torch.stack(columns, 1)
