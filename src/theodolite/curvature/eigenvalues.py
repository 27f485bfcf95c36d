"""A few extreme eigenvalues of an operator, each with its residual."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from theodolite import results
from theodolite.errors import NotConverged
from theodolite.linalg.iteration import ROUNDINGS
from theodolite.linalg.operator import Operator
from theodolite.linalg.pair_bounds import PairBounds, pair_bounds
from theodolite.linalg.precision import without_autocast
from theodolite.linalg.selection import Which, preference, thresholds
from theodolite.linalg.thick_restart import RitzPairs, ritz_pairs

MISSED = 0.01
"""Gaps are stated where an overlooked eigenvalue is less likely than this."""


def eigenpairs(
    operator: Operator,
    *,
    count: int | None = None,
    which: Which = "largest",
    tolerance: float = 1e-4,
    seed: int = 0,
    vectors: bool = False,
    start: Float[Tensor, "k size"] | None = None,
    basis: int | None = None,
    max_products: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    r"""Extreme eigenvalues of a symmetric operator, repeated ones included.

    .. math:: A v_i = \lambda_i v_i, \qquad r_i = \|A v_i - \lambda_i v_i\|, \qquad \|v_i\| = 1

    Parameters
    ----------
    operator
        Any symmetric operator, e.g. ``hessian(objective)``.
    count
        Pairs wanted, between 1 and ``operator.size``; by default 10, or as many as there are.
    which
        ``"largest"``, ``"smallest"`` (most negative), ``"both"`` (half from each end) or
        ``"magnitude"``.
    tolerance
        Residual allowed, relative to the largest eigenvalue in size.
    vectors
        Keep the eigenvectors, ``count * size`` numbers.
    start
        Rows of shape ``(k, size)`` to begin with: the vectors at the last checkpoint,
        while little has changed, make the next measurement cost `k` products and the search
        for others, 5 to 10.
    basis
        Vectors held: by default ``2 * count + 30``, fewer where they would take more than half of
        the memory that is free, more for small networks. Fewer means more products.
    max_products
        By default ``500 + 50 * count``.
    progress
        Called as ``progress(pairs converged, count)``.

    Returns
    -------
    xarray.Dataset
        Dimension coordinate ``eigenvalue`` in descending order of value, whatever `which` is,
        and ``residual(eigenvalue)``: a true eigenvalue lies that near. Where the other
        eigenvalues found, and the interval left for those not sought, keep a distance
        ``gap_estimate``: ``quadratic_bound`` of the eigenvalue's error and ``angle_sine``, that
        of the angle to the true vector (or to those of all pairs the residuals cannot tell
        apart); else NaN. With `vectors`, also ``vector(eigenvalue, params)``. attrs:
        ``products``, ``converged``, ``miss_probability`` (a bound on the chance that a wanted
        eigenvalue was overlooked), ``asymmetry`` (relative, of the products seen), the
        vectors held (``basis``) with their memory (``basis_bytes``), and the settings.

    Notes
    -----
    Thick-restart Lanczos with full reorthogonalization: about 15 products for the largest
    eigenvalue and 35 for the ten largest of a trained network, several times that at an end
    where eigenvalues crowd. The residual is a bound; the other two are bounds if the gap is
    right, and that rests on Ritz values: it is stated where ``miss_probability`` is at most
    0.01, never for the innermost wanted pair, whose neighbor was not sought. Memory: `basis`
    vectors and what a product takes. `theodolite.linalg.thick_restart` has the details. Raises
    `NotConverged` with the same dataset as ``result``. A residual bounds the error of an
    eigenvalue; it does not say that the operator is the Hessian of a smooth function: see
    `theodolite.certify`.

    References
    ----------
    Wu, Simon (2000), SIAM J. Matrix Anal. Appl. 22. `theodolite.linalg.pair_bounds` for bounds.

    Examples
    --------
    >>> import torch
    >>> a = Operator.from_matrix(torch.diag(torch.tensor([4.0, 1.0, -6.0])))
    >>> eigenpairs(a, count=2, which="magnitude").eigenvalue.values.round(5).tolist()
    [4.0, -6.0]
    """
    count = min(10, operator.size) if count is None else count
    settings = {"which": which, "tolerance": tolerance, "seed": seed}

    def described(pairs: RitzPairs) -> xr.Dataset:
        return _dataset(operator, pairs, vectors=vectors, **settings)

    try:
        pairs = without_autocast(ritz_pairs)(
            operator,
            count=count,
            which=which,
            tolerance=tolerance,
            seed=seed,
            start=start,
            basis=basis,
            max_products=max_products,
            progress=progress,
        )
    except NotConverged as error:
        error.result = described(error.result)
        raise
    return described(pairs)


def _bounds(operator: Operator, pairs: RitzPairs, which: str, tolerance: float) -> PairBounds:
    """Bounds beyond the residuals, as far as the search for overlooked eigenvalues went.

    An eigenvalue that was neither found nor wanted lies between the `thresholds`, or beyond them
    by what passes for settled.
    """
    values, residuals = pairs.values.numpy(), pairs.residuals.numpy()
    unseen: tuple[float, float] | None = None
    if len(values) < operator.size:
        low, high = -np.inf, np.inf
        if pairs.converged and pairs.miss_probability <= MISSED:
            least = ROUNDINGS * float(torch.finfo(pairs.vectors.dtype).eps)
            slack = max(tolerance, least) * float(np.abs(values).max())
            low, high = thresholds(values[preference(values, which)], which)
            low, high = low - slack, high + slack
        unseen = low, high
    return pair_bounds(values, residuals, unseen=unseen, rounding=pairs.rounding)


def _dataset(operator: Operator, pairs: RitzPairs, *, vectors: bool, **settings: Any) -> xr.Dataset:
    """Pairs in the schema of every result that holds eigenvalues."""
    dims = ("eigenvalue",)
    bounds = _bounds(operator, pairs, str(settings["which"]), float(settings["tolerance"]))
    variables: dict[str, results.Variable] = {
        "residual": (dims, pairs.residuals.numpy(), {"long_name": "residual |A v - lambda v|"}),
        "gap_estimate": (
            dims,
            bounds.gap,
            {"long_name": "distance to the other eigenvalues, estimated from Ritz values"},
        ),
        "quadratic_bound": (
            dims,
            bounds.error,
            {"long_name": "bound of the eigenvalue's error if the gap is right"},
        ),
        "angle_sine": (
            dims,
            bounds.sine,
            {"long_name": "bound of the sine of the vector's angle if the gap is right"},
        ),
    }
    if vectors:
        held = pairs.vectors.cpu().numpy()
        variables["vector"] = ((*dims, "params"), held, {"long_name": "eigenvector, unit length"})
    found = (dims, pairs.values.numpy(), {"long_name": "eigenvalue"})
    return results.dataset(
        "eigenpairs",
        variables,
        {"eigenvalue": found},
        **{
            **operator.facts,
            **settings,
            "operator": operator.label,
            "size": operator.size,
            "count": len(pairs.values),
            "products": pairs.products,
            "converged": pairs.converged,
            "miss_probability": pairs.miss_probability,
            "asymmetry": pairs.asymmetry,
            "basis": pairs.basis,
            "basis_bytes": pairs.basis * operator.size * pairs.vectors.itemsize,
        },
    )
