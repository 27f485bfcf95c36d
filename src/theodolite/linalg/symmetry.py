"""The symmetry every Krylov method relies on, judged by the products it makes anyway."""

from __future__ import annotations

import torch

from theodolite.errors import InvalidArgument
from theodolite.linalg.operator import Operator

ASYMMETRY = {torch.float64: 1e-4, torch.float32: 1e-3}
"""Relative differences between <u, A v> and <v, A u> that are refused; narrower types, the root of
their rounding unit. Differences of gradients in float32 are accurate to about 1e-3."""


def require_symmetry(operator: Operator, asymmetry: float, scale: float, step: int) -> None:
    """Raise where two forms <u, A v> and <v, A u> differ by more than rounding can explain.

    ``scale`` is the norm of the largest product so far, ``step`` the number of the last one.
    """
    root = float(torch.finfo(operator.dtype).eps) ** 0.5
    if asymmetry > ASYMMETRY.get(operator.dtype, root) * scale:
        raise InvalidArgument(
            f"operator {operator.label!r} must be symmetric; <u, A v> and <v, A u> differ "
            f"by {asymmetry:.3g} where |A v| reaches {scale:.3g}.",
            where=f"product {step}",
            why="the matrix is not symmetric, or two products with one vector differ.",
            fix="check that the operator is deterministic: dropout off, data not redrawn.",
            code="E-L10",
        )
