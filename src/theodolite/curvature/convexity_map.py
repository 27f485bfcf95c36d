"""Where around a point the loss is convex: both ends of the full Hessian's spectrum on a grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Float64, Shaped
from torch import Tensor

from theodolite import results, seeds
from theodolite.curvature.convexity_inputs import (
    Search,
    axes,
    checked_directions,
    checked_search,
    checked_theta,
)
from theodolite.curvature.nonconvexity import convexity_facts
from theodolite.errors import NotConverged, NotFinite
from theodolite.linalg.precision import without_autocast
from theodolite.linalg.thick_restart import RitzPairs, ritz_pairs
from theodolite.objective import Objective
from theodolite.operators import hessian
from theodolite.results import DIVERGED, OK

NAMES = {
    "largest_eigenvalue": "largest eigenvalue of the Hessian",
    "largest_residual": "residual of the largest eigenvalue",
    "smallest_eigenvalue": "smallest eigenvalue of the Hessian",
    "smallest_residual": "residual of the smallest eigenvalue",
    "ratio": "smallest eigenvalue over the largest, signed",
    "ratio_error": "error of the ratio, from both residuals",
    "miss_probability": "bound on the chance that a more extreme eigenvalue was overlooked",
    "products": "Hessian-vector products used",
    "converged": "1 where both eigenvalues reached the tolerance",
}


def convexity(
    objective: Objective,
    directions: Shaped[Tensor, ...],
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    span: Sequence[Sequence[float | int]] = ((-1, 1), (-1, 1)),
    steps: Sequence[int] = (9, 9),
    tolerance: float = 1e-2,
    miss_probability: float = 0.1,
    engine: str = "kept",
    warm: bool = True,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    r"""How convex the loss is over a plane, seen by the full Hessian at each point.

    .. math:: r(\alpha, \beta) = \lambda_{\min}(H) / \lambda_{\max}(H), \qquad
        H = \nabla^2 L(\theta + \alpha\,d_1 + \beta\,d_2)

    Parameters
    ----------
    directions
        Shape ``(2, params)``, for example of `random_directions`.
    theta
        The point where alpha and beta are zero; by default ``objective.start``.
    span, steps
        ``((first, last), (first, last))`` and ``(count, count)`` of alpha and beta.
    tolerance
        Residual allowed, relative to the larger eigenvalue in size; also the share of the largest
        eigenvalue a negative one must exceed to count as non-convex.
    miss_probability
        At each point the search for overlooked eigenvalues goes on until they are less likely
        than this, or for 30 products; 1 leaves the search out.
    engine
        How products are made, see `hessian`; "auto" would depend on the clock.
    warm
        Begin with both eigenvectors of the neighbor before, within a row of fixed alpha.
    progress
        Called as ``progress(done, total)`` after every point.

    Returns
    -------
    xarray.Dataset
        Dimensions ``(alpha, beta)``: ``largest_eigenvalue``, ``smallest_eigenvalue``, their
        residuals ``largest_residual``, ``smallest_residual``, ``ratio`` (signed; NaN where the
        largest eigenvalue is not positive) and ``ratio_error``, ``miss_probability``,
        ``products``, ``converged`` and ``status`` (1 ok, 2 diverged: the products are not finite).
        attrs: ``nonconvex_share`` of the points (with ``_low`` and ``_high``, counting undecided
        points for neither and for it), ``mean_ratio``, ``mean_ratio_error``, ``products`` and the
        settings.

    Raises
    ------
    InvalidArgument
        For a span or steps that make no grid (E-X05), directions of another shape (E-X06) or
        parallel (E-X07), and settings out of range (E-X08).

    Notes
    -----
    At each point about 3 F for the graph and 6 F a product. A row begins cold and each further
    point from its neighbor's vectors, so rows do not depend on each other and a row computed alone
    has the same bits. A smallest eigenvalue found is never below the true one (it is a Rayleigh
    quotient), so non-convexity that is found is there; a convex point is one where none was found.
    Derivatives are verified once, at the first point.

    References
    ----------
    Li, Xu, Taylor, Studer, Goldstein (2018), arXiv:1712.09913, section 6 and figure 7, which show
    the absolute value of the ratio.

    Examples
    --------
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> data = torch.diag(torch.tensor([1.0, 2.0])), torch.zeros(2, 1)
    >>> objective = Objective(model, torch.nn.MSELoss(), data)
    >>> bowl = convexity(objective, torch.eye(2), steps=(2, 2))  # H = diag(1, 4)
    >>> bowl.ratio.values.round(4).tolist(), bowl.attrs["nonconvex_share"]
    ([[0.25, 0.25], [0.25, 0.25]], 0.0)
    """
    alphas, betas = axes(span, steps)
    search = Search(tolerance, miss_probability, engine, warm, None, seed)
    checked_search(search)
    values = convexity_rows(
        objective,
        directions,
        theta=theta,
        alphas=alphas,
        betas=betas,
        rows=range(len(alphas)),
        search=search,
        progress=progress,
    )
    made = convexity_dataset(values, alphas, betas, convexity_settings(objective, search))
    return made.assign_attrs(convexity_facts(made))


def convexity_rows(
    objective: Objective,
    directions: Shaped[Tensor, ...],
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    alphas: Sequence[float] | Float[np.ndarray, " alpha"],
    betas: Sequence[float] | Float[np.ndarray, " beta"],
    rows: Sequence[int],
    search: Search,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Float64[np.ndarray, "row beta"]]:
    """The rows of the map whose numbers are given, arrays ``(row, beta)``; each row by itself."""
    base = checked_theta(objective, theta)
    first, second = checked_directions(objective, directions).to(base)
    found = {name: np.full((len(rows), len(betas)), np.nan) for name in (*NAMES, "status")}
    verify = search.verify
    for i, row in enumerate(rows):
        vectors: Tensor | None = None
        begin = torch.add(base, first, alpha=float(alphas[row]))
        for j, beta in enumerate(betas):
            point = torch.add(begin, second, alpha=float(beta))
            seed = seeds.child_seed(search.seed, "convexity", row, j)
            pairs = _extremes(objective, point, search, vectors, seed, verify)
            for name, value in _numbers(pairs).items():
                found[name][i, j] = value
            verify = verify and pairs is None
            vectors = pairs.vectors if pairs is not None and search.warm else None
            if progress is not None:
                progress(i * len(betas) + j + 1, len(rows) * len(betas))
    return found


def _extremes(
    objective: Objective,
    point: Tensor,
    search: Search,
    start: Tensor | None,
    seed: int,
    verify: bool,
) -> RitzPairs | None:
    """Both ends of the spectrum at a point; None where the loss or a product is not finite."""
    if not bool(torch.isfinite(point).all()):
        return None
    operator = hessian(objective, point, engine=search.engine, verify=verify)
    count = min(2, operator.size)
    try:
        return without_autocast(ritz_pairs)(
            operator,
            count=count,
            which="both",
            tolerance=search.tolerance,
            miss_probability=search.miss_probability,
            seed=seed,
            start=start,
            max_products=search.max_products,
        )
    except NotConverged as error:
        reached: RitzPairs = error.result
        return reached
    except NotFinite:
        return None


def _numbers(pairs: RitzPairs | None) -> dict[str, float]:
    """What is kept of a point; the eigenvalues descend."""
    if pairs is None:
        return {"status": float(DIVERGED), "converged": 0.0}
    (top, low), (above, below) = (
        (float(v[0]), float(v[-1])) for v in (pairs.values, pairs.residuals)
    )
    ratio = error = float("nan")
    if top > 0:
        ratio, error = low / top, (below + abs(low / top) * above) / top
    values = (top, above, low, below, ratio, error)
    return {
        **dict(zip(NAMES, values, strict=False)),
        "miss_probability": pairs.miss_probability,
        "products": float(pairs.products),
        "converged": float(pairs.converged),
        "status": float(OK),
    }


def convexity_dataset(
    values: dict[str, Float64[np.ndarray, "row beta"]],
    alphas: Float64[np.ndarray, " row"],
    betas: Float64[np.ndarray, " beta"],
    facts: dict[str, Any],
) -> xr.Dataset:
    """The values of `convexity_rows` as a result."""
    dims = ("alpha", "beta")
    variables: dict[str, results.Variable] = {
        name: (dims, values[name], {"long_name": text}) for name, text in NAMES.items()
    }
    variables["status"] = results.status_variable(dims, values["status"])
    coords = {
        dim: (dim, axis, {"long_name": f"distance along direction {k + 1}"})
        for k, (dim, axis) in enumerate(zip(dims, (alphas, betas), strict=True))
    }
    return results.dataset("convexity", variables, coords, **facts)


def convexity_settings(objective: Objective, search: Search) -> dict[str, Any]:
    """What every row of a map records."""
    return {
        **objective.facts(),
        "tolerance": search.tolerance,
        "wanted_miss_probability": search.miss_probability,
        "engine": search.engine,
        "warm_start": search.warm,
        "seed": search.seed,
    }
