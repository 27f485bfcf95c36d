"""The certificate of a critical point: what Newton steps leave of its gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from theodolite.curvature.critical_search import Spot, hessian_at, spot_at
from theodolite.curvature.gradient_flatness import FLAT, gradient_flatness
from theodolite.errors import NotFinite
from theodolite.objective import Objective

LENGTHS = (1.0, 0.5, 0.25, 0.125)
"""Shares of a Newton step that are tried."""


@dataclass(frozen=True, eq=False)
class Certificate:
    """The point, after a Newton step where one helps, and what it says of the gradient.

    ``relative_residual`` and ``residual_share`` are the worse of those before and after the step,
    ``reduction`` is the gradient norm after it over that before; NaN where the gradient is zero
    to rounding. ``reason`` says why the point is no critical one, and is empty where it is.
    """

    spot: Spot
    relative_residual: float
    residual_share: float
    reduction: float
    frobenius: float
    reason: str
    products: int


def untested(spot: Spot) -> Certificate:
    """No certificate: the numbers are NaN, and no product was made."""
    return Certificate(spot, math.nan, math.nan, math.nan, math.nan, "", 0)


def certificate_of(
    objective: Objective, spot: Spot, *, max_products: int, seed: int, verify: bool
) -> Certificate:
    """Test a point twice: where the search ended, and after the Newton step from there.

    The gradient may have parts in the range and in the kernel of the Hessian. The first go with
    the step, and what is left is tested for itself: `gradient_flatness`, which may take
    `max_products` for each.
    """
    how = {"max_products": max_products, "seed": seed}
    before = gradient_flatness(
        hessian_at(objective, spot, verify=verify), spot.gradient, spot.theta, **how
    )
    there = None if before.vanishes or before.flat else _stepped(objective, spot, before.step)
    reduction = math.nan if before.vanishes else 1.0
    reason, last, products = before.reason, before, before.products
    if there is not None and there.square < spot.square:
        reduction = (there.square / spot.square) ** 0.5
        last = gradient_flatness(
            hessian_at(objective, there, verify=False), there.gradient, there.theta, **how
        )
        products += last.products
        reason = last.reason
        spot = there
    if not reason and reduction > FLAT:
        reason = f"the gradient is flat: Newton steps leave at least {100 * reduction:.3g} % of it"
    return Certificate(
        spot=spot,
        relative_residual=_worse(before.relative_residual, last.relative_residual),
        residual_share=_worse(before.residual_share, last.residual_share),
        reduction=reduction,
        frobenius=last.frobenius,
        reason=reason,
        products=products,
    )


def _stepped(objective: Objective, spot: Spot, step: Tensor) -> Spot | None:
    """The best of a few shares of the Newton step; None where none can be evaluated."""
    best: Spot | None = None
    for length in LENGTHS:
        try:
            there = spot_at(objective, spot.theta + length * step, spot.products)
        except NotFinite:
            continue
        if best is None or there.square < best.square:
            best = there
        if length == LENGTHS[0] and there.square < FLAT**2 * spot.square:
            break
    return best


def _worse(before: float, after: float) -> float:
    """The larger, numbers before NaN."""
    return before if math.isnan(after) or before >= after else after
