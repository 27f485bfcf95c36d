"""Traces of functions of an operator: effective dimension and log determinant.

On a stored spectral density these need no products and no torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float64

from theodolite import results
from theodolite.curvature.probe_errors import probe_error
from theodolite.curvature.smoothing import nodes_and_weights, settings_of
from theodolite.errors import InvalidArgument

Function = Callable[[np.ndarray], np.ndarray]
Progress = Callable[[int, int], None]


def effective_dimension(
    operator_or_density: Any,
    damping: float,
    *,
    steps: int | None = None,
    probes: int = 8,
    seed: int = 0,
    progress: Progress | None = None,
) -> xr.Dataset:
    r"""Estimate how many directions of an operator exceed a damping.

    .. math:: N(z) = \operatorname{tr} A (A + z I)^{-1} = \sum_i \frac{\lambda_i}{\lambda_i + z}

    Parameters
    ----------
    operator_or_density
        A symmetric operator, or a result of `spectral_density`, which costs no more products.
    damping
        `z`, in the units of the eigenvalues; zero or more. For the posterior of a network it is
        the precision of the prior over the number of examples.
    steps, probes, seed, progress
        As for `spectral_density`; not used where a density is given.

    Returns
    -------
    xarray.Dataset
        ``effective_dimension``, ``standard_error`` (0-d) and ``sample(probe)``, whose mean it
        is; ``quadrature_change`` (0-d), what the second half of the steps changed. The error is
        from the spread of the probes and the variance that the sum has by its rules; for a 95 %
        interval use Student's t with ``probes + 7`` degrees of freedom.

    Notes
    -----
    Costs ``steps * probes`` products and holds ``steps`` vectors. Each probe gives a Gauss rule
    for its own spectral measure; the mean over probes is unbiased up to the error of the rule,
    which the standard error does not show. That error is not negative and falls geometrically
    with the steps, faster the larger the damping: use more steps where ``quadrature_change`` is
    not small beside the standard error. It is zero where the Krylov space was exhausted.

    Raises `InvalidArgument` where the smallest eigenvalue seen plus `damping` is not positive:
    the sum has a pole there. Not checked: eigenvalues below the smallest one seen. The Hessian
    of a network mostly has negative ones; the `ggn` has none.

    References
    ----------
    MacKay (1992), Neural Computation 4. Maddox, Benton, Wilson (2020), arXiv:2003.02139.

    Examples
    --------
    >>> dims = ("probe", "step")
    >>> rule = {"node": (dims, [[1.0, 3.0]]), "weight": (dims, [[0.5, 0.5]])}
    >>> density = xr.Dataset(rule, attrs={"quantity": "spectral_density", "size": 2})
    >>> float(effective_dimension(density, 1.0).effective_dimension)  # 1/2 + 3/4
    1.25
    """
    density = _density(operator_or_density, steps, probes, seed, progress)
    return _summed(
        density,
        damping,
        "effective_dimension",
        "effective dimension",
        lambda node: node / (node + damping),
    )


def log_determinant(
    operator_or_density: Any,
    damping: float,
    *,
    steps: int | None = None,
    probes: int = 8,
    seed: int = 0,
    progress: Progress | None = None,
) -> xr.Dataset:
    r"""Estimate the logarithm of the determinant of a damped operator.

    .. math:: \log \det(A + z I) = \sum_i \log(\lambda_i + z)

    Parameters
    ----------
    operator_or_density, damping, steps, probes, seed, progress
        As for `effective_dimension`.

    Returns
    -------
    xarray.Dataset
        ``log_determinant`` and the rest as from `effective_dimension`.

    Notes
    -----
    Cost, bias and what is refused or not checked are those of `effective_dimension`. Each rule
    errs upwards. The logarithm is natural; most of the sum is ``size * log(damping)`` where the
    spectrum has a bulk near zero.

    References
    ----------
    Ubaru, Chen, Saad (2017), SIAM J. Matrix Anal. Appl. 38.

    Examples
    --------
    >>> dims = ("probe", "step")
    >>> rule = {"node": (dims, [[1.0, 3.0]]), "weight": (dims, [[0.5, 0.5]])}
    >>> density = xr.Dataset(rule, attrs={"quantity": "spectral_density", "size": 2})
    >>> found = log_determinant(density, 1.0).log_determinant
    >>> round(float(np.exp(found)), 9)  # (1 + 1) (3 + 1)
    8.0
    """
    density = _density(operator_or_density, steps, probes, seed, progress)
    return _summed(
        density,
        damping,
        "log_determinant",
        "log determinant of the damped operator",
        lambda node: np.log(node + damping),
    )


def _density(
    given: Any, steps: int | None, probes: int, seed: int, progress: Progress | None
) -> xr.Dataset:
    if isinstance(given, xr.Dataset):
        return given
    from theodolite.curvature.spectrum import spectral_density
    from theodolite.curvature.traces import operator_of

    made: xr.Dataset = spectral_density(
        operator_of(given), steps=steps, probes=probes, seed=seed, progress=progress
    )
    return made


def _summed(
    density: xr.Dataset, damping: float, quantity: str, name: str, function: Function
) -> xr.Dataset:
    """The sum of `function` over the eigenvalues, by each probe's rule."""
    node, weight = nodes_and_weights(density)
    _require_positive(node[weight > 0], damping)
    size = int(density.attrs["size"])
    rules = list(zip(node, weight, strict=True))
    sample = np.array([size * _integral(*rule, function) for rule in rules])
    half = np.array([size * _coarse(*rule, size, function) for rule in rules])
    count = len(sample)
    used = np.where(weight > 0, node, node[weight > 0].max())
    error = size * probe_error(function(used), weight, size)
    change = abs(float((sample - half).mean()))
    return results.dataset(
        quantity,
        {
            quantity: ((), sample.mean(), {"long_name": name}),
            "standard_error": ((), error, {"long_name": "standard error over probes"}),
            "quadrature_change": (
                (),
                change,
                {"long_name": "change by the last half of the steps"},
            ),
            "sample": (("probe",), sample, {"long_name": f"{name} seen by one probe"}),
        },
        {"probe": np.arange(count)},
        **{**settings_of(density), "damping": damping},
    )


def _require_positive(node: Float64[np.ndarray, " nodes"], damping: float) -> None:
    if not 0 <= damping < np.inf:
        raise InvalidArgument(f"damping must be 0 or more and finite; got {damping}.", code="E-C20")
    low = float(node.min())
    if low + damping <= 0:
        raise InvalidArgument(
            f"damping must exceed {-low:.6g}, minus the smallest eigenvalue seen; got {damping:g}.",
            why="the damped operator is not positive definite, so the sum has a pole or no value.",
            fix="use a larger damping, or an operator without negative eigenvalues such as ggn.",
            code="E-C21",
        )


def _integral(
    node: Float64[np.ndarray, " step"], weight: Float64[np.ndarray, " step"], function: Function
) -> float:
    used = weight > 0
    return float(weight[used] @ function(node[used]))


def _coarse(
    node: Float64[np.ndarray, " step"],
    weight: Float64[np.ndarray, " step"],
    size: int,
    function: Function,
) -> float:
    """The integral by the Gauss rule of half the steps; the full one where that is exact.

    Lanczos on the nodes themselves, from the roots of the weights, gives back the tridiagonal
    matrix whose leading part has the shorter rule.
    """
    used = weight > 0
    theta, root = node[used], np.sqrt(weight[used])
    if len(theta) < len(node) or len(theta) in (1, size):
        return _integral(node, weight, function)
    steps = len(theta) // 2
    basis = np.zeros((steps, len(theta)))
    vector = root / np.linalg.norm(root)
    for k in range(steps):
        basis[k] = vector
        vector = theta * vector
        for _ in range(2):
            vector = vector - basis[: k + 1].T @ (basis[: k + 1] @ vector)
        length = float(np.linalg.norm(vector))
        if length == 0:
            basis = basis[: k + 1]
            break
        vector = vector / length
    values, vectors = np.linalg.eigh((basis * theta) @ basis.T)
    weights = (vectors.T @ (basis @ root)) ** 2
    return float(weights @ function(values))
