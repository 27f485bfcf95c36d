"""Which engine is used: the least of several times counts, and recording waits for some work."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from theodolite.engines import selection
from theodolite.engines.failures import all_finite
from theodolite.engines.gauss_newton_parts import GAUSS_NEWTON
from theodolite.engines.hessian_parts import HESSIAN
from theodolite.engines.plans import Plan, planned
from theodolite.engines.selection import programs_fit, together, trial, worth_recording
from theodolite.testing.objectives import CASES


def test_linear_programs_wait_for_some_products_that_took_some_time() -> None:
    # Kills: one number of products for all kinds; time by the job and not by the batch; either
    # condition alone.
    assert worth_recording(GAUSS_NEWTON, 3, 1.0, 3)
    assert not worth_recording(GAUSS_NEWTON, 2, 1.0, 3)
    assert not worth_recording(GAUSS_NEWTON, 3, 0.8, 3)
    assert not worth_recording(HESSIAN, 7, 1.0, 3)
    assert worth_recording(HESSIAN, 8, 1.0, 3)


def test_linear_programs_fit_beside_the_graphs_they_replace() -> None:
    # Kills: one graph counted for all batches; the graphs that are there still forgotten.
    objective = CASES["linear"].objective()
    batches = int(objective.data.batches)
    plan = Plan("kept", objective, objective.start, HESSIAN.keep, (), 100)
    assert batches > 1
    assert programs_fit(plan, 300 * batches)
    assert not programs_fit(plan, 300 * batches - 1)


def test_the_least_of_several_times_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    # Kills: the first time taken, or the last; a slow candidate timed three times.
    objective = CASES["linear"].objective()

    def plan(paces: list[float]) -> Plan:
        made = planned(HESSIAN, "kept", objective, objective.start, 1 << 20, most=1)
        inner = made.kept[0]
        assert inner is not None

        def part(rows: torch.Tensor, batched: bool) -> torch.Tensor:
            clock[0] += paces.pop(0)
            return inner(rows, batched)

        return Plan(made.engine, made.problem, made.leaf, made.build, (part,), 0)

    clock = [0.0]
    monkeypatch.setattr(selection.time, "perf_counter", lambda: clock[0])
    rows = torch.ones(1, objective.space.size, dtype=torch.float64)
    paces = [9.0, 0.05, 0.02, 0.04]
    quick = plan(paces)
    found = objective.guarded(lambda: trial(quick, quick.build, rows), grad=True, second=True)
    assert found is not None
    assert math.isclose(found.seconds, 0.02)
    assert not paces
    paces = [9.0, 0.5, 0.02]
    slow = plan(paces)
    found = objective.guarded(lambda: trial(slow, slow.build, rows), grad=True, second=True)
    assert found is not None
    assert math.isclose(found.seconds, 0.5)
    assert paces == [0.02]


def test_finite_numbers_whose_sum_overflows_are_finite() -> None:
    # Kills: the sum alone.
    huge = torch.full((4,), 3e38)
    assert not math.isfinite(float(huge.sum()))
    assert all_finite(huge)
    for bad in (math.nan, math.inf, -math.inf):
        assert not all_finite(torch.tensor([1.0, bad, 2.0]))
    assert not all_finite(torch.tensor([math.inf, -math.inf]))
    assert all_finite(torch.zeros(0))


def paced(seconds: Callable[[int], float], clock: list[float]) -> Plan:
    """A plan whose part takes `seconds(rows together)`."""
    objective = CASES["linear"].objective()

    def part(rows: torch.Tensor, batched: bool) -> torch.Tensor:
        clock[0] += seconds(len(rows)) if batched else len(rows)
        return 2 * rows

    return Plan("kept", objective, objective.start, HESSIAN.keep, (part,), 1 << 10)


@pytest.mark.parametrize(
    ("seconds", "graph", "rows", "chunk"),
    [
        (lambda k: 0.1 * k, 1 << 10, 64, 8),  # 32 together are as fast as 8
        (lambda k: 1.0 + 0.1 * k, 1 << 10, 64, 32),  # overhead: the more the better
        (lambda k: 1.0 + 0.1 * k, 1 << 10, 31, 8),  # not shown by fewer rows
        (lambda k: 1.0 + 0.1 * k, 1 << 30, 64, 8),  # 32 such graphs would not fit
        (lambda k: 1.0 * k, 1 << 10, 64, 1),  # no faster than one by one
        (lambda k: 1.0, 1 << 10, 2, 8),  # two rows show that it pays, not how many
    ],
)
def test_as_many_rows_go_together_as_is_faster(
    seconds: Callable[[int], float],
    graph: int,
    rows: int,
    chunk: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Kills: one size for all; sizes tried that the rows cannot show, or that do not fit.
    clock = [0.0]
    monkeypatch.setattr(selection.time, "perf_counter", lambda: clock[0])
    plan = replace(paced(seconds, clock), graph_bytes=graph)
    notes: dict[str, Any] = {"engine_times": {}, "engines_dropped": {}}
    some = torch.ones(rows, len(plan.leaf), dtype=torch.float64)
    assert together(plan, some, notes).chunk == chunk
