"""One product with an operator, checked: the only place where the Krylov methods call it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from theodolite.errors import InvalidArgument, NotFinite
from theodolite.linalg.operator import Operator


def working_dtype(operator: Operator) -> torch.dtype:
    """The dtype Krylov vectors are kept in: the operator's own, float32 for half precision."""
    return torch.promote_types(operator.dtype, torch.float32)


def wide_dtype(device: torch.device) -> torch.dtype:
    """The dtype sums over a vector are accumulated in: float64 wherever the device has it."""
    return torch.float32 if device.type == "mps" else torch.float64


def norm(vector: Float[Tensor, " size"]) -> float:
    """The Euclidean norm, accumulated in float64."""
    return float(torch.linalg.vector_norm(vector, dtype=wide_dtype(vector.device)))


def inner(a: Float[Tensor, " size"], b: Float[Tensor, " size"]) -> float:
    """The inner product, accumulated in float64.

    >>> inner(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    11.0
    """
    wide = wide_dtype(a.device)
    return float(torch.dot(a.to(wide), b.to(wide)))


def product(
    operator: Operator, vectors: Float[Tensor, "*shape"], *, step: int
) -> Float[Tensor, "*shape"]:
    """`A` applied to one vector ``(size,)`` or to the columns of ``(size, k)``.

    The vectors are cast to the operator's dtype and the product back to theirs. Raises
    `NotFinite` naming the step when an entry is NaN or infinite, and `InvalidArgument` when the
    operator returns another shape than it was given.
    """
    multiply = operator.matvec if vectors.ndim == 1 else operator.matmat
    assert multiply is not None
    image = multiply(vectors.to(operator.dtype)).detach().to(vectors.dtype)
    if image.shape != vectors.shape:
        raise InvalidArgument(
            f"the product of {operator.label!r} must have shape {tuple(vectors.shape)}; "
            f"got {tuple(image.shape)}.",
            where=f"product {step}",
            code="E-L05",
        )
    if not bool(image.isfinite().all()):
        bad = int((~image.isfinite()).sum())
        raise NotFinite(
            f"product {step} of {operator.label!r} is not finite in {bad} of {image.numel()} "
            "entries.",
            why="the loss overflows at this point, or its second derivative is undefined there.",
            fix="check objective.value() and objective.gradient(), or use a wider dtype.",
            code="E-L06",
        )
    return image
