"""Learning rates that fall and rise again, and where they are lowest."""

from __future__ import annotations

import math
from itertools import pairwise

from theodolite.errors import InvalidArgument

CYCLES = ("triangular", "restarts")
"""Schedules of several cycles, and below the fewest steps that one of them has."""

FEWEST = {"triangular": 2, "restarts": 1}


def check_cycles(schedule: str, cycles: int, lowest: float | int, steps: int) -> None:
    """Raise for cycles that are none, do not fit, or belong to no schedule (E-A95)."""
    if schedule not in CYCLES:
        if cycles != 1 or lowest != 0:
            raise InvalidArgument(
                f"cycles and lowest need schedule={' or '.join(map(repr, CYCLES))}; got "
                f"schedule={schedule!r}, cycles={cycles}, lowest={lowest}.",
                where="Recipe",
                code="E-A95",
            )
        return
    most = steps // FEWEST[schedule]
    if not 1 <= cycles <= most:
        raise InvalidArgument(
            f"cycles must lie between 1 and {most}, for {FEWEST[schedule]} steps at least in each "
            f"of the {steps} after warmup; got {cycles}.",
            where="Recipe",
            code="E-A95",
        )


def cycle_share(schedule: str, step: int, steps: int, cycles: int, lowest: float | int) -> float:
    r"""The share of the full rate at a step of `steps`, the first being 0.

    .. math:: \text{triangular: } 1 - (1 - l) \frac{j}{h} \;(j \le h), \quad
        l + (1 - l) \frac{j - h}{c - h} \;(j > h); \qquad
        \text{restarts: } l + (1 - l) \frac{1 + \cos(\pi (j - 1) / c)}{2}

    at the j-th step (from 1) of a cycle of c, half of which are h, down to the share l. Cycles
    differ by a step where they do not go evenly into the training. Garipov et al. (2018),
    arXiv:1802.10026, section 4 (even c); Huang et al. (2017), arXiv:1704.00109, equation 2.

    >>> [cycle_share("triangular", k, 8, 2, 0.0) for k in range(8)]
    [0.5, 0.0, 0.5, 1.0, 0.5, 0.0, 0.5, 1.0]
    >>> [round(cycle_share("restarts", k, 4, 2, 0.0), 3) for k in range(4)]
    [1.0, 0.5, 1.0, 0.5]
    """
    cycle = ((step + 1) * cycles - 1) // steps  # the last to begin at or before this step
    begin, end = (k * steps // cycles for k in (cycle, cycle + 1))
    place, length = step - begin + 1, end - begin
    if schedule == "restarts":
        return lowest + (1 - lowest) * 0.5 * (1 + math.cos(math.pi * (place - 1) / length))
    half = length // 2
    if place <= half:
        return 1 - (1 - lowest) * place / half
    return lowest + (1 - lowest) * (place - half) / (length - half)


def lowest_steps(schedule: str, steps: int, cycles: int) -> list[int]:
    """How many updates are done when the rate of each cycle has been at its lowest.

    >>> lowest_steps("triangular", 8, 2), lowest_steps("restarts", 8, 2)
    ([2, 6], [4, 8])
    """
    ends = [k * steps // cycles for k in range(cycles + 1)]
    if schedule == "restarts":
        return ends[1:]
    return [begin + (end - begin) // 2 for begin, end in pairwise(ends)]
