"""Random test vectors held together with their images, and inner products of such blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from theodolite.linalg.operator import Operator
from theodolite.linalg.probes import signs, sphere
from theodolite.linalg.products import product, wide_dtype, working_dtype

TOGETHER = 8
"""Vectors multiplied at once, unless they are long."""

NUMBERS = 1 << 24
"""Vectors multiplied at once have at most so many numbers together."""

ROWS = 1 << 16
"""Rows of a block that are widened at once for an inner product."""

Progress = Callable[[int, int], None]


def together(operator: Operator) -> int:
    """How many vectors are multiplied at once: 8, fewer where they are long."""
    return max(1, min(TOGETHER, NUMBERS // operator.size))


@dataclass
class Tally:
    """Products done so far, told to ``progress(done, planned)`` after each batch."""

    planned: int
    progress: Progress | None = None
    done: int = field(default=0)

    def add(self, products: int) -> None:
        self.done += products
        if self.progress is not None:
            self.progress(self.done, self.planned)


def probe_columns(
    operator: Operator, seed: int, stream: str, probes: int, *, spherical: bool = False
) -> Float[Tensor, "size probe"]:
    """Random signs, or points of the sphere of radius ``sqrt(size)``, as columns.

    Column `i` depends on `seed`, `stream` and `i` alone.
    """
    draw = sphere if spherical else signs
    columns = torch.empty(
        operator.size, probes, dtype=working_dtype(operator), device=operator.device
    )
    for probe in range(probes):
        columns[:, probe] = draw(operator, seed, stream, probe)
    return columns


def images(
    operator: Operator, columns: Float[Tensor, "size probe"], tally: Tally
) -> Float[Tensor, "size probe"]:
    """`A` applied to all columns, a few at a time."""
    made = torch.empty_like(columns)
    width = together(operator)
    for first in range(0, columns.shape[1], width):
        some = columns[:, first : first + width]
        made[:, first : first + width] = product(operator, some, step=tally.done + 1)
        tally.add(some.shape[1])
    return made


def gram(
    left: Float[Tensor, "size k"], right: Float[Tensor, "size l"]
) -> Float64[np.ndarray, "k l"]:
    """All inner products of columns, accumulated in float64.

    >>> gram(torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0, 0.0], [4.0, 1.0]])).tolist()
    [[11.0, 2.0]]
    """
    wide = wide_dtype(left.device)
    total = torch.zeros(left.shape[1], right.shape[1], dtype=wide, device=left.device)
    for first in range(0, len(left), ROWS):
        rows = slice(first, first + ROWS)
        total += left[rows].to(wide).T @ right[rows].to(wide)
    return np.asarray(total.to("cpu", torch.float64).numpy())


def gram_diagonal(
    left: Float[Tensor, "size k"], right: Float[Tensor, "size k"]
) -> Float64[np.ndarray, " k"]:
    """The inner product of each column with the same column of the other, as `gram`."""
    wide = wide_dtype(left.device)
    total = torch.zeros(left.shape[1], dtype=wide, device=left.device)
    for first in range(0, len(left), ROWS):
        rows = slice(first, first + ROWS)
        total += (left[rows] * right[rows]).sum(0, dtype=wide)
    return np.asarray(total.to("cpu", torch.float64).numpy())


def unit_columns(operator: Operator) -> Iterator[tuple[Tensor, Float[Tensor, "size few"]]]:
    """All unit vectors as blocks of columns, each with the numbers of their entries."""
    width = together(operator)
    for first in range(0, operator.size, width):
        rows = torch.arange(first, min(first + width, operator.size), device=operator.device)
        units = torch.zeros(
            operator.size, len(rows), dtype=working_dtype(operator), device=operator.device
        )
        units[rows, torch.arange(len(rows), device=operator.device)] = 1
        yield rows, units


def exact_trace(operator: Operator, tally: Tally) -> float:
    """The trace by products with all unit vectors.

    >>> exact_trace(Operator.from_matrix(torch.diag(torch.tensor([1.0, 2.0]))), Tally(2))
    3.0
    """
    total = 0.0
    for _, units in unit_columns(operator):
        image = product(operator, units, step=tally.done + 1)
        total += float((units * image).sum(dtype=wide_dtype(operator.device)))
        tally.add(units.shape[1])
    return total
