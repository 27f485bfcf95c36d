"""A job that costs far more than people expect is begun only when they say so."""

from __future__ import annotations

from theodolite.cli.durations import about
from theodolite.errors import InvalidArgument
from theodolite.surveys.plan import Plan

POINTS, SECONDS = 250_000, 6 * 3600.0
"""The most a job may cost that is begun without ``--yes``."""

GRIDS = {"planes": "--planes, --steps, --x, --y", "lines": "--lines, --steps, --x"}
"""Measures made of grid points, and the options that decide how many."""


def costs(plan: Plan) -> dict[str, float]:
    """Forward passes by measure, the dearest first."""
    found: dict[str, float] = {}
    for group in plan.groups:
        found[group.measure] = found.get(group.measure, 0.0) + group.units * group.passes
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def refuse_costly(
    plan: Plan, per_pass: float, passes_a_point: float, time_budget: float | None = None
) -> None:
    """Raise with the estimate where a job has too many grid points or takes too long.

    ``per_pass`` is the time of a forward pass over the training data, ``passes_a_point`` how many
    a grid point takes with the test data. A time budget bounds the time, not the points.
    """
    passes = costs(plan)
    points = {m: round(passes[m] / passes_a_point) for m in passes if m in GRIDS}
    total, seconds = sum(points.values()), plan.passes * per_pass + plan.seconds
    spent = seconds if time_budget is None else min(seconds, time_budget)
    if total <= POINTS and spent <= SECONDS:
        return
    dearest = next(iter(points if total > POINTS else passes))
    counted = f"{points[dearest]:,} grid points, " if dearest in points else ""
    smaller = GRIDS.get(dearest, "--measures, --preset quick")
    raise InvalidArgument(
        f"the job has {total:,} grid points and would take {about(seconds)}; without --yes at most "
        f"{POINTS:,} points and {about(SECONDS).removeprefix('about ')} are begun.",
        where=f"{dearest}: {counted}{passes[dearest]:,.0f} of {plan.passes:,.0f} forward passes",
        why="every grid point is a pass over all examples, and a Hessian product about six.",
        fix=f"pass --yes to begin it, or make it smaller with {smaller} or --limit.",
        code="E-I11",
    )
