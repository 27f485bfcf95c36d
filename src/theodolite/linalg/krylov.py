"""A growing orthonormal basis and what an operator does to it.

The state of `thick_restart`: orthonormal rows of which the first ``multiplied`` have been
multiplied by the operator, while the others are pending, that is, known to be needed:

    A row_j = sum_i coefficients[i, j] row_i        for every j < multiplied, to rounding.

With one start vector there is always one pending row and the scheme is Lanczos; after a warm
start with k vectors there are k, and the next product goes where the residuals are largest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from theodolite.linalg.lanczos import BREAKDOWN
from theodolite.linalg.operator import Operator
from theodolite.linalg.orthogonal import orthogonalize
from theodolite.linalg.products import inner, norm, product, working_dtype
from theodolite.linalg.symmetry import require_symmetry

COLUMNS = 1 << 16
"""Columns of the basis rotated at a time, so that a restart needs no second basis."""


@dataclass(frozen=True, eq=False)
class Krylov:
    """Rows, what the operator did to them, and counts. The buffers are reused by later states.

    ``scale`` is the largest norm of a product, a lower bound of the operator's norm, and
    ``asymmetry`` the largest difference found between <u, A v> and <v, A u>.
    """

    operator: Operator
    rows: Float[Tensor, "capacity size"]
    coefficients: Float64[np.ndarray, "capacity capacity"]
    multiplied: int = 0
    known: int = 0
    products: int = 0
    scale: float = 0.0
    asymmetry: float = 0.0

    @property
    def pending(self) -> int:
        return self.known - self.multiplied

    @property
    def full(self) -> bool:
        """No room for what the next product adds, though there may be such a thing."""
        return self.known == len(self.rows) < self.operator.size

    @property
    def complete(self) -> bool:
        """Every direction there is has been multiplied."""
        return self.multiplied == self.operator.size


def empty(operator: Operator, capacity: int) -> Krylov:
    rows = torch.empty(
        capacity, operator.size, dtype=working_dtype(operator), device=operator.device
    )
    return Krylov(operator, rows, np.zeros((capacity, capacity)))


def with_rows(krylov: Krylov, vectors: Float[Tensor, "k size"]) -> Krylov:
    """Add `vectors` to the pending rows, leaving out what the rows before already span."""
    for vector in vectors.to(krylov.rows):
        krylov, _ = _with_remainder(krylov, vector)
    return krylov


def with_random_row(krylov: Krylov, generator: torch.Generator) -> Krylov:
    """Make the first pending row a random one, uniform among those the multiplied ones leave.

    Drawn on the CPU, so that every device starts from the same numbers.
    """
    drawn = torch.randn(krylov.operator.size, generator=generator, dtype=torch.float64)
    before = krylov.multiplied
    krylov, inside = _with_remainder(krylov, drawn.to(krylov.rows.dtype).to(krylov.rows.device))
    return turned(krylov, inside[before : krylov.known])


def _with_remainder(
    krylov: Krylov, vector: Float[Tensor, " size"]
) -> tuple[Krylov, Float64[np.ndarray, " rows"]]:
    """Add what `vector` has outside all rows, if anything, and give its coefficients."""
    known, length = krylov.known, norm(vector)
    rest, inside = orthogonalize(krylov.rows[:known], vector)
    left = norm(rest)
    if left <= length * float(torch.finfo(vector.dtype).eps) ** 0.5 or known == len(krylov.rows):
        return krylov, inside.numpy()
    clean, _ = orthogonalize(krylov.rows[:known], rest / left)
    krylov.rows[known] = clean / norm(clean)
    krylov.coefficients[known] = 0.0
    return replace(krylov, known=known + 1), np.append(inside.numpy(), left)


def expanded(krylov: Krylov) -> Krylov:
    """Multiply the first pending row; what leaves the span of all rows becomes the last one."""
    assert krylov.pending > 0
    assert not krylov.full, "restart first: what leaves the span would be lost"
    j, known = krylov.multiplied, krylov.known
    row, coefficients = krylov.rows[j], krylov.coefficients
    image = product(krylov.operator, row, step=krylov.products + 1)
    scale = max(krylov.scale, norm(image))
    rest, inside = orthogonalize(krylov.rows[:known], image)
    coefficients[:known, j] = inside.numpy()
    coefficients[j, j] = inner(row, image)
    gap = np.abs(coefficients[:j, j] - coefficients[j, :j]).max(initial=0.0)
    left = norm(rest)
    grows = left > BREAKDOWN * torch.finfo(row.dtype).eps * scale and known < len(krylov.rows)
    if grows:  # otherwise what is left is rounding
        krylov.rows[known] = rest / left
        coefficients[known, : j + 1] = 0.0
        coefficients[known, j] = left
    state = replace(
        krylov,
        multiplied=j + 1,
        known=known + grows,
        products=krylov.products + 1,
        scale=scale,
        asymmetry=max(krylov.asymmetry, float(gap)),
    )
    require_symmetry(state.operator, state.asymmetry, scale, state.products)
    return state


def section(krylov: Krylov, first: int = 0) -> Float64[np.ndarray, "k k"]:
    """The operator seen by the multiplied rows from `first` on, made symmetric."""
    block = krylov.coefficients[first : krylov.multiplied, first : krylov.multiplied]
    return np.asarray((block + block.T) / 2)


def outside(
    krylov: Krylov, vectors: Float64[np.ndarray, "k pairs"]
) -> Float64[np.ndarray, "pending pairs"]:
    """Coefficients on the pending rows of the products of combinations of multiplied rows."""
    k = krylov.multiplied
    return np.asarray(krylov.coefficients[k : krylov.known, :k] @ vectors)


def turned(krylov: Krylov, direction: Float64[np.ndarray, " pending"]) -> Krylov:
    """Rotate the pending rows so that the first is their combination along `direction`.

    One Householder reflection, in place; nothing happens with a single pending row.
    """
    k, known = krylov.multiplied, krylov.known
    if known - k < 2:
        return krylov
    mirror = direction / np.linalg.norm(direction)
    mirror[0] += 1.0 if mirror[0] >= 0 else -1.0
    mirror /= np.linalg.norm(mirror)
    pending = krylov.rows[k:known]
    axis = torch.from_numpy(mirror).to(pending)
    pending.addr_(axis, axis @ pending, alpha=-2)
    block = krylov.coefficients[k:known, :k]
    block -= 2 * np.outer(mirror, mirror @ block)
    return krylov


def restarted(krylov: Krylov, vectors: Float64[np.ndarray, "k keep"]) -> Krylov:
    """Keep only some Ritz vectors, columns of `vectors`, and the pending rows.

    Their section becomes diagonal; no product is needed and nothing about them is lost.
    """
    k, known, keep = krylov.multiplied, krylov.known, vectors.shape[1]
    diagonal = np.diag(np.einsum("ij,ik,kj->j", vectors, section(krylov), vectors))
    tails = outside(krylov, vectors)
    rotation = torch.from_numpy(np.ascontiguousarray(vectors.T)).to(krylov.rows)
    for columns in krylov.rows.split(COLUMNS, dim=1):
        columns[:keep] = rotation @ columns[:k]
        columns[keep : keep + known - k] = columns[k:known].clone()
    krylov.coefficients[:] = 0.0
    krylov.coefficients[:keep, :keep] = diagonal
    krylov.coefficients[keep : keep + known - k, :keep] = tails
    return replace(krylov, multiplied=keep, known=keep + known - k)
