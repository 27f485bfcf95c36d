"""The gradient noise scale: the batch size at which noise is as large as the gradient."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float64, Shaped
from torch import Tensor

from theodolite import results
from theodolite.linalg.precision import without_autocast
from theodolite.noise.arguments import count, number, point_of, quantile, unseen
from theodolite.noise.hessian_noise import NoiseCurvature, sampled, traced
from theodolite.noise.intervals import Interval, around, by_factor, with_ends
from theodolite.noise.moments import Moments, combinations, moments, shares_of
from theodolite.noise.ratios import ratio_interval
from theodolite.objective import Objective
from theodolite.operators import hessian


def gradient_noise_scale(
    objective: Objective,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    population: str | int = "data",
    curvature: bool = True,
    level: float = 0.95,
    tolerance: float = 0.05,
    max_products: int = 200,
    looked: int = 24,
    engine: str = "auto",
    seed: int = 0,
) -> xr.Dataset:
    r"""The simple and the Hessian-weighted noise scale at one point.

    .. math:: B_{\text{simple}} = \frac{\operatorname{tr} \Sigma}{\|G\|^2}, \qquad
              B_{\text{noise}} = \frac{\operatorname{tr}(H \Sigma)}{G^\top H G}, \qquad
              \Sigma = \frac{1}{N - 1} \sum_i e_i e_i^\top, \quad
              e_i = \frac{w_i}{\bar w} (g_i - g)

    so that the gradient of a batch of B of the N examples has the covariance
    :math:`\frac{1}{B} (1 - \frac{B}{N}) \Sigma` (without replacement; to first order where
    weights are unequal). For equal weights that is the covariance of `gradient_covariance`.

    Parameters
    ----------
    objective
        Any but one shared by processes, in training mode, or with recomputed BatchNorm.
    theta
        Where, shape ``(params,)``; by default ``objective.start``.
    population
        Whose gradient G is. ``"data"``: the examples of the objective are all there are, G is
        their gradient and nothing but tr(H Sigma) is estimated. ``"distribution"``: they are a
        sample, so that the squared norm of their gradient is too large by tr(Sigma) / N, which
        is taken off, and every number has an interval over examples. A whole number: they are a
        sample of so many (``Objective(limit=...)``).
    curvature
        Whether to measure the Hessian-weighted scale, which costs most.
    level
        Of the intervals.
    tolerance, max_products
        For tr(H Sigma), as in `trace`.
    looked
        Examples whose own share in tr(H Sigma) is measured for its error in a sample; 8 or more.
    engine
        Of the Hessian's products, as in `hessian`.

    Returns
    -------
    xarray.Dataset
        ``simple``, ``hessian_weighted`` (both in examples), ``covariance_trace``,
        ``gradient_norm_squared``, ``hessian_covariance_trace``, ``gradient_curvature`` (G'HG), each
        with ``_low`` and ``_high``: equal to it where exact, infinite where the gradient may be
        zero. NaN where not measured; ``attrs["hessian_weighted_reason"]`` says why. attrs:
        ``ways`` (how many tensors by ghost norms, vmap, loop), ``products``, ``passes``.

    Notes
    -----
    In forward passes (F): a gradient (3) and the norms of all gradients (3 by ghost norms, 3 more
    where some tensors go by vmap); for tr(H Sigma) about 12 a product (and as many small passes as
    examples where a batch gives nothing but its mean loss), at most `max_products` of
    them, and in a sample 8 for each example looked at. Memory: one batch's activations and
    factors; no gradient of a single example is stored. Ratios of means have Fieller's interval,
    from the linearized influence of each example. Where the gradient is zero within its error
    the simple scale has no upper end; an estimate of :math:`\|G\|^2` below zero gives an infinite
    scale.

    B_simple takes H for a multiple of the identity; it is no batch size to use but an order of
    magnitude (`batch_size_advice`), and it grows in training. G'HG may be zero or negative away
    from minima, where B_noise says nothing (NaN). Not checked: that the next steps see the same
    noise. Sums over examples in float64; where the noise is below about 1e-7 of the gradient (in
    float32) it is rounding.

    Raises `InvalidArgument`, `UnsupportedModel` (E-Y01 to E-Y09, E-Y18).

    References
    ----------
    McCandlish, Kaplan, Amodei et al. (2018), arXiv:1812.06162. Goodfellow (2015),
    arXiv:1510.01799 (norms without gradients). Fieller (1954), J. R. Stat. Soc. B 16.

    Examples
    --------
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[1.0], [1.0]])
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> objective = td.Objective(model, torch.nn.MSELoss(), (x, y))
    >>> at = torch.zeros(2)  # gradients (-2, 0) and (0, -4): mean (-1, -2), covariance trace 10
    >>> found = gradient_noise_scale(objective, theta=at)
    >>> float(found.simple), float(found.covariance_trace), float(found.gradient_norm_squared)
    (2.0, 10.0, 5.0)
    >>> round(float(found.hessian_weighted), 5)  # H = diag(1, 4): (2 + 32) / (1 + 16)
    2.0
    """
    point = point_of(objective, theta)
    apart = unseen(population, objective.examples)
    level = number(level, "level", above=0, below=1)
    number(tolerance, "tolerance", above=0)
    count(max_products, "max_products", least=32)
    count(looked, "looked", least=8)
    found = without_autocast(moments)(objective, point, extra=_slopes_of_weights(objective, point))
    curved, reason = None, "not asked for"
    if curvature:
        operator = hessian(objective, point, engine=engine)
        curved = traced(found, operator, tolerance=tolerance, seed=seed, max_products=max_products)
        if apart:
            few = min(looked, objective.examples)
            curved = sampled(found, operator, curved, unseen=apart, seed=seed, looked=few)
        reason = "" if curved.along > 0 else "the curvature along the gradient is not positive"
    values = first_order(found, apart, level) | second_order(curved, level, bool(apart))
    return results.dataset(
        "gradient_noise_scale",
        with_ends(values, LONG),
        **objective.facts(),
        **told(found),
        theta_norm=float(point.double().norm()),
        noise_population=population,
        level=level,
        seed=seed,
        tolerance=tolerance,
        hessian_weighted_reason=reason,
        method=curved.method if curved else "none",
        products=curved.products if curved else 0,
        passes=_passes(found, curved),
    )


def first_order(found: Moments, apart: float, level: float) -> dict[str, Interval]:
    """What needs no Hessian, with intervals over the examples of the sample."""
    n, each = found.examples, found.deviations().sum(1)
    spread = float(each.sum()) / (n - 1)
    whole = float(found.mean_squares().sum())
    squared = whole - apart * spread / n
    covariance = apart * _covariance(found, each, spread, apart)
    c = quantile(level, n) if apart else 0.0
    low, high = ratio_interval(spread, squared, covariance, c)
    simple = spread / squared if squared > 0 else math.inf
    if spread == 0:
        simple, low, high = (0.0, 0.0, 0.0) if squared > 0 else (math.nan,) * 3
    return {
        "simple": (simple, max(low, 0.0), high) if squared > 0 or apart else (simple,) * 3,
        "covariance_trace": by_factor(spread, covariance[0, 0], c),
        "gradient_norm_squared": around(squared, covariance[1, 1], c),
    }


def second_order(found: NoiseCurvature | None, level: float, sample: bool) -> dict[str, Interval]:
    """What the Hessian adds."""
    names = ("hessian_weighted", "hessian_covariance_trace", "gradient_curvature")
    if found is None:
        return dict.fromkeys(names, (math.nan,) * 3)
    c = quantile(level, found.samples)
    if not sample and not found.covariance.any():
        c = 0.0
    ratio = (math.nan,) * 3
    if found.along > 0:
        ends = ratio_interval(found.trace, found.along, found.covariance, c)
        ratio = (found.trace / found.along, *ends)
    return {
        "hessian_weighted": ratio,
        "hessian_covariance_trace": (by_factor if found.trace > 0 and sample else around)(
            found.trace, found.covariance[0, 0], c
        ),
        "gradient_curvature": around(found.along, found.covariance[1, 1], c),
    }


def _covariance(
    found: Moments, each: Tensor, spread: float, apart: float
) -> Float64[np.ndarray, "2 2"]:
    r"""The covariance of the errors of tr(Sigma) and |G|^2, from each example's influence."""
    n, weights = found.examples, found.weights
    slopes = weights * (found.along.sum(1) - float(found.mean_squares().sum()))  # e_i' g
    trace = each - spread
    if found.extra.shape[2]:
        moved = found.extra[:, :, 0].sum(1)  # how the weights lean on the gradients
        leaning = weights * (moved - float(found.shares @ moved))
        lean = float(weights.square().mean())
        trace = trace - 2 * spread * (weights - 1) - 2 * (leaning - lean * slopes)
    rows = np.stack([trace.cpu().numpy(), (2 * slopes - apart * trace / n).cpu().numpy()])
    made: np.ndarray = np.cov(rows) / n
    return made


def _slopes_of_weights(objective: Objective, theta: Tensor) -> Tensor | None:
    """The mean of the gradients by squared weights, where weights differ and losses are known."""
    shares = shares_of(objective)
    if bool((shares == shares[0]).all()):
        return None
    return combinations(objective, theta, (shares.square() * len(shares))[None])


def told(found: Moments) -> dict[str, Any]:
    """How the norms were found: tensors by each way, and why not by the first."""
    ways = list(found.ways.values())
    return {
        "ways": {way: ways.count(way) for way in ("ghost", "vmap", "loop") if way in ways},
        "ways_reasons": dict(found.reasons),
    }


def _passes(found: Moments, curved: NoiseCurvature | None) -> int:
    """Forward passes over the data, about."""
    once = 3 + 3 * len(set(found.ways.values()))
    if curved is None:
        return once
    return once + 12 * curved.products


LONG = {
    "simple": ("simple noise scale tr(Sigma) / |G|²", "examples"),
    "hessian_weighted": ("noise scale tr(H Sigma) / G'HG", "examples"),
    "covariance_trace": ("trace of the covariance of gradients", ""),
    "gradient_norm_squared": ("squared norm of the gradient", ""),
    "hessian_covariance_trace": ("tr(H Sigma)", ""),
    "gradient_curvature": ("G'HG", ""),
}
