"""The diagonal of an operator, with a standard error for every entry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import xarray as xr

from theodolite import results
from theodolite.curvature.traces import operator_of
from theodolite.linalg.diagonals import diagonal_estimate
from theodolite.linalg.precision import without_autocast


def diagonal(
    operator_or_objective: Any,
    *,
    probes: int = 64,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    r"""Estimate the diagonal of an operator.

    .. math:: A_{ii} = \mathbb E\, z_i (A z)_i, \qquad z_j = \pm 1

    Parameters
    ----------
    operator_or_objective
        An `Operator`, or an `Objective`, which stands for its Hessian at ``objective.start``.
    probes
        Random sign vectors, at least 2.
    seed
        Probe `i` depends on `seed` and `i` alone.
    progress
        Called as ``progress(products done, products planned)``.

    Returns
    -------
    xarray.Dataset
        ``diagonal(params)`` and ``standard_error(params)``. For a 95 % interval of one entry use
        Student's t with ``probes - 1`` degrees of freedom. attrs: ``products``, ``exact``.

    Notes
    -----
    Costs `probes` products and four vectors; unbiased. Samples are not kept, they would be
    ``probes * size`` numbers; the error of an entry is
    :math:`(\sum_{j \ne i} A_{ij}^2 / \text{probes})^{1/2}`, so entries that are small beside the
    rest of their row drown in it. Errors of entries are correlated: for the sum of all use
    `trace`. Exact for a diagonal matrix, and for an operator no larger than `probes`, whose unit
    vectors are multiplied instead. Not checked: symmetry, which is not needed. Raises
    `InvalidArgument` for fewer than two probes.

    References
    ----------
    Bekas, Kokiopoulou, Saad (2007), Applied Numerical Mathematics 57.

    Examples
    --------
    >>> import torch
    >>> from theodolite.linalg import Operator
    >>> estimate = diagonal(Operator.from_matrix(torch.diag(torch.tensor([1.0, 2.0, 4.0]))))
    >>> estimate.diagonal.values.tolist(), estimate.standard_error.values.tolist()
    ([1.0, 2.0, 4.0], [0.0, 0.0, 0.0])
    """
    operator = operator_of(operator_or_objective)
    found = without_autocast(diagonal_estimate)(
        operator, probes=probes, seed=seed, progress=progress
    )
    dims = ("params",)
    return results.dataset(
        "diagonal",
        {
            "diagonal": (
                dims,
                found.diagonal.cpu().numpy(),
                {"long_name": f"diagonal of the {operator.label}"},
            ),
            "standard_error": (
                dims,
                found.standard_error.cpu().numpy(),
                {"long_name": "standard error of the entry"},
            ),
        },
        **{
            **operator.facts,
            "operator": operator.label,
            "size": operator.size,
            "seed": seed,
            "probes": probes,
            "products": found.products,
            "exact": found.exact,
        },
    )
