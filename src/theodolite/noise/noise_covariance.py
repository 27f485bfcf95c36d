r"""The covariance of the noise of batches as an operator, and its largest eigenvalues."""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float64, Shaped
from torch import Tensor

from theodolite import results
from theodolite.linalg.operator import Operator
from theodolite.linalg.precision import without_autocast
from theodolite.linalg.thick_restart import ritz_pairs
from theodolite.noise.arguments import count as counted
from theodolite.noise.arguments import number, point_of, quantile, unseen
from theodolite.noise.moments import Moments, combinations, measured, moments
from theodolite.noise.noise_scale import told
from theodolite.objective import Objective


def covariance_operator(found: Moments) -> Operator:
    r"""Sigma of `gradient_noise_scale`: products of every gradient, then a sum of gradients (6 F).

    For equal weights that is `gradient_covariance`, which needs no first pass; this one also
    holds where weights differ.
    """
    n, weights = found.examples, found.weights

    def multiply(columns: Tensor) -> Tensor:
        rows = columns.to(found.mean).T
        seen = measured(found.objective, found.theta, rows, known=found.ways).products.sum(1)
        seen = seen - (rows.double() @ found.mean.double()).to(seen)
        factors = (seen * weights.square()[:, None] / (n - 1)).T
        made = combinations(found.objective, found.theta, factors)
        return (made - factors.sum(1).to(made)[:, None] * found.mean).T

    return Operator(
        lambda v: multiply(v.unsqueeze(1)).squeeze(1),
        len(found.mean),
        found.mean.dtype,
        "covariance of noise",
        found.mean.device,
        multiply,
        {"positive_semidefinite": True},
    )


def _errors(found: Moments, vectors: Tensor) -> Float64[np.ndarray, " pair"]:
    """The standard errors over examples of the variances along some directions."""
    seen = measured(found.objective, found.theta, vectors.to(found.mean), known=found.ways)
    slopes = seen.products.sum(1)
    slopes = slopes - (vectors.double() @ found.mean.double()).to(slopes)
    squares = ((slopes * found.weights[:, None]) ** 2).cpu().numpy()
    made: np.ndarray = squares.std(0, ddof=1) / np.sqrt(found.examples)
    return made


def noise_spectrum(
    objective: Objective,
    *,
    count: int = 5,
    theta: Shaped[Tensor, " params"] | None = None,
    population: str | int = "data",
    level: float = 0.95,
    tolerance: float = 1e-4,
    seed: int = 0,
) -> xr.Dataset:
    r"""The trace and the largest eigenvalues of the covariance of gradients.

    .. math:: \Sigma v_k = \lambda_k v_k, \qquad
              \operatorname{tr} \Sigma = \frac{1}{N - 1} \sum_i \|e_i\|^2

    with Sigma and e_i as in `gradient_noise_scale`.

    Parameters
    ----------
    count
        Eigenvalues, at most the number of parameters.
    theta, population, level
        As for `gradient_noise_scale`.
    tolerance
        Residual allowed, relative to the largest eigenvalue.

    Returns
    -------
    xarray.Dataset
        ``eigenvalue(pair)`` in descending order with ``_low`` and ``_high``, ``residual(pair)``,
        ``share(pair)`` of the trace, and ``covariance_trace``, which is exact for the data.

    Notes
    -----
    About 15 products of 6 F for the largest eigenvalue, more for several; Lanczos vectors of the
    size of the parameters. Intervals are for the data as a sample: the variance over examples of
    :math:`(v_k^\top e_i)^2`, by its logarithm. They do not hold where eigenvalues lie closer to
    each other than their errors, and the largest eigenvalue of a sample is too large when the
    sample is small beside the number of directions with noise.

    Raises `InvalidArgument`, `UnsupportedModel` (E-Y01 to E-Y09, E-Y18), `NotConverged` as
    `eigenpairs`.

    References
    ----------
    Anderson (1963), Annals of Mathematical Statistics 34 (errors of eigenvalues of a sample).

    Examples
    --------
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0], [1.0]])
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> objective = td.Objective(model, torch.nn.MSELoss(), (x, y))
    >>> at = torch.zeros(2)  # the covariance is [[2, -4], [-4, 8]]
    >>> found = noise_spectrum(objective, count=1, theta=at)
    >>> round(float(found.eigenvalue[0]), 4), float(found.covariance_trace)
    (10.0, 10.0)
    """
    point = point_of(objective, theta)
    apart = unseen(population, objective.examples)
    pairs = counted(count, "count", most=objective.space.size)
    number(tolerance, "tolerance", above=0)
    c = quantile(number(level, "level", above=0, below=1), objective.examples)
    found = without_autocast(moments)(objective, point)
    operator = covariance_operator(found)
    made = without_autocast(ritz_pairs)(operator, count=pairs, tolerance=tolerance, seed=seed)
    values = made.values.numpy()
    errors = np.sqrt(apart) * _errors(found, made.vectors)
    with np.errstate(all="ignore"):
        factors = np.exp(np.where(values > 0, c * errors / values, 0.0))
    trace = float(found.deviations().sum()) / (found.examples - 1)
    share = values / trace if trace > 0 else np.full(len(values), np.nan)
    columns = {
        "eigenvalue": (values, "eigenvalue of the covariance of gradients"),
        "eigenvalue_low": (values / factors, "lower end of the eigenvalue"),
        "eigenvalue_high": (values * factors, "upper end of the eigenvalue"),
        "residual": (made.residuals.numpy(), "residual |A v - lambda v|"),
        "share": (share, "share of the trace"),
    }
    variables: dict[str, results.Variable] = {
        name: (("pair",), column, {"long_name": long_name})
        for name, (column, long_name) in columns.items()
    }
    told_trace = {"long_name": "trace of the covariance of gradients"}
    variables["covariance_trace"] = ((), trace, told_trace)
    return results.dataset(
        "noise_spectrum",
        variables,
        {"pair": np.arange(len(values))},
        **objective.facts(),
        **told(found),
        theta_norm=float(point.double().norm()),
        noise_population=population,
        level=level,
        seed=seed,
        products=made.products,
        converged=made.converged,
        miss_probability=made.miss_probability,
    )
