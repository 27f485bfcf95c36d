"""The first product: choose an engine, keep graphs, and prove that no derivative is missing."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from theodolite import seeds
from theodolite.engines.comparison import ROUGHLY, Verification
from theodolite.engines.failures import NO_SECOND
from theodolite.engines.parts import Kind
from theodolite.engines.plans import Plan, by_differences, planned
from theodolite.engines.selection import fastest
from theodolite.engines.verification import verified
from theodolite.errors import TheodoliteWarning, UnsupportedModel
from theodolite.objective import Objective

FALSE = 1e-3
"""Relative difference between gradient and loss beyond which the gradient is wrong."""

SYMMETRIC = 1e-4
"""Relative difference between u'Hv and v'Hu in float64 beyond which there is no Hessian."""


@dataclass(frozen=True, eq=False)
class Request:
    """What the caller asked for."""

    kind: Kind
    objective: Objective
    theta: Tensor
    engine: str
    budget: int
    verify: bool


def prepared(request: Request, notes: dict[str, Any]) -> Plan:
    """The plan for all products; what was found on the way goes into `notes`. Inside the guard."""
    try:
        plan = _selected(request, notes)
    except UnsupportedModel as error:
        if request.engine != "auto" or error.code != NO_SECOND:
            raise
        return _switched(request, notes, f"{error.what.rstrip('.')}.")
    if request.verify and plan.engine != "differences":
        outcome = verified(request.kind, request.objective, request.theta, plan.build)
        notes |= _noted(outcome)
        _refuse_detached(outcome)
        _tell_constant(outcome)
        _refuse_asymmetric(request, outcome)
        if outcome.outcome == "missing":
            _refuse_false_gradient(outcome)
            if request.engine != "auto":
                _refuse_missing(request, outcome)
            return _switched(request, notes, _missing(request, outcome))
    return told(plan, notes)


def _selected(request: Request, notes: dict[str, Any]) -> Plan:
    kind, objective, theta = request.kind, request.objective, request.theta
    if request.engine == "differences":
        return by_differences(kind, objective, theta)
    if request.engine != "auto":
        return planned(kind, request.engine, objective, theta, request.budget)
    first = planned(kind, "kept", objective, theta, request.budget, most=1)
    generator = seeds.torch_generator(0, "selection")
    rows = torch.randn(1, theta.numel(), generator=generator).to(theta)
    name = fastest(kind, first, rows, request.budget, notes)
    if name == first.engine and (first.complete or not first.kept):
        return first
    size = first.graph_bytes
    del first  # its graph counts against the budget
    return planned(kind, name, objective, theta, request.budget, graph_bytes=size)


def told(plan: Plan, notes: dict[str, Any]) -> Plan:
    """The plan, what it keeps now in `notes`."""
    notes |= {
        "engine": plan.engine,
        "batches_kept": len(plan.kept),
        "graph_bytes": plan.graph_bytes * len(plan.kept),
    }
    return plan


def _switched(request: Request, notes: dict[str, Any], reason: str) -> Plan:
    """Differences of first derivatives, with a warning that says why."""
    plan = by_differences(request.kind, request.objective, request.theta)
    precision = str(plan.leaf.dtype).removeprefix("torch.")
    warnings.warn(
        f"{reason} Products use central differences of first derivatives in {precision} instead, "
        f"accurate to about {'1e-6' if precision == 'float64' else '1e-3'}. [E-D05]",
        TheodoliteWarning,
        stacklevel=2,
    )
    notes["switched_because"] = reason
    return told(plan, notes)


def _noted(outcome: Verification) -> dict[str, Any]:
    """The outcome as facts for results."""
    return {
        "verification": outcome.outcome,
        "verification_gap": outcome.gap,
        "verification_precision": outcome.precision,
        "not_smooth": list(outcome.names) if outcome.outcome == "non-smooth" else [],
        "unused_parameters": list(outcome.unused),
    }


def _tell_constant(outcome: Verification) -> None:
    if outcome.constant:
        warnings.warn(
            f"the gradient is identically 0 for {_listed(outcome.constant)}, though the loss "
            "changes when they do: they pass through piecewise constant operations (argmax, round, "
            "sign) or dead units. Their curvature is reported as 0. [E-D06]",
            TheodoliteWarning,
            stacklevel=2,
        )


def _refuse_detached(outcome: Verification) -> None:
    if outcome.detached:
        raise UnsupportedModel(
            f"the gradient is 0 for {_listed(outcome.detached)}, though the loss changes with them "
            "by the smallest step.",
            why="they reach the loss through a detached path (.detach(), torch.no_grad(), NumPy, "
            "reentrant checkpointing), so no gradient is the derivative of this loss.",
            fix="attach the path (checkpoint with use_reentrant=False), or freeze them with "
            "requires_grad_(False) if they are meant to stand still.",
            code="E-D10",
        )


def _refuse_asymmetric(request: Request, outcome: Verification) -> None:
    """Differences of the gradient confirm the product, so it is the gradient that is none."""
    allowed = SYMMETRIC if outcome.precision == "float64" else ROUGHLY
    if outcome.outcome == "agrees":
        allowed = max(allowed, 10 * outcome.gap)
    if outcome.outcome in ("agrees", "non-smooth") and outcome.asymmetry > allowed:
        raise UnsupportedModel(
            f"the {request.kind.label} is not symmetric: u'Hv and v'Hu differ by "
            f"{outcome.asymmetry:.1e} of a product, so the gradient is that of no loss.",
            why="a backward pass is not the derivative of its forward pass: gradients are "
            "reversed, scaled or clipped on the way, or divided by counts (scale_grad_by_freq).",
            fix="remove that for the measurement; with verify=False products are what double "
            "backward gives, whatever that is.",
            code="E-D15",
        )


def _refuse_false_gradient(outcome: Verification) -> None:
    if outcome.false_gradient > FALSE:
        raise UnsupportedModel(
            "the gradient is not the derivative of the loss (they differ by "
            f"{outcome.false_gradient:.1e}), so its own derivative is no Hessian.",
            why="part of the loss is detached (stop-gradient, a target computed from the same "
            "parameters), a backward pass estimates (straight-through) or clips, or it is wrong.",
            fix="attach or freeze that part; with verify=False products are what double backward "
            "gives, whatever that is.",
            code="E-D11",
        )


def _missing(request: Request, outcome: Verification) -> str:
    return (
        f"double backward misses second derivatives of {_listed(outcome.names)}: differences of "
        f"gradients at several steps agree with each other and not with the {request.kind.label} "
        "product."
    )


def _refuse_missing(request: Request, outcome: Verification) -> None:
    raise UnsupportedModel(
        _missing(request, outcome),
        where=f"engine {request.engine!r}",
        why="a custom autograd.Function is marked once_differentiable or saves detached values, or "
        "an operation of torch has a wrong second derivative.",
        fix='use engine="differences" (or "auto", which switches to it).',
        code="E-D01",
    )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(n) for n in names[:5])
    return shown + (f" and {len(names) - 5} more" if len(names) > 5 else "")
