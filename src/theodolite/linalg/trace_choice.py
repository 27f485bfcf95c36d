"""The trace to a tolerance by any method: a pilot decides how, fresh probes make the estimate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from theodolite.linalg.deflation import hutch_plus_plus
from theodolite.linalg.exchangeable import xtrace
from theodolite.linalg.hutchinson import (
    PILOT,
    TraceEstimate,
    fresh_estimate,
    probes_needed,
    require_affordable,
    trace_estimate,
    with_margin,
)
from theodolite.linalg.leave_out import ProbeTrace
from theodolite.linalg.nystrom import require_semidefinite, xnystrace
from theodolite.linalg.operator import Operator
from theodolite.linalg.sketch import Progress, Tally, together
from theodolite.linalg.trace_pilot import PRODUCTS, TracePilot, trace_pilot

FEWEST = 8
"""Test vectors below which a standard error is not worth much (5 for Hutch++, at the least cap)."""

HELD = 1 << 28
"""Low-rank methods hold at most so many numbers, or the fewest vectors they can work with."""

HUTCHINSON = "hutchinson"

WORTH = 0.75
"""A low-rank method is taken when it is expected to cost no more than this share."""

LOW_RANK: Mapping[str, Callable[..., ProbeTrace]] = {
    "hutch++": hutch_plus_plus,
    "xtrace": xtrace,
    "xnystrace": xnystrace,
}


@dataclass(frozen=True, eq=False)
class ChosenTrace:
    """An estimate, the method it was made by (``"exact"``: all unit vectors) and why by that."""

    estimate: TraceEstimate
    method: str
    reason: str


@dataclass(frozen=True)
class Plan:
    """Test vectors of a method, the products they cost, and the variance to expect."""

    method: str
    probes: int
    products: int
    variance: float
    enough: bool


def chosen_trace(
    operator: Operator,
    *,
    method: str = "auto",
    tolerance: float = 0.01,
    seed: int = 0,
    max_products: int = 1000,
    progress: Progress | None = None,
    pilot: TracePilot | None = None,
) -> ChosenTrace:
    """Estimate the trace of an operator by the method named, or the one expected to be cheapest.

    Parameters
    ----------
    operator, tolerance, seed, max_products, progress
        As for `trace_estimate`.
    method
        ``"hutchinson"``, ``"hutch++"``, ``"xtrace"``, ``"xnystrace"`` or ``"auto"``.
    pilot
        One already made of this operator by `seed`, which is counted and not made again.

    Returns
    -------
    ChosenTrace
        Unbiased, whatever the pilot chose: the estimate shares no probe with it.

    Notes
    -----
    The pilot is that of `trace_estimate`, 16 products; `theodolite.linalg.trace_pilot` says what
    is read from it. ``"auto"`` takes Hutchinson's method where its least number of probes will
    do, and otherwise unless another is expected to cost at most three quarters of its products
    or, where none can reach the tolerance within `max_products`, of its error there. It
    considers XNysTrace only where ``facts["positive_semidefinite"]`` is true and the pilot does
    not show otherwise, and low-rank methods only up to half as many products as the size, and
    where their vectors fit in 2^28 numbers. A method asked for by name goes over to unit vectors,
    and is exact, where these are no more than it would need. Raises `InvalidArgument` as
    `trace_estimate` and `xnystrace` do.

    Examples
    --------
    >>> import torch
    >>> a = Operator.from_matrix(torch.diag(torch.tensor([1.0, 2.0])))
    >>> found = chosen_trace(a)
    >>> found.method, found.estimate.trace
    ('hutchinson', 3.0)
    """
    require_affordable(tolerance, max_products)
    if method == HUTCHINSON or (method == "auto" and not holds_pilot(operator)):
        estimate = trace_estimate(
            operator, tolerance=tolerance, seed=seed, max_products=max_products, progress=progress
        )
        named = "it was asked for by name"
        large = "the operator is too large to hold the vectors low-rank methods need"
        return ChosenTrace(estimate, HUTCHINSON, named if method == HUTCHINSON else large)
    tally = Tally(2 * PILOT, progress)
    if pilot is None:
        declared = operator.facts.get("positive_semidefinite") is True
        asked = method == "xnystrace"
        pilot = trace_pilot(operator, seed, tally, semidefinite=declared or asked)
    else:
        tally.add(PILOT)
    left = max_products - PILOT
    if method == "auto":
        plan, reason = _cheapest(operator, pilot, tolerance, left)
    else:
        plan, reason = _named(operator, pilot, method, tolerance, left)
    return _made(operator, plan, reason, tolerance, seed, tally)


def _made(
    operator: Operator, plan: Plan, reason: str, tolerance: float, seed: int, tally: Tally
) -> ChosenTrace:
    """The second stage."""
    if plan.method == HUTCHINSON:
        tally.planned = PILOT + plan.probes
        batch = together(operator)
        fresh = fresh_estimate(operator, tally, tolerance=tolerance, seed=seed, batch=batch)
        return ChosenTrace(fresh, plan.method, reason)

    def tell(done: int, planned: int) -> None:
        if tally.progress is not None:
            tally.progress(PILOT + done, PILOT + planned)

    made = LOW_RANK[plan.method](operator, probes=plan.probes, seed=seed, progress=tell)
    estimate = TraceEstimate(
        made.trace,
        made.standard_error,
        made.samples,
        PILOT + made.products,
        PILOT,
        made.standard_error <= tolerance * abs(made.trace),
    )
    return ChosenTrace(estimate, "exact" if made.exact else plan.method, reason)


def holds_pilot(operator: Operator) -> bool:
    """Whether the vectors of a pilot may be held, and of the low-rank methods it is for."""
    return _room(operator) >= PILOT


def expected_products(
    operator: Operator, pilot: TracePilot, tolerance: float | int, max_products: int
) -> float:
    """Products that ``method="auto"`` would make after `pilot`; infinite where none will do."""
    plan, _ = _cheapest(operator, pilot, tolerance, max_products - PILOT)
    return float(plan.products) if plan.enough else math.inf


def _room(operator: Operator) -> int:
    """Test vectors a low-rank method may hold, with their images and a basis."""
    return HELD // (3 * operator.size)


def _planned(pilot: TracePilot, method: str, tolerance: float, most: int) -> Plan | None:
    """The fewest test vectors that are expected to do, or the most there can be."""
    each = PRODUCTS[method]
    if most < 2 or (method == "xnystrace" and pilot.nystrom is None):
        return None
    probes = np.arange(min(FEWEST, most), most + 1)
    variance = pilot.variance(method, probes)
    enough = np.flatnonzero(variance <= (tolerance * pilot.trace) ** 2)
    at = int(enough[0]) if len(enough) else int(np.argmin(variance))
    count = int(probes[at])
    return Plan(method, count, each * count, float(variance[at]), len(enough) > 0)


def _hutchinson(pilot: TracePilot, tolerance: float, left: int) -> Plan:
    wanted = probes_needed(pilot.forms, tolerance)
    probes = min(wanted, left)
    variance = with_margin(float(pilot.forms.var(ddof=1)), PILOT) / probes
    return Plan(HUTCHINSON, probes, wanted, variance, wanted <= left)


def _named(
    operator: Operator, pilot: TracePilot, method: str, tolerance: float, left: int
) -> tuple[Plan, str]:
    """As many test vectors as the method asked for needs, or all unit vectors."""
    if method == "xnystrace":
        require_semidefinite(operator, pilot.form)
    each = PRODUCTS[method]
    most = min(left // each, max(FEWEST, _room(operator)), (operator.size - 1) // each)
    plan = _planned(pilot, method, tolerance, most)
    if (plan is None or not plan.enough) and operator.size <= left:
        rows = max(2, math.ceil(operator.size / each))
        return Plan(method, rows, operator.size, 0.0, True), (
            f"all {operator.size} unit vectors cost no more than {method} is expected to"
        )
    assert plan is not None
    return plan, "it was asked for by name"


def _cheapest(
    operator: Operator, pilot: TracePilot, tolerance: float, left: int
) -> tuple[Plan, str]:
    """Hutchinson's method unless another is expected to cost clearly less."""
    plain = _hutchinson(pilot, tolerance, left)
    others = []
    for method in ("xnystrace", "xtrace"):
        most = min(left, operator.size // 2) // PRODUCTS[method]
        plan = _planned(pilot, method, tolerance, min(most, _room(operator)))
        if plan is not None and plan.probes >= FEWEST:
            others.append(plan)
    if not others:
        return plain, "low-rank methods have no room within max_products and half the size"
    best = min(others, key=lambda plan: (not plan.enough, plan.products, plan.variance))
    if best.enough:
        better = plain.probes > PILOT and best.products <= WORTH * plain.products
    else:
        best = min(others, key=lambda plan: plan.variance)
        better = not plain.enough and best.variance <= WORTH**2 * plain.variance
    costs = ", ".join(_cost(plan, left) for plan in (plain, *others))
    return best if better else plain, f"products the pilot expects the tolerance to take: {costs}"


def _cost(plan: Plan, left: int) -> str:
    return f"{plan.method} {plan.products if plan.enough else f'more than {left}'}"
