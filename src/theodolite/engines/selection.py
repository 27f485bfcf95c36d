"""Candidates against each other on one batch: the fastest that agrees is kept."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from theodolite import seeds
from theodolite.engines.parts import Builder, Kind, Part
from theodolite.engines.plans import PROGRAM, Plan, applied, planned, products
from theodolite.engines.problem import MISTAKES, over
from theodolite.errors import TheodoliteError

MARGIN = 1.2
"""A candidate must be so many times faster: clocks are noisy, and another engine rounds anew."""

WORTHWHILE = 0.02
"""Seconds a product on one batch must take before another engine is worth measuring."""

CHUNKS, ROOM = (8, 32), 2 << 30
"""Numbers of rows tried together; more than the first only where as many graphs take 2 GiB."""

REPEATED = 0.3
"""Seconds within which a candidate is timed again, up to three times: the least time counts."""


SPENT = 0.3
"""Seconds of products a batch before a linear program is worth recording."""


@dataclass(frozen=True, eq=False)
class Trial:
    """Seconds and product of one candidate on one batch, by its ``part``.

    ``batch`` is the batch's place among all.
    """

    seconds: float
    product: Tensor
    part: Part
    batch: int


def trial(plan: Plan, build: Builder, rows: Tensor, *, chunk: int = 1) -> Trial | None:
    """One product on the first batch that counts, after one to warm up.

    The time includes making the part where the plan does not keep it. None where every batch is
    detached from the parameters.
    """
    kept = build is plan.build and any(p is not None for p in plan.kept)
    part, batch, place = _first_kept(plan) if kept else _first(plan, build)
    if part is None:
        return None
    applied(part, rows, chunk)
    spent: list[float] = []
    while len(spent) < 3 and sum(spent) < REPEATED:
        began = time.perf_counter()
        if not plan.kept:
            assert batch is not None
            part = build(plan.problem, plan.leaf, batch)
            assert part is not None
        product = applied(part, rows, chunk)
        spent.append(time.perf_counter() - began)
    return Trial(min(spent), product, part, place)


def _first_kept(plan: Plan) -> tuple[Part | None, Any, int]:
    place = next(k for k, part in enumerate(plan.kept) if part is not None)
    return plan.kept[place], None, place


def _first(plan: Plan, build: Builder) -> tuple[Part | None, Any, int]:
    """The part of the first batch through which a derivative leads, that batch and its place."""
    for place, batch in enumerate(plan.problem.data):
        part = build(plan.problem, plan.leaf, batch)
        if part is not None:
            return part, batch, place
    return None, None, 0


def attempted(
    name: str, made: Callable[[], Trial | None], base: Trial, notes: dict[str, Any]
) -> Trial | None:
    """A candidate that is right and clearly faster than `base`; its time or failure is noted."""
    times, dropped = notes["engine_times"], notes["engines_dropped"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a candidate is not the caller's concern
            found = made()
    except (TheodoliteError, *MISTAKES) as error:
        dropped[name] = _cause(error)
        return None
    if found is None:
        return None
    times[name] = found.seconds
    gap = relative_gap(found.product, base.product)
    if gap > tolerance(base.product.dtype):
        dropped[name] = f"its product differs by {gap:.1e}"
    elif found.seconds * MARGIN > base.seconds:
        dropped[name] = f"not {MARGIN} times faster"
    else:
        return found
    return None


def _cause(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]


def relative_gap(a: Tensor, b: Tensor) -> float:
    """Norm of the difference over the norm of `b`; infinite where it is not a number."""
    size = float(torch.linalg.vector_norm(b))
    gap = float(torch.linalg.vector_norm(a - b)) / (size or 1.0)
    return gap if gap == gap else float("inf")


def tolerance(dtype: torch.dtype) -> float:
    """How far two right products may differ: ten roots of the rounding unit."""
    return 10 * math.sqrt(torch.finfo(dtype).eps)


def fastest(kind: Kind, plan: Plan, rows: Tensor, budget: int, notes: dict[str, Any]) -> str:
    """The engine to begin with: forward mode measured against double backward on one batch.

    Forward mode repeats the forward pass, so it is measured only where no graph is kept, or no
    linear program can take its place.
    """
    base = trial(plan, plan.build, rows)
    if base is None:
        return plan.engine
    notes["engine_times"][plan.engine] = base.seconds
    name = kind.forward_name
    if base.seconds < WORTHWHILE:
        notes["engines_dropped"][name] = f"not measured: a product takes {base.seconds:.1g} s"
        return plan.engine
    if plan.kept and (name == "forward_over_reverse" or programs_fit(plan, budget)):
        notes["engines_dropped"][name] = "repeats the forward pass that kept graphs save"
        return plan.engine
    faster = attempted(name, lambda: trial(plan, kind.forward, rows), base, notes)
    return name if faster else plan.engine


def programs_fit(plan: Plan, budget: int) -> bool:
    """Whether linear programs of all batches fit beside the graphs they replace."""
    return (1 + PROGRAM) * plan.graph_bytes * int(plan.problem.data.batches) <= budget


def worth_recording(kind: Kind, products: int, seconds: float, batches: int) -> bool:
    """Whether there have been so many products, and long ones, that more are to be expected."""
    return products >= kind.linear and seconds > SPENT * batches


def recorded(kind: Kind, plan: Plan, rows: Tensor, budget: int, notes: dict[str, Any]) -> Plan:
    """The plan by linear programs where one batch shows that they are faster, else the plan.

    As many rows go together as in the products with `rows`. The programs of all batches together
    have to give the plan's product; where one cannot be had, none is used.
    """
    plan, whole = _of_one_batch(plan), plan
    generator = seeds.torch_generator(0, "selection")
    rows = torch.randn(rows[: plan.chunk].shape, generator=generator).to(rows)
    base = trial(plan, plan.build, rows, chunk=plan.chunk)
    if base is None:
        return whole
    notes["engine_times"][plan.engine] = base.seconds

    def made() -> Trial | None:
        return trial(plan, kind.linearize, rows, chunk=plan.chunk)

    faster = attempted("linearize", made, base, notes)
    if faster is None:
        return whole
    try:
        linear = planned(
            kind,
            "linearize",
            whole.problem,
            whole.leaf,
            budget,
            graph_bytes=whole.graph_bytes,
            first_part=faster.part if plan is whole and faster.batch == 0 else None,
        )
        gap = relative_gap(products(linear, rows[:1]), products(whole, rows[:1]))
    except (TheodoliteError, *MISTAKES) as error:
        notes["engines_dropped"]["linearize"] = _cause(error)
        return whole
    if gap > tolerance(whole.leaf.dtype):
        notes["engines_dropped"]["linearize"] = f"its product differs by {gap:.1e}"
        return whole
    return linear


def _of_one_batch(plan: Plan) -> Plan:
    """The plan for a batch to try candidates on: the plan itself unless readings differ."""
    if plan.problem.data.kept is not None:
        return plan
    for batch in plan.problem.data:
        problem = over(plan.problem, (batch,))
        part = plan.build(problem, plan.leaf, batch)
        if part is not None:
            break
    return replace(plan, problem=problem, kept=(part,))


def together(plan: Plan, rows: Tensor, notes: dict[str, Any]) -> Plan:
    """The plan with rows going through the graph together, as many as one batch shows is faster.

    Sizes are tried from the smallest on while each is clearly faster than the one before; a
    product shows no more than the rows it has.
    """
    for chunk in CHUNKS:
        bulky = not 0 < chunk * plan.graph_bytes <= ROOM
        if chunk > CHUNKS[0] and (len(rows) < chunk or bulky):
            break
        if plan.chunk >= chunk:
            continue
        wider = _wider(plan, chunk, rows[:chunk], notes)
        if wider is plan:
            break
        plan = wider
    return plan


def _wider(plan: Plan, chunk: int, rows: Tensor, notes: dict[str, Any]) -> Plan:
    """The plan with `chunk` rows together if that is faster, else the plan itself."""
    base = trial(plan, plan.build, rows, chunk=plan.chunk)
    if base is None:
        return plan
    name = f"{plan.engine}, {len(rows)} vectors"
    notes["engine_times"][name if plan.chunk == 1 else f"{name} by {plan.chunk}"] = base.seconds

    def made() -> Trial | None:
        return trial(plan, plan.build, rows, chunk=chunk)

    faster = attempted(f"{name} together", made, base, notes)
    return plan if faster is None else replace(plan, chunk=chunk)
