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
from theodolite.linalg.probes import signs
from theodolite.objective import Objective
from theodolite.operators import ggn, hessian

Samples = Float64[np.ndarray, " probe"]

FEW = 2000
"""Up to so many outputs of all examples together, ``"auto"`` sums over them without a sample."""

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


def output_trace(request: Request, method: str) -> OutputTrace | None:
    """The trace by way of the outputs; None where products with the Hessian are expected cheaper.

    ``"output-space"`` and ``"exact"`` refuse where the identity does not hold; ``"auto"`` adds
    what is missing by Hutchinson's method, if that has less spread than the Hessian's own forms.
    """
    found = identity_of(request)
    facts = {"identity_holds": found.holds, "identity_gap": found.gap}
    if found.holds:
        holds = "tr H = tr GGN: outputs are linear in every parameter tensor by itself"
        if method == "exact" or (method == "auto" and few_outputs(request)):
            return _exact(request, holds, facts)
        samples, pilot = ggn_samples(request)
        return OutputTrace(
            samples, np.zeros(0), "output-space", holds, pilot, 0, pilot + len(samples), facts
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


def few_outputs(request: Request) -> bool:
    """Whether an exact sum costs no more than a sample."""
    if not request.apart or request.objective.ranks is not None:
        return False
    count = partial(outputs_of, request.objective, request.theta)
    return int(request.objective.guarded(count, grad=True, second=True)) <= FEW


def ggn_samples(request: Request) -> tuple[Samples, int]:
    """Fresh samples, as many as a pilot says the tolerance needs, and the size of the pilot."""
    pilot = request.forms("pilot", range(PILOT))
    most = max(PILOT, int(request.max_products * COST["hessian"] / COST["output-space"]) - PILOT)
    needed = min(probes_needed(pilot, request.tolerance), most)
    return request.forms("trace", range(needed)), PILOT


def _exact(request: Request, reason: str, facts: dict[str, Any]) -> OutputTrace:
    objective, theta = request.objective, request.theta

    def whole() -> Tensor:
        value = exact(objective, theta, apart=request.apart)
        return torch.tensor(value, dtype=torch.float64, device=theta.device)

    value = float(request.guarded(whole))
    outputs = objective.guarded(partial(outputs_of, objective, theta), grad=True, second=True)
    each = math.ceil(outputs / objective.examples)
    return OutputTrace(np.array([value]), np.zeros(0), "exact", reason, 0, 0, each, facts)


def _with_remainder(request: Request, facts: dict[str, Any]) -> OutputTrace | None:
    """The Gauss-Newton trace from the outputs and Hutchinson's method on H - GGN."""
    objective, theta = request.objective, request.theta
    curved, flat = (f(objective, theta, engine=request.engine) for f in (hessian, ggn))

    def forms(probe: int) -> tuple[float, float]:
        z = signs(curved, request.seed, "remainder", probe)
        image = curved.matvec(z)
        rest = image - flat.matvec(z)
        return float((z.double() * image.double()).sum()), float((z.double() * rest.double()).sum())

    both = np.array([forms(p) for p in range(PILOT)])
    own, rest = both.var(axis=0, ddof=1)
    if COST["remainder"] * rest >= COST["hessian"] * own:
        return None
    samples, pilot = ggn_samples(request)
    wanted = request.tolerance * abs(float(samples.mean()) + float(both[:, 1].mean()))
    room = max(wanted**2 - _error(samples) ** 2, wanted**2 / 4)
    most = max(PILOT, request.max_products // 2 - PILOT)
    needed = math.ceil(with_margin(float(rest), PILOT) / room) if room > 0 else most
    count = min(max(PILOT, needed), most)
    fresh = [forms(PILOT + p)[1] for p in range(count)]
    spread = math.sqrt(float(rest / own)) if own > 0 else math.nan
    reason = f"the forms of H - GGN have {spread:.2g} times the spread of those of H"
    return OutputTrace(
        samples,
        np.array(fresh),
        "ggn + remainder",
        reason,
        pilot,
        2 * (PILOT + count),
        pilot + len(samples),
        facts,
    )


def _error(samples: Samples) -> float:
    count = len(samples)
    return float(samples.std(ddof=1)) / math.sqrt(count) if count > 1 else 0.0
