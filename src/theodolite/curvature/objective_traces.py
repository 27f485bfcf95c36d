"""The trace of the Hessian by way of the outputs, where that is cheaper than products."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from theodolite.engines.linearity import Linearity, linearity
from theodolite.engines.output_space import exact, outputs_of, sampled
from theodolite.errors import InvalidArgument
from theodolite.linalg.hutchinson import PILOT, probes_needed, with_margin
from theodolite.linalg.operator import Operator
from theodolite.linalg.probes import signs
from theodolite.linalg.sketch import Tally, gram, images, probe_columns
from theodolite.linalg.trace_choice import expected_products, holds_pilot
from theodolite.linalg.trace_pilot import TracePilot, trace_pilot
from theodolite.objective import Objective
from theodolite.operators import ggn, hessian

Samples = Float64[np.ndarray, " probe"]

FEW = 2 * PILOT
"""Up to so many outputs an example, ``"auto"`` sums over them without asking a pilot."""

CHEAP = 2 * PILOT
"""Products up to which no other way is looked for: a remainder takes as many and more."""

COST = {"hessian": 6.0, "remainder": 10.0, "output-space": 2.0}
"""Forward passes a probe costs."""


@dataclass(frozen=True, eq=False)
class OutputTrace:
    """A trace as the mean of ``samples`` plus that of ``rest`` (empty where nothing is left).

    ``products`` counts Hessian and Gauss-Newton products; ``probes`` backward passes from the
    outputs, pilots included; ``passes`` both in forward passes over the data.
    """

    samples: Samples
    rest: Float64[np.ndarray, " rest"]
    method: str
    reason: str
    pilot: int
    products: int
    probes: int
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def trace(self) -> float:
        return float(self.samples.mean()) + (float(self.rest.mean()) if len(self.rest) else 0.0)

    @property
    def standard_error(self) -> float:
        return math.hypot(_error(self.samples), _error(self.rest))

    @property
    def passes(self) -> float:
        return COST["hessian"] * self.products + COST["output-space"] * self.probes


@dataclass(frozen=True, eq=False)
class Declined:
    """Products with the Hessian are expected to be cheaper; what was made of them on the way."""

    operator: Operator
    pilot: TracePilot | None


@dataclass(frozen=True, eq=False)
class Request:
    """What is asked: where, how exactly, and at what cost."""

    objective: Objective
    theta: Tensor
    tolerance: float
    seed: int
    max_products: int
    engine: str

    @property
    def apart(self) -> bool:
        """Whether an example's outputs are its own: not with statistics of batches."""
        return self.objective.mode == "eval"

    def guarded(self, body: Callable[[], Any]) -> Any:
        """`body()`, summed over the ranks that share the objective."""
        ranks = self.objective.ranks
        whole = body if ranks is None else lambda: ranks.summed(lambda: (body(), True))[0]
        return self.objective.guarded(whole, grad=True, second=True)

    def forms(self, stream: str, probes: range) -> Samples:
        """Samples of the trace of the Gauss-Newton matrix."""
        draw = partial(
            sampled, self.objective, self.theta, self.seed, stream, probes, apart=self.apart
        )
        return np.asarray(self.guarded(draw).cpu().numpy())


def identity_of(request: Request) -> Linearity:
    """Whether the Hessian's trace is that of the Gauss-Newton matrix, seen on a few examples."""
    objective = request.objective
    look = partial(linearity, objective, request.theta, apart=request.apart, seed=request.seed)
    found: Linearity = objective.guarded(look, grad=True, second=True)
    return found


def output_trace(request: Request, method: str) -> OutputTrace | Declined:
    """The trace by way of the outputs; declined where products with the Hessian cost less.

    ``"output-space"`` and ``"exact"`` refuse where the identity does not hold; ``"auto"`` adds
    what is missing by Hutchinson's method, if that has less spread than the Hessian's own forms.
    """
    found = identity_of(request)
    facts = {"identity_holds": found.holds, "identity_gap": found.gap}
    if found.holds:
        holds = "tr H = tr GGN: outputs are linear in every parameter tensor by itself"
        if method == "exact":
            return _exact(request, holds, facts)
        part = ggn_trace(request, sums=method == "auto")
        return OutputTrace(
            part.samples, np.zeros(0), part.method, holds, part.pilot, 0, part.probes, facts
        )
    if method != "auto":
        told = found.why or f"they differ in {found.tensor!r} by {found.gap:.1e}"
        raise InvalidArgument(
            f"method {method!r} needs a network whose outputs are linear in every parameter "
            f"tensor by itself; here the blocks of Hessian and GGN are not the same: {told}.",
            fix='use method="auto", which adds what is missing.',
            code="E-C42",
        )
    return _with_remainder(request, facts)


@dataclass(frozen=True, eq=False)
class GgnTrace:
    """The trace of the Gauss-Newton matrix: ``samples``, or one exact number, and what it took."""

    samples: Samples
    method: str
    pilot: int
    probes: int

    @property
    def error(self) -> float:
        return _error(self.samples)


def outputs_each(request: Request) -> int:
    """Backward passes of an exact sum; 0 where it would not go by single examples."""
    if not request.apart or request.objective.ranks is not None:
        return 0
    count = partial(outputs_of, request.objective, request.theta)
    return int(request.objective.guarded(count, grad=True, second=True))


def ggn_trace(request: Request, *, sums: bool) -> GgnTrace:
    """Fresh samples, as many as a pilot says the tolerance needs; or the exact sum over outputs.

    With `sums` the sum is taken where it makes no more backward passes than samples would.
    """
    each = outputs_each(request) if sums else 0
    if 0 < each <= FEW:
        return GgnTrace(_whole(request), "exact", 0, each)
    pilot = request.forms("pilot", range(PILOT))
    most = max(PILOT, int(request.max_products * COST["hessian"] / COST["output-space"]) - PILOT)
    needed = probes_needed(pilot, request.tolerance)
    if 0 < each <= min(needed, most):
        return GgnTrace(_whole(request), "exact", PILOT, PILOT + each)
    samples = request.forms("trace", range(min(needed, most)))
    return GgnTrace(samples, "output-space", PILOT, PILOT + len(samples))


def _whole(request: Request) -> Samples:
    objective, theta = request.objective, request.theta

    def whole() -> Tensor:
        value = exact(objective, theta, apart=request.apart)
        return torch.tensor(value, dtype=torch.float64, device=theta.device)

    return np.array([float(request.guarded(whole))])


def _exact(request: Request, reason: str, facts: dict[str, Any]) -> OutputTrace:
    each = partial(outputs_of, request.objective, request.theta)
    passes = int(request.objective.guarded(each, grad=True, second=True))
    return OutputTrace(_whole(request), np.zeros(0), "exact", reason, 0, 0, passes, facts)


def _with_remainder(request: Request, facts: dict[str, Any]) -> OutputTrace | Declined:
    """The Gauss-Newton trace from the outputs and Hutchinson's method on H - GGN.

    Declined at once where products with the Hessian are few, and where the remainder has no less
    spread for what its products cost.
    """
    objective, theta = request.objective, request.theta
    curved, flat = (f(objective, theta, engine=request.engine) for f in (hessian, ggn))

    def forms(probe: int) -> tuple[float, float]:
        z = signs(curved, request.seed, "remainder", probe)
        image = curved.matvec(z)
        rest = image - flat.matvec(z)
        return float((z.double() * image.double()).sum()), float((z.double() * rest.double()).sum())

    pilot, products = None, math.inf
    if holds_pilot(curved):
        pilot = trace_pilot(curved, request.seed, Tally(PILOT), semidefinite=False)
        products = expected_products(curved, pilot, request.tolerance, request.max_products)
        if products <= CHEAP:
            return Declined(curved, pilot)
        columns = probe_columns(curved, request.seed, "trace_pilot", PILOT)
        flatly = gram(columns, images(flat, columns, Tally(PILOT))).diagonal()
        both = np.stack([pilot.forms, pilot.forms - flatly], axis=1)
    else:
        both = np.array([forms(p) for p in range(PILOT)])
    own, rest = both.var(axis=0, ddof=1)
    if COST["remainder"] * rest >= COST["hessian"] * own:
        return Declined(curved, pilot)
    part = ggn_trace(request, sums=True)
    wanted = request.tolerance * abs(float(part.samples.mean()) + float(both[:, 1].mean()))
    room = max(wanted**2 - part.error**2, wanted**2 / 4)
    most = max(PILOT, request.max_products // 2 - PILOT)
    needed = math.ceil(with_margin(float(rest), PILOT) / room) if room > 0 else most
    count = min(max(PILOT, needed), most)
    if COST["hessian"] * products <= COST["remainder"] * count:
        return Declined(curved, pilot)
    fresh = [forms(PILOT + p)[1] for p in range(count)]
    spread = math.sqrt(float(rest / own)) if own > 0 else math.nan
    reason = f"the forms of H - GGN have {spread:.2g} times the spread of those of H"
    return OutputTrace(
        part.samples,
        np.array(fresh),
        "ggn + remainder",
        reason,
        part.pilot,
        2 * (PILOT + count),
        part.probes,
        facts,
    )


def _error(samples: Samples) -> float:
    count = len(samples)
    return float(samples.std(ddof=1)) / math.sqrt(count) if count > 1 else 0.0
