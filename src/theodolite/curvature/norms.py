"""The Frobenius norm of an operator, with its standard error."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from theodolite import results
from theodolite.curvature.traces import operator_of
from theodolite.linalg.frobenius import NormEstimate, squared_norm_estimate
from theodolite.linalg.operator import Operator
from theodolite.linalg.precision import without_autocast


def frobenius_norm(
    operator_or_objective: Any,
    *,
    probes: int = 32,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    r"""Estimate the Frobenius norm of a symmetric operator.

    .. math:: \|A\|_F^2 = \sum_i \lambda_i^2 = \mathbb E\, \|A z\|^2, \qquad z_i = \pm 1

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
        ``squared_norm``, its ``standard_error`` and ``sample(probe)``: unbiased, from all
        products. ``frobenius_norm``, the root, and ``norm_error``, to first order.
        ``plain_squared_norm``, ``plain_error`` and ``plain_sample(probe)``: the mean of
        :math:`\|A z\|^2`, unbiased too, from the first half of the products. attrs:
        ``products``, ``exact``.

    Notes
    -----
    Costs ``2 * probes`` products and holds ``3 * probes`` vectors. The second half measures the
    norm within the span of the images exactly, which takes out the few large eigenvalues that
    make :math:`\|A z\|^2` vary by its own size; the rest is seen by the probe left out of the
    span. For a flat spectrum that gains nothing, but there both errors are small. For 95 %
    intervals use Student's t with ``probes - 1`` degrees of freedom. The root of an unbiased
    estimate is biased down by about half its relative variance. Exact for an operator no larger
    than twice `probes`. Not checked: symmetry. Raises `InvalidArgument` for fewer than two
    probes.

    References
    ----------
    Hutchinson (1990), Communications in Statistics 19. Epperly, Tropp, Webber (2024), SIAM J.
    Matrix Anal. Appl. 45.

    Examples
    --------
    >>> import torch
    >>> estimate = frobenius_norm(Operator.from_matrix(torch.diag(torch.tensor([3.0, 4.0]))))
    >>> float(estimate.frobenius_norm), float(estimate.norm_error)
    (5.0, 0.0)
    """
    operator = operator_of(operator_or_objective)
    found = without_autocast(squared_norm_estimate)(
        operator, probes=probes, seed=seed, progress=progress
    )
    return results.dataset(
        "frobenius_norm",
        _variables(operator, found),
        {"probe": np.arange(probes)},
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


def _variables(operator: Operator, found: NormEstimate) -> dict[str, results.Variable]:
    norm = math.sqrt(found.squared_norm)
    error = found.standard_error / (2 * norm) if norm else 0.0
    plain = found.plain
    plain_error = 0.0 if found.exact else float(plain.std(ddof=1)) / math.sqrt(len(plain))
    named = {"long_name": f"Frobenius norm of the {operator.label}"}
    return {
        "frobenius_norm": ((), norm, named),
        "norm_error": ((), error, {"long_name": "standard error of the norm"}),
        "squared_norm": ((), found.squared_norm, {"long_name": "squared Frobenius norm"}),
        "standard_error": (
            (),
            found.standard_error,
            {"long_name": "standard error of the squared norm"},
        ),
        "sample": (("probe",), found.samples, {"long_name": "squared norm seen by one probe"}),
        "plain_squared_norm": ((), plain.mean(), {"long_name": "mean of |A z|^2"}),
        "plain_error": ((), plain_error, {"long_name": "standard error of the mean of |A z|^2"}),
        "plain_sample": (("probe",), plain, {"long_name": "|A z|^2 of one probe"}),
    }
