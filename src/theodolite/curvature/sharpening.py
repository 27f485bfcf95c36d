"""Descent over the whole data, with the largest eigenvalues of the Hessian along its way."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Shaped
from torch import Tensor

from theodolite import results
from theodolite.curvature.sharpening_facts import NUMBERS, summarized
from theodolite.curvature.thresholds import stability_threshold
from theodolite.errors import InvalidArgument, NotFinite
from theodolite.linalg.following import following_pairs
from theodolite.objective import Objective
from theodolite.objective.differentiation import loss_and_gradient
from theodolite.operators import hessian

PAIR = ("largest eigenvalues of the Hessian", "residual |H v - lambda v|")


@dataclass(frozen=True)
class DescentRule:
    """Gradient descent with a fixed rate, without or with momentum, as ``torch.optim.SGD``."""

    rate: float
    momentum: float = 0.0
    nesterov: bool = False

    @property
    def threshold(self) -> float:
        """The curvature above which it is unstable; see `stability_threshold`."""
        return stability_threshold(self.rate, momentum=self.momentum, nesterov=self.nesterov)


@dataclass(eq=False)
class _Way:
    """Where a run is, and what it has seen so far."""

    point: Tensor
    velocity: Tensor
    loss: list[float] = field(default_factory=list)
    rows: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    unsettled: int = 0
    products: int = 0
    vectors: Tensor | None = None


def descent_sharpness(
    objective: Objective,
    rule: DescentRule,
    *,
    theta: Shaped[Tensor, " params"] | None = None,
    steps: int = 2000,
    every: int = 5,
    since: int = 0,
    eigenvalues: int = 2,
    late: int | None = None,
    tolerance: float = 1e-3,
    level: float = 0.95,
    engine: str = "kept",
    seed: int = 0,
) -> xr.Dataset:
    r"""The sharpness along gradient descent, against the threshold of its update rule.

    .. math:: v_{t+1} = m v_t + \nabla L(\theta_t), \quad \theta_{t+1} = \theta_t - \eta v_{t+1},
        \qquad s_t = \lambda_{\max}(\nabla^2 L(\theta_t)) \,/\, \lambda^*(\eta, m)

    with :math:`\lambda^*` of `stability_threshold`; with Nesterov's momentum the step is
    :math:`\eta (\nabla L(\theta_t) + m v_{t+1})`. At the edge of stability s stays near 1.

    Parameters
    ----------
    objective
        The loss; every step uses all of its data. Any but one shared by processes or with
        recomputed BatchNorm.
    rule
        Rate and momentum.
    theta
        Where descent begins, shape ``(params,)``; by default ``objective.start``.
    steps, every
        Steps of descent, and how many from one measurement to the next. At the edge steps swing
        with a period of two, so an even number is made alternately one step longer: else
        all measurements would see one side of the swing.
    since
        After the start, measure from this step on: for a late mean alone.
    eigenvalues
        How many of the largest to follow, begun from the last vectors.
    late
        The last steps over which a mean is taken; by default a quarter of all.
    tolerance
        Residual allowed, relative to the largest eigenvalue; the error is about its square.
    level
        Of the interval of the late mean.
    engine
        Of the Hessian's products, as in `hessian`.

    Returns
    -------
    xarray.Dataset
        ``loss(step)``; ``eigenvalue(time, pair)`` and ``residual(time, pair)``, NaN after a
        divergence. Numbers: ``threshold``; ``first_crossing``, the step at which the largest
        eigenvalue first reached it (NaN: never); ``rise_factor``, ``rise_slope`` (in units of
        curvature a unit of time :math:`\eta t`, a straight line) and ``rise_explained`` (its
        R^2) from the lowest eigenvalue on to the crossing, or without one to the highest;
        ``peak``, the largest mean of s over a tenth of the steps; ``late_mean`` of s with
        ``late_error``, ``late_low`` and ``late_high`` by batch means; ``rising_before`` and
        ``rising_after``, shares of steps at which the loss rises before and after the crossing;
        ``falling_windows``, the share of fortieths of the time after it whose mean loss lies below
        the one before; ``diverged``, the step at which the loss was not finite (NaN: none);
        ``products`` and ``unsettled``, the measurements whose pairs did not settle.

    Notes
    -----
    3 F a step, and 5 to 30 products of 6 F a measurement, most where several eigenvalues come
    together, as they do at the edge. Memory: the graph of the loss, ``2 * eigenvalues + 30`` to
    200 vectors in a measurement.
    Everything is deterministic: `seed` decides only where the first eigenpairs begin. Not
    checked: that the threshold is that of a quadratic model, which a loss need not be; that the
    late steps are stationary. The model is evaluated as the objective says (no dropout, BatchNorm
    frozen), so descent is that of the objective, which need not be your training.

    Raises `InvalidArgument` for counts out of range (E-U42, E-U43).

    References
    ----------
    Cohen, Kaur, Li, Kolter, Talwalkar (2021), arXiv:2103.00065.

    Examples
    --------
    >>> x, y = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.zeros(2, 1)
    >>> model = torch.nn.Linear(2, 1, bias=False)
    >>> objective = td.Objective(model, torch.nn.MSELoss(), (x, y))  # eigenvalues 1 and 4
    >>> found = descent_sharpness(objective, DescentRule(0.25), steps=20)
    >>> round(float(found.late_mean), 5), float(found.threshold)  # 4 / 8
    (0.5, 8.0)
    """
    _require(steps, every, eigenvalues, late)
    if isinstance(since, bool) or not 0 <= since <= steps:
        raise InvalidArgument(
            f"since must lie between 0 and steps, {steps}; got {since!r}.", code="E-U42"
        )
    objective.refuse_recompute("gradient")
    due = measured_at(steps, every)
    due = due[(due >= since) | (due == 0)]
    start = objective.point(theta).clone()
    way = _Way(start, torch.zeros_like(start))
    how = {"count": min(eigenvalues, len(start)), "tolerance": tolerance, "seed": seed}
    for step, following in zip(due.tolist(), [*due.tolist()[1:], steps + 1], strict=True):
        if not _measured(objective, way, engine, how):
            break
        body = partial(_descended, objective, rule, way, following - step)
        if not objective.guarded(body, grad=True):
            break
    facts = {
        **objective.facts(),
        "rate": rule.rate,
        "momentum": rule.momentum,
        "nesterov": rule.nesterov,
        "steps": steps,
        "every": every,
        "late": steps // 4 if late is None else late,
        "tolerance": tolerance,
        "level": level,
        "engine": engine,
        "seed": seed,
    }
    return results.dataset(
        "descent_sharpness",
        _variables(way, rule, due, steps, facts),
        {"step": np.arange(steps + 1), "time": due, "pair": np.arange(how["count"])},
        **facts,
    )


def _descended(objective: Objective, rule: DescentRule, way: _Way, steps: int) -> bool:
    """Some steps of descent, inside the objective's guard; False where the loss is not finite."""
    for _ in range(steps):
        value, slope = loss_and_gradient(objective, way.point)
        if not math.isfinite(value) or not bool(slope.isfinite().all()):
            return False
        way.loss.append(value)
        way.velocity = rule.momentum * way.velocity + slope
        moved = slope + rule.momentum * way.velocity if rule.nesterov else way.velocity
        way.point = way.point - rule.rate * moved
    return True


def _measured(objective: Objective, way: _Way, engine: str, how: dict[str, Any]) -> bool:
    """Follow the eigenpairs to a point; False where the loss has no finite Hessian there."""
    try:
        operator = hessian(objective, way.point, engine=engine, verify=not way.rows)
        found, trouble = following_pairs(operator, **how, start=way.vectors)
    except NotFinite:
        if not way.rows:
            raise
        return False
    way.rows.append((found.values.cpu().numpy(), found.residuals.cpu().numpy()))
    way.vectors, way.products = found.vectors, way.products + found.products
    way.unsettled += bool(trouble)
    return True


def measured_at(steps: int, every: int) -> np.ndarray:
    """The steps measured at; both sides of a swing of period two are among them.

    >>> measured_at(50, 10).tolist(), measured_at(10, 5).tolist()
    ([0, 11, 20, 31, 40], [0, 5, 10])
    """
    k = np.arange(steps // every + 1)
    times = k * every + (k % 2 if every % 2 == 0 else 0)
    return times[times <= steps]


def _variables(
    way: _Way, rule: DescentRule, due: np.ndarray, steps: int, facts: dict[str, Any]
) -> dict[str, results.Variable]:
    pairs = np.full((2, len(due), len(way.rows[0][0])), np.nan)
    for k, row in enumerate(way.rows):
        pairs[:, k] = row
    loss = np.full(steps + 1, np.nan)
    loss[: len(way.loss)] = way.loss
    how = {"late": facts["late"], "level": facts["level"]}
    found_numbers = summarized(rule.rate, rule.threshold, due, pairs[0, :, 0], loss, **how)
    numbers = found_numbers | {"products": float(way.products), "unsettled": float(way.unsettled)}
    found: dict[str, results.Variable] = {
        "loss": (("step",), loss, {"long_name": "loss over all the data"}),
        "eigenvalue": (("time", "pair"), pairs[0], {"long_name": PAIR[0]}),
        "residual": (("time", "pair"), pairs[1], {"long_name": PAIR[1]}),
    }
    return found | {n: ((), v, {"long_name": NUMBERS[n]}) for n, v in numbers.items()}


def _require(steps: int, every: int, eigenvalues: int, late: int | None) -> None:
    for name, value, least in (
        ("steps", steps, 1),
        ("every", every, 1),
        ("eigenvalues", eigenvalues, 1),
    ):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InvalidArgument(
                f"{name} must be a whole number, at least {least}; got {value!r}.", code="E-U42"
            )
    if late is not None and (isinstance(late, bool) or not 1 <= late <= steps):
        raise InvalidArgument(
            f"late must lie between 1 and steps, {steps}; got {late!r}.",
            why="it is the number of the last steps over which a mean is taken.",
            code="E-U43",
        )
