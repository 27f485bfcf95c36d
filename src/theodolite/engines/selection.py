"""Candidates against each other on one batch: the fastest that agrees is kept."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from theodolite.engines.parts import Builder, Kind, Part
from theodolite.engines.plans import CHUNK, Plan, applied, rebuilt
from theodolite.engines.verification import MISTAKES
from theodolite.errors import TheodoliteError

MARGIN = 1.2
"""A candidate must be so many times faster: clocks are noisy, and another engine rounds anew."""

PATIENCE = 10.0
"""Seconds of products a batch before tracing, which takes seconds a batch, is worth trying."""


@dataclass(frozen=True, eq=False)
class Trial:
    """Seconds and product of one candidate on one batch."""

    seconds: float
    product: Tensor


def trial(plan: Plan, build: Builder, rows: Tensor, *, batched: bool = False) -> Trial | None:
    """One product on the first batch that counts, after one to warm up.

    The time includes making the part where the plan does not keep it. None where every batch is
    detached from the parameters.
    """
    for batch in plan.problem.data:
        part = build(plan.problem, plan.leaf, batch)
        if part is not None:
            break
    else:
        return None
    applied(part, rows, batched=batched)
    began = time.perf_counter()
    if not plan.kept:
        part = build(plan.problem, plan.leaf, batch)
        assert part is not None
    product = applied(part, rows, batched=batched)
    return Trial(time.perf_counter() - began, product)


def attempted(
    name: str, made: Callable[[], Trial | None], base: Trial, notes: dict[str, Any]
) -> bool:
    """Whether a candidate is right and clearly faster than `base`; its time or failure is noted."""
    times, dropped = notes["engine_times"], notes["engines_dropped"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a candidate is not the caller's concern
            found = made()
    except (TheodoliteError, *MISTAKES) as error:
        dropped[name] = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return False
    if found is None:
        return False
    times[name] = found.seconds
    gap = relative_gap(found.product, base.product)
    if gap > tolerance(base.product.dtype):
        dropped[name] = f"its product differs by {gap:.1e}"
    elif found.seconds * MARGIN > base.seconds:
        dropped[name] = f"not {MARGIN} times faster"
    else:
        return True
    return False


def relative_gap(a: Tensor, b: Tensor) -> float:
    """Norm of the difference over the norm of `b`; infinite where it is not a number."""
    size = float(torch.linalg.vector_norm(b))
    gap = float(torch.linalg.vector_norm(a - b)) / (size or 1.0)
    return gap if gap == gap else float("inf")


def tolerance(dtype: torch.dtype) -> float:
    """How far two right products may differ: ten roots of the rounding unit."""
    return 10 * float(torch.finfo(dtype).eps) ** 0.5


def fastest(kind: Kind, plan: Plan, rows: Tensor, notes: dict[str, Any]) -> Plan:
    """Measure forward mode against double backward on one batch; both are counted per batch.

    Forward mode through the gradient repeats the forward pass, so it is measured only where no
    graph of the gradient is kept. Nothing is measured where one product decides nothing.
    """
    base = trial(plan, plan.build, rows)
    if base is None:
        return plan
    notes["engine_times"][plan.engine] = base.seconds
    name = kind.forward_name
    if plan.kept and name == "forward_over_reverse":
        notes["engines_dropped"][name] = "repeats the forward pass that kept graphs save"
        return plan
    if not attempted(name, lambda: trial(plan, kind.forward, rows), base, notes):
        return plan
    if plan.kept:
        return rebuilt(plan, name, kind.forward)
    return replace(plan, engine=name, build=kind.forward)


def traced(kind: Kind, plan: Plan, rows: Tensor, notes: dict[str, Any]) -> Plan:
    """Linearized parts in place of kept ones, where one batch shows that they are faster."""
    base = trial(plan, plan.build, rows)
    if base is None:
        return plan
    notes["engine_times"][plan.engine] = base.seconds
    if not attempted("linearize", lambda: trial(plan, kind.linearize, rows), base, notes):
        return plan
    return rebuilt(plan, "linearize", kind.linearize)


def with_batches_of_rows(plan: Plan, rows: Tensor, notes: dict[str, Any]) -> Plan:
    """Send rows through the graph together, where one batch shows that this is faster."""
    some = rows[:CHUNK]
    base = trial(plan, plan.build, some)
    if base is None:
        return plan
    notes["engine_times"][f"{plan.engine}, {len(some)} vectors"] = base.seconds
    name = f"{plan.engine}, {len(some)} vectors together"
    faster = attempted(name, lambda: trial(plan, plan.build, some, batched=True), base, notes)
    return replace(plan, batched=faster)


def first_kept(plan: Plan) -> Part | None:
    """The first kept part a derivative leads through."""
    return next((p for p in plan.kept if p is not None), None)
