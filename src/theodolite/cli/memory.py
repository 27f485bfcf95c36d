"""What a run will hold, told before it starts."""

from __future__ import annotations

from pathlib import Path

import psutil

from theodolite.surveys.plan import Plan
from theodolite.surveys.target import Target

STATUS = Path("/proc/self/status")

LATER = 150_000_000
"""Bytes of libraries that a run imports on its way, and of its results and its page."""


def most_used() -> int:
    """Bytes this process held at its fullest; what it holds now where the system keeps no record.

    ``ru_maxrss`` would not do: a process inherits the figure of the one that started it.
    """
    now = int(psutil.Process().memory_info().rss)
    if not STATUS.exists():
        return now
    peak = [line.split()[1] for line in STATUS.read_text().splitlines() if "VmHWM:" in line]
    return max(now, *(1024 * int(p) for p in peak)) if peak else now


def bytes_each(plan: Plan, target: Target) -> int:
    """The fullest the process has been, the vectors of a group that will be held, and `LATER`.

    Passes over the data were made before the plan is, so what a forward pass holds is in it.
    """
    objective = target.objective
    width = objective.start.element_size() * objective.space.size
    vectors = max((g.vectors for g in plan.groups), default=0)
    return most_used() + vectors * width + LATER
