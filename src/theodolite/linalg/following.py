"""The largest eigenpairs of an operator that changes slowly, begun from those of the last one."""

from __future__ import annotations

from typing import cast

from jaxtyping import Float
from torch import Tensor

from theodolite.errors import NotConverged
from theodolite.linalg.operator import Operator
from theodolite.linalg.precision import without_autocast
from theodolite.linalg.thick_restart import RitzPairs, ritz_pairs

MISSED = 0.05
"""The search for larger eigenvalues than those found ends where one is less likely than this."""


def following_pairs(
    operator: Operator,
    *,
    count: int,
    tolerance: float,
    seed: int = 0,
    start: Float[Tensor, "k size"] | None = None,
) -> tuple[RitzPairs, str]:
    """The pairs, and why they did not settle: empty where they did.

    ``start`` are the vectors of a nearby operator, a product each. Pairs that did not settle to
    `tolerance` come with the residuals they have, so that a series goes on; a larger eigenvalue
    was overlooked with a chance of at most ``miss_probability``, looked for down to `MISSED`.

    >>> import torch
    >>> a = Operator.from_matrix(torch.diag(torch.tensor([3.0, 1.0, 0.5]).double()))
    >>> found, trouble = following_pairs(a, count=1, tolerance=1e-6)
    >>> round(float(found.values[0]), 6), trouble
    (3.0, '')
    """
    try:
        found = without_autocast(ritz_pairs)(
            operator,
            count=min(count, operator.size),
            tolerance=tolerance,
            seed=seed,
            start=start,
            miss_probability=MISSED,
        )
    except NotConverged as error:
        return cast(RitzPairs, error.result), error.what
    return found, ""
