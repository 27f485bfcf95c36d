"""From an objective to an operator that prepares itself at its first product."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor

from theodolite.engines.failures import all_finite, require_finite
from theodolite.engines.memory import default_budget
from theodolite.engines.parts import Kind
from theodolite.engines.plans import Plan, products
from theodolite.engines.quiet import may_be_quiet, quiet_product, watched
from theodolite.engines.selection import CHUNKS, programs_fit, recorded, together, worth_recording
from theodolite.errors import InvalidArgument
from theodolite.linalg.operator import Operator
from theodolite.objective import Objective
from theodolite.operators.preparation import Request, prepared, told


def operator(
    kind: Kind,
    objective: Objective,
    theta: Shaped[Tensor, " params"] | None,
    engine: str,
    memory_budget: int | None,
    verify: bool,
    check: Callable[[Tensor, Tensor], None] | None = None,
) -> Operator:
    """The operator of one kind at one point; `check(rows, products)` looks at the first product."""
    objective.refuse_recompute(kind.label)
    request = Request(
        kind,
        objective,
        _point(objective, theta),
        _engine(kind, engine),
        _budget(objective, memory_budget),
        verify,
    )
    notes = _notes(request)
    held: dict[str, Any] = {"seconds": 0.0, "recorded": False}

    def multiply(rows: Tensor) -> Tensor:
        """Rows in, rows out; everything a product does to its environment is undone."""

        def body() -> Tensor:
            held["plan"] = held.get("plan") or prepared(request, notes)
            held["plan"] = plan = _widened(request, rows, notes, held)
            if plan.engine == "differences" and plan.leaf.dtype == torch.float64:
                torch.set_default_dtype(torch.float64)  # the guard puts it back
            began = time.perf_counter()
            look = len(rows) == 1 and "quiet" not in held and notes["products"] > 0
            look = look and objective.ranks is None and may_be_quiet(plan)
            made, quiet = (watched if look else _plainly)(partial(products, plan, rows))
            if look:
                held["quiet"] = quiet
            held["seconds"] += time.perf_counter() - began
            return made

        objective.alike(rows, "the vector to multiply by")
        made: Tensor = objective.guarded(partial(_of_all, objective, body), grad=True, second=True)
        require_finite(f"{kind.label} product", made, objective.space)
        if check is not None and not notes["products"]:
            check(rows, made)
        return counted(rows, made)

    def counted(rows: Tensor, made: Tensor) -> Tensor:
        notes["products"] += len(rows)
        if not held["recorded"]:
            _record_where_it_pays(request, held, rows, notes)
        return made

    def matvec(vector: Tensor) -> Tensor:
        if held.get("quiet"):
            began = time.perf_counter()
            made = quiet_product(held["plan"].kept, held["plan"].leaf, vector)
            held["seconds"] += time.perf_counter() - began
            if made is not None:
                return counted(vector.detach()[None], made)
        return multiply(_columns(request, vector.unsqueeze(-1)).T)[0]

    def matmat(columns: Tensor) -> Tensor:
        return multiply(_columns(request, columns).T).T

    place = request.theta
    return Operator(matvec, len(place), place.dtype, kind.label, place.device, matmat, notes)


def semidefinite(made: Operator) -> Operator:
    """`made`, with the fact that it is positive semidefinite, which trace estimators rely on."""
    assert isinstance(made.facts, dict)
    made.facts["positive_semidefinite"] = True
    return made


def _plainly(body: Callable[[], Tensor]) -> tuple[Tensor, bool]:
    return body(), False


def _of_all(objective: Objective, body: Callable[[], Tensor]) -> Tensor:
    """`body()`, summed over the ranks that share the objective."""
    if objective.ranks is None:
        return body()
    return objective.ranks.summed(lambda: (body(), True))[0]


def _notes(request: Request) -> dict[str, Any]:
    """What results record; filled in by the first product, counted up by each."""
    return {
        **request.objective.facts(),
        "theta_norm": float(torch.linalg.vector_norm(request.theta.double())),
        "engine": request.engine,
        "memory_budget": request.budget,
        "engine_times": {},
        "engines_dropped": {},
        "products": 0,
    }


def _widened(request: Request, rows: Tensor, notes: dict[str, Any], held: dict[str, Any]) -> Plan:
    """The first product with several vectors decides whether they go through a graph together,
    and the first with many how many.

    The clock decides, and rounding depends on it: an engine named by the caller takes one vector
    at a time.
    """
    plan: Plan = held["plan"]
    settled = request.engine != "auto" or plan.engine == "differences"
    shown = sum(len(rows) >= least for least in (2, *CHUNKS[1:]))
    if settled or shown <= held.get("together", 0):
        return plan
    held["together"] = shown
    return together(plan, rows, notes)


def _record_where_it_pays(
    request: Request, held: dict[str, Any], rows: Tensor, notes: dict[str, Any]
) -> None:
    """After some work, try linear programs in place of graphs: recording takes a few products."""
    if request.engine != "auto":
        return
    plan: Plan = held["plan"]
    batches = int(request.objective.data.batches)
    worth = worth_recording(request.kind, notes["products"], held["seconds"], batches)
    if not (worth and plan.complete and programs_fit(plan, request.budget)):
        return
    held["recorded"] = True

    def body() -> None:
        made = recorded(request.kind, plan, rows, request.budget, notes)
        if made is not plan:
            # whether rows go together through a linear program is another question
            held["plan"] = told(made, notes)
            held.pop("together", None)
            held.pop("quiet", None)

    request.objective.guarded(body, grad=True, second=True)


def _point(objective: Objective, theta: Tensor | None) -> Tensor:
    if theta is None:
        return objective.start.clone()
    objective.space.check(theta)
    objective.alike(theta, "theta")
    return theta.detach().to(device=objective.device, copy=True)


def _engine(kind: Kind, engine: str) -> str:
    if engine not in kind.engines:
        raise InvalidArgument(
            f"engine must be one of {', '.join(map(repr, kind.engines))}; got {engine!r}.",
            code="E-D04",
        )
    return engine


def _budget(objective: Objective, memory_budget: int | None) -> int:
    if memory_budget is None:
        return default_budget(objective.device)
    if memory_budget < 0:
        raise InvalidArgument(
            f"memory_budget must be a number of bytes, 0 or more; got {memory_budget}.",
            code="E-D08",
        )
    return int(memory_budget)


def _columns(request: Request, columns: Tensor) -> Tensor:
    """Columns as the operator multiplies them; raises on a wrong size or a number that is none."""
    size = len(request.theta)
    if columns.dim() != 2 or len(columns) != size:
        raise InvalidArgument(
            f"vectors must have {size} entries, one a parameter; got shape {tuple(columns.shape)}.",
            fix="pass a flat vector as objective.start is, or such vectors as columns to matmat.",
            code="E-D02",
        )
    columns = columns.detach().to(request.theta)
    if not all_finite(columns):
        raise InvalidArgument(
            "the vector to multiply by holds NaN or infinity.",
            fix="check where it comes from: a norm of zero was divided by, or a step overflowed.",
            code="E-D03",
        )
    return columns
