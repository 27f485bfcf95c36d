"""A critical point near a start, whether it is one, and how it curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import numpy as np
import torch
import xarray as xr
from jaxtyping import Shaped
from torch import Tensor

from theodolite import results
from theodolite.curvature.certified_points import Certificate, certificate_of, untested
from theodolite.curvature.critical_search import (
    CRAWL,
    SHORT,
    Goal,
    Mark,
    Path,
    Progress,
    Spot,
    hessian_at,
    spot_at,
)
from theodolite.curvature.gradient_flatness import MOST
from theodolite.curvature.gradient_norms import least_gradient
from theodolite.curvature.newton_searches import newton_mr, saddle_free_newton
from theodolite.curvature.saddle_indices import saddle_index
from theodolite.errors import InvalidArgument, NotConverged
from theodolite.linalg.precision import without_autocast
from theodolite.objective import Objective

Method = Literal["newton-mr", "gradient-norm", "saddle-free"]

SEARCHES: dict[str, Callable[[Objective, Spot, Goal], Path]] = {
    "newton-mr": newton_mr,
    "gradient-norm": least_gradient,
    "saddle-free": saddle_free_newton,
}

SHARES = {
    "relative_residual": "residual of the Newton system over the size of its terms",
    "residual_share": "share of the gradient that no Newton step removes to first order",
    "reduction": "share of the gradient norm that a Newton step leaves",
}

STOPPED = {
    "tolerance": "",
    "products": "the {:,} products of max_products were used up",
    "stalled": "no step along the search direction brought a decrease",
    "crawling": f"the last {CRAWL} steps had to be cut below {SHORT:g} of the full one: the "
    "gradient jumps there (kinks of ReLU and the like), or the Hessian does not lead on",
}

ENOUGH = 50
"""Products below which the end of a search that did not reach its goal is not tested."""


def critical_point(
    objective: Objective,
    theta: Shaped[Tensor, " params"] | None = None,
    *,
    method: Method = "newton-mr",
    tolerance: float = 1e-10,
    max_products: int = 5000,
    index: bool = True,
    index_settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    seed: int = 0,
) -> xr.Dataset:
    r"""A critical point of the loss near `theta`, certified, with its index.

    .. math:: \nabla L(\theta^*) = 0: \qquad \|g\|^2 \le \varepsilon, \qquad
        \frac{\|H p + g\|}{\|H\|_F \|p\| + \|g\|} \le 0.9, \qquad p = -H^+ g

    Parameters
    ----------
    objective
        Evaluated in float64 over all its data, whatever its own precision.
    theta
        Where to begin; by default ``objective.start``.
    method
        ``"newton-mr"``: Newton steps by MINRES with a line search on the gradient norm; finds
        critical points of any index. ``"gradient-norm"``: minimizes it by L-BFGS, also of any
        index. ``"saddle-free"``: steps along :math:`|H|^{-1} g` with a line search on the loss;
        leaves saddles and finds minima.
    tolerance
        Squared gradient norm allowed.
    max_products
        Hessian products of the search.
    index
        Compute the index curve at a point that is accepted.
    index_settings
        Arguments of `saddle_index`, by name.
    progress
        Called as ``progress(products, gradient_norm)`` at every iteration.
    seed
        Of the random vectors of the test and of the index.

    Returns
    -------
    xarray.Dataset
        ``point(params)``; ``gradient_norm``, ``loss`` and ``products`` over ``iteration`` (0 is
        the start, the last one may be the step of the test); 0-d ``relative_residual``,
        ``residual_share``, which is :math:`\|H p + g\| / \|g\|`, and ``reduction``, what a Newton
        step leaves of the gradient norm: near 0 the gradient is on its way to zero, near 1 it
        lies in the kernel of the Hessian. NaN where it is zero to rounding. With `index`, the
        variables of `saddle_index` over ``tau``. attrs: ``converged`` (the tolerance was reached),
        ``accepted`` (and the gradient is not flat), ``reason`` where not, ``frobenius_norm``,
        ``products`` of the search, ``test_products``, ``index_products``.

    Notes
    -----
    An iteration costs a loss and a gradient (4 F) a trial step, 3 F for a graph and 6 F a
    product: up to 200 products for Newton-MR, up to 40 for saddle-free, one for the gradient
    norm. The test costs up to ``min(2 * size, 1000, max_products)`` products and 16 more, at one
    point or two; a search that used up `max_products` is not tested, and one that stalled may
    spend what is left of them on it. The index costs those of `saddle_index`. Memory, in vectors
    of float64: 50 (Newton-MR), 75 (saddle-free) or 110 (gradient norm), or those of
    `saddle_index` if they are more, and the graphs.
    A point is refused where
    the residual of the Newton system is above 0.9, and also where steps of full to one eighth
    length along p leave more than 0.9 of the gradient: next to a gradient-flat point the system
    can be solved, but does not help. Losses with kinks (ReLU) have critical points only where no
    kink is crossed: prefer smooth activations. The infimum of a cross entropy that can be
    separated is no critical point; the gradient gets small on the way there all the same, Newton
    steps go on reducing it, and neither test sees it. Report how many starts were refused beside
    those accepted: in networks it can be most.

    Raises `NotConverged` with the same dataset as ``result`` where the tolerance was not reached
    (E-K28) or the point is gradient-flat (E-K29); `InvalidArgument` for settings out of range
    (E-K30); `NotFinite` for a start without a gradient.

    References
    ----------
    Dauphin et al. (2014), arXiv:1406.2572. Roosta, Liu, Xu, Mahoney (2022), EURO J. Comput.
    Optim. 10. Frye et al. (2021), Neural Computation 33 (gradient-flat points).

    Examples
    --------
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0], [-1.0]])
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> found = critical_point(Objective(model, torch.nn.MSELoss(), (x, y)))
    >>> found.point.values.round(6).tolist(), found.verdict.values[0].item()
    ([1.0, -0.5], 'minimum up to tau')
    """
    _require(method, tolerance, max_products)
    start = objective.point(theta).double()
    double = objective.converted(torch.float64)
    goal = Goal(tolerance, max_products, progress)
    path, certificate = without_autocast(_measured)(double, start, method, goal, seed)
    facts = {"method": method, "tolerance": tolerance, "max_products": max_products, "seed": seed}
    found = _dataset(double, path, certificate, facts)
    _refuse(found, path, certificate)
    if not index:
        return found
    operator = hessian_at(double, certificate.spot, verify=False)
    curve = saddle_index(operator, **(index_settings or {}), seed=seed)
    kept = {name: v for name, v in curve.data_vars.items() if "tau" in v.dims}
    notes = {"index_method": curve.attrs["method"], "index_products": curve.attrs["products"]}
    return found.assign(kept).assign_attrs(notes, scale=curve.attrs["scale"])


def _measured(
    objective: Objective, start: Tensor, method: str, goal: Goal, seed: int
) -> tuple[Path, Certificate]:
    """The search, and the test of where it ended."""
    path = SEARCHES[method](objective, spot_at(objective, start, 0), goal)
    reached = path.stop == "tolerance"
    most = min(MOST, goal.max_products if reached else goal.max_products - path.products)
    if not reached and most < min(ENOUGH, 2 * len(start)):
        return path, untested(path.end)
    verify = len(path.marks) == 1
    return path, certificate_of(objective, path.end, max_products=most, seed=seed, verify=verify)


def _dataset(
    objective: Objective, path: Path, certificate: Certificate, settings: dict[str, Any]
) -> xr.Dataset:
    marks, steps, last = [*path.marks], ("iteration",), certificate.spot
    if last is not path.end:
        marks.append(Mark(last.loss, last.square, last.products))
    parts = [certificate.reason, STOPPED[path.stop].format(settings["max_products"])]
    named = {
        "gradient_norm": ([m.square**0.5 for m in marks], "norm of the gradient"),
        "loss": ([m.loss for m in marks], "loss"),
        "products": ([m.products for m in marks], "Hessian products so far"),
    }
    variables: dict[str, results.Variable] = {
        name: (steps, values, {"long_name": text}) for name, (values, text) in named.items()
    }
    for name, text in SHARES.items():
        variables[name] = ((), getattr(certificate, name), {"long_name": text})
    point = last.theta.numpy(force=True)
    return results.dataset(
        "critical_point",
        variables
        | {
            "point": (("params",), point, {"long_name": "parameters of the point found"}),
        },
        {"iteration": np.arange(len(marks))},
        **{
            **objective.facts(),
            **settings,
            "converged": path.stop == "tolerance",
            "accepted": path.stop == "tolerance" and not certificate.reason,
            "reason": "; ".join(part for part in parts if part),
            "frobenius_norm": certificate.frobenius,
            "products": path.products,
            "test_products": certificate.products,
        },
    )


def _refuse(found: xr.Dataset, path: Path, certificate: Certificate) -> None:
    """Raise where the end of the path is no critical point."""
    last = float(found.gradient_norm[-1])
    where = f"iteration {len(path.marks) - 1}, {path.products} products"
    if path.stop != "tolerance":
        raise NotConverged(
            f"the squared gradient norm reached {last**2:.3g}; "
            f"{found.attrs['tolerance']:g} was wanted.",
            where=where,
            why=f"{found.attrs['reason']}.",
            fix="raise max_products, or begin elsewhere; .result has the path.",
            code="E-K28",
            result=found,
        )
    if certificate.reason:
        raise NotConverged(
            f"the gradient norm is {last:.3g}, and the point is no critical point.",
            where=where,
            why=f"{certificate.reason}.",
            fix="begin elsewhere or lower the tolerance; .result has the path.",
            code="E-K29",
            result=found,
        )


def _require(method: str, tolerance: float, max_products: int) -> None:
    if method not in get_args(Method):
        allowed = ", ".join(map(repr, get_args(Method)))
        raise InvalidArgument(f"method must be one of {allowed}; got {method!r}.", code="E-K30")
    if not 0 < tolerance < np.inf or max_products < 1:
        raise InvalidArgument(
            "tolerance must be positive and max_products at least 1; "
            f"got {tolerance} and {max_products}.",
            code="E-K30",
        )
