"""The trace of an operator, or of an objective's Hessian, with its standard error."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import xarray as xr
from jaxtyping import Shaped
from torch import Tensor

from theodolite import results
from theodolite.errors import InvalidArgument
from theodolite.linalg.hutchinson import require_affordable
from theodolite.linalg.operator import Operator
from theodolite.linalg.precision import without_autocast
from theodolite.linalg.trace_choice import chosen_trace

if TYPE_CHECKING:
    from theodolite.curvature.objective_traces import Declined

Method = Literal["auto", "hutchinson", "hutch++", "xtrace", "xnystrace", "output-space", "exact"]
OUTPUTS = ("auto", "output-space", "exact")
"""Methods that may go by way of the outputs."""


def trace(
    operator_or_objective: Any,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    method: Method = "auto",
    tolerance: float = 0.01,
    seed: int = 0,
    max_products: int = 1000,
    engine: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    r"""Estimate the trace of an operator.

    .. math:: \operatorname{tr} A = \sum_i \lambda_i = \mathbb E\, z^\top A z, \qquad z_i = \pm 1

    Parameters
    ----------
    operator_or_objective
        An `Operator`, or an `Objective`, which stands for its Hessian at `theta`.
    theta
        Where, for an objective, shape ``(params,)``; by default ``objective.start``.
    method
        ``"hutchinson"``: random signs. ``"hutch++"`` and ``"xtrace"``: a low-rank part exactly,
        signs for the rest. ``"xnystrace"``: the same by a Nystrom approximation, for positive
        semidefinite operators, at half the products. ``"auto"`` takes the one a pilot expects to
        be cheapest; ``attrs["method"]`` says which was used. For objectives alone:
        ``"output-space"`` (random signs of the outputs, a backward pass each) and ``"exact"`` (a
        backward pass for every output an example has), where the trace of the Hessian is that
        of the Gauss-Newton matrix; ``"auto"`` looks for that first.
    tolerance
        Standard error wanted, relative to the trace.
    max_products
        Cap on products, at least 32. When it does not suffice, as for a trace near zero beside
        the eigenvalues, the estimate and its (larger) error are returned with
        ``attrs["reached"]`` false.
    engine
        As for `hessian`; for an objective alone.
    progress
        Called as ``progress(products done, products planned)``.

    Returns
    -------
    xarray.Dataset
        ``trace`` and ``standard_error`` (0-d) and ``sample(probe)``, whose mean is the trace.
        For a 95 % interval use Student's t with one degree of freedom less than there are
        samples. Where the Gauss-Newton matrix leaves something, ``rest(rest_probe)`` are samples of
        it, and the trace is the sum of both means. attrs: ``products`` (the ``pilot`` included),
        ``method`` (``"exact"`` where all unit vectors were multiplied), ``method_reason``,
        ``reached``.

    Notes
    -----
    A pilot of 16 probes decides how many new ones are used, and with ``"auto"`` by which method,
    so neither depends on the samples and the error is free of optional stopping. Probe `i`
    depends on `seed` and `i` alone. Eight probes are multiplied at once.

    In a network whose outputs are linear in every parameter tensor by itself (rectified, no
    tensor used twice) the diagonal blocks of Hessian and Gauss-Newton matrix agree, so
    :math:`\operatorname{tr} H = \operatorname{tr} J^\top H_L J`, and one backward pass of 2 F says
    more than hundreds of products of 6 F. The identity is looked for on 16 examples in float64,
    two products a tensor, and ``attrs["identity_gap"]`` is what was seen. Where an example has
    few outputs (up to 32, or up to as many as samples would be drawn), the sum over them is
    exact and costs no more. In others the difference is added by Hutchinson's method where its
    forms spread less (``"ggn + remainder"``). Not checked: that the identity holds for the other
    examples, too.

    Low-rank methods pay where a few eigenvalues carry the matrix, as late in training; they lose
    where it is flat or nearly traceless, as at initialization, and hold ``3 * probes`` vectors
    (at most 2^28 numbers). ``"auto"`` considers ``"xnystrace"`` for operators that declare
    themselves positive semidefinite (`ggn`, `fisher`, `empirical_fisher`,
    `gradient_covariance`), never ``"hutch++"``. Samples of ``"xtrace"`` and ``"xnystrace"`` are
    correlated; the covariance is estimated without bias from the same products and is in
    ``standard_error`` (see `theodolite.linalg.leave_out`). With ten samples or fewer the spread
    of a spectrum of one large eigenvalue is seldom seen in full, by any method, and 95 %
    intervals hold 88 to 90 times in a hundred.

    References
    ----------
    Hutchinson (1990), Communications in Statistics 19. Meyer, Musco, Musco, Woodruff (2021),
    arXiv:2010.09649. Epperly, Tropp, Webber (2024), SIAM J. Matrix Anal. Appl. 45.

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
    given, pilot = operator_or_objective, None
    if not isinstance(given, Operator) and method in OUTPUTS:
        found = _by_outputs(given, theta, method, tolerance, seed, max_products, engine)
        if isinstance(found, xr.Dataset):
            return found
        if found is not None:
            given, theta, pilot = found.operator, None, found.pilot
    operator = operator_of(given, theta, engine, method)
    chosen = without_autocast(chosen_trace)(
        operator,
        method=method,
        tolerance=tolerance,
        seed=seed,
        max_products=max_products,
        progress=progress,
        pilot=pilot,
    )
    estimate = chosen.estimate
    return results.dataset(
        "trace",
        {
            "trace": ((), estimate.trace, {"long_name": f"trace of the {operator.label}"}),
            "standard_error": (
                (),
                estimate.standard_error,
                {"long_name": "standard error of the trace"},
            ),
            "sample": (("probe",), estimate.samples, {"long_name": "trace seen by one probe"}),
        },
        {"probe": np.arange(len(estimate.samples))},
        **{
            **operator.facts,
            "operator": operator.label,
            "size": operator.size,
            "seed": seed,
            "tolerance": tolerance,
            "method": chosen.method,
            "method_reason": chosen.reason,
            "products": estimate.products,
            "pilot": estimate.pilot,
            "reached": estimate.reached,
        },
    )


def operator_of(
    given: Any, theta: Tensor | None = None, engine: str = "auto", method: str = "auto"
) -> Operator:
    """`given`, or the Hessian of the objective that it is."""
    if isinstance(given, Operator):
        wrong = "theta" if theta is not None else "method" if method in OUTPUTS[1:] else ""
        if wrong:
            raise InvalidArgument(
                f"{wrong} is for an objective; an operator has its point and no outputs.",
                fix="pass the objective, or leave it out.",
                code="E-C43",
            )
        return given
    from theodolite.operators import hessian

    operator: Operator = hessian(given, theta, engine=engine)
    return operator


def _by_outputs(
    objective: Any,
    theta: Tensor | None,
    method: str,
    tolerance: float,
    seed: int,
    max_products: int,
    engine: str,
) -> xr.Dataset | Declined | None:
    """The trace by way of the outputs; declined or None where it is not worth it, or no way."""
    from theodolite.curvature.objective_traces import Declined, Request, output_trace

    require_affordable(tolerance, max_products)
    if getattr(objective.terms, "loss", None) is None:
        if method == "auto":
            return None
        raise InvalidArgument(
            f"method {method!r} needs the model's outputs, which a batch_loss keeps to itself.",
            fix='build it as Objective(model, loss, data), or use method="auto".',
            code="E-C44",
        )
    objective.refuse_recompute("trace")
    point = objective.point(theta)
    request = Request(objective, point, tolerance, seed, max_products, engine)
    made = without_autocast(output_trace)(request, method)
    if isinstance(made, Declined):
        return made
    told = {"long_name": "trace of the Hessian"}
    variables: dict[str, results.Variable] = {
        "trace": ((), made.trace, told),
        "standard_error": ((), made.standard_error, {"long_name": "standard error of the trace"}),
        "sample": (("probe",), made.samples, {"long_name": "trace seen by one probe"}),
    }
    coords: dict[str, Any] = {"probe": np.arange(len(made.samples))}
    if len(made.rest):
        variables["rest"] = (("rest_probe",), made.rest, {"long_name": "form of H - GGN"})
        coords["rest_probe"] = np.arange(len(made.rest))
    return results.dataset(
        "trace",
        variables,
        coords,
        **{
            **objective.facts(),
            **made.facts,
            "operator": "Hessian",
            "size": objective.space.size,
            "seed": seed,
            "tolerance": tolerance,
            "method": made.method,
            "method_reason": made.reason,
            "products": made.products,
            "passes": made.passes,
            "pilot": made.pilot,
            "reached": made.standard_error <= tolerance * abs(made.trace),
        },
    )
