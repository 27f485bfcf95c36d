"""The trace of an operator, or of an objective's Hessian, with its standard error."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
import xarray as xr

from theodolite import results
from theodolite.errors import InvalidArgument
from theodolite.linalg.hutchinson import trace_estimate
from theodolite.linalg.operator import Operator
from theodolite.linalg.precision import without_autocast

Method = Literal["auto", "hutchinson"]


def trace(
    operator_or_objective: Any,
    *,
    method: Method = "auto",
    tolerance: float = 0.01,
    seed: int = 0,
    max_products: int = 1000,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    r"""Estimate the trace of an operator.

    .. math:: \operatorname{tr} A = \sum_i \lambda_i = \mathbb E\, z^\top A z, \qquad z_i = \pm 1

    Parameters
    ----------
    operator_or_objective
        An `Operator`, or an `Objective`, which stands for its Hessian at ``objective.start``.
    method
        ``"hutchinson"``: random signs. ``"auto"`` takes the best method for what is given,
        which today is that one; ``attrs["method"]`` says which was used.
    tolerance
        Standard error wanted, relative to the trace.
    max_products
        Cap on products, at least 32. When it does not suffice, as for a trace near zero beside
        the eigenvalues, the estimate and its (larger) error are returned with
        ``attrs["reached"]`` false.
    progress
        Called as ``progress(products done, products planned)``.

    Returns
    -------
    xarray.Dataset
        ``trace`` and ``standard_error`` (0-d) and ``sample(probe)``, whose mean and spread they
        are. attrs: ``products`` (the ``pilot`` included), ``method``, ``reached``.

    Notes
    -----
    A pilot of 16 probes decides how many new ones are averaged, so the number does not depend
    on the samples and the error is free of optional stopping. Probe `i` depends on `seed` and
    `i` alone. Eight probes are multiplied at once.

    References
    ----------
    Hutchinson (1990), Communications in Statistics 19.

    Examples
    --------
    >>> import torch
    >>> estimate = trace(Operator.from_matrix(torch.diag(torch.tensor([1.0, 2.0, 4.0]))))
    >>> float(estimate.trace), float(estimate.standard_error)
    (7.0, 0.0)
    """
    if method not in get_args(Method):
        allowed = ", ".join(map(repr, get_args(Method)))
        raise InvalidArgument(f"method must be one of {allowed}; got {method!r}.", code="E-C05")
    operator = _operator(operator_or_objective)
    estimate = without_autocast(trace_estimate)(
        operator, tolerance=tolerance, seed=seed, max_products=max_products, progress=progress
    )
    return results.dataset(
        "trace",
        {
            "trace": ((), estimate.trace, {"long_name": f"trace of the {operator.label}"}),
            "standard_error": (
                (),
                estimate.standard_error,
                {"long_name": "standard error of the trace"},
            ),
            "sample": (("probe",), estimate.samples, {"long_name": "quadratic form of a probe"}),
        },
        {"probe": np.arange(len(estimate.samples))},
        **{
            **operator.facts,
            "operator": operator.label,
            "size": operator.size,
            "seed": seed,
            "tolerance": tolerance,
            "method": "hutchinson",
            "products": estimate.products,
            "pilot": estimate.pilot,
            "reached": estimate.reached,
        },
    )


def _operator(given: Any) -> Operator:
    """`given`, or the Hessian of the objective that it is."""
    if isinstance(given, Operator):
        return given
    from theodolite.operators import hessian

    operator: Operator = hessian(given)
    return operator
