"""Failures and interrupts at many places of every public call; prints what changed, call by call.

Run by `test_caller_state.py` in a process without the type checker, where it is ten times faster
and nothing but the package draws from Python's generator: ``python -m faults.disturbances``.
"""

from __future__ import annotations

import faulthandler
import random
import sys
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any

from faults.state import caller_state, differences
from faults.subjects import CALLS, FORWARDS, Boom, Touchy

INTERRUPTS = 500
SLOW = {"certify": 8, "eigenpairs": 16, "trace": 16, "spectral_density": 24}
"""Calls whose traced run is long get this many interrupts, the others share the rest."""


def booms(call: str, model: Touchy) -> bool:
    """Whether the planned failure reaches the caller."""
    try:
        CALLS[call](model)
    except Boom:
        return True
    return False


def interrupted_at(line: int, body: Callable[[], Any]) -> int:
    """Run `body` with a KeyboardInterrupt at its `line`-th line of Python; -1 only counts lines."""
    seen = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal seen
        if event == "line":
            seen += 1
            if seen == line:
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        body()
    except KeyboardInterrupt:
        return seen
    finally:
        sys.settrace(None)
    return seen


def undisturbed(call: str, model: Touchy) -> list[str]:
    """A call that nothing disturbs."""
    before = caller_state(model)
    CALLS[call](model)
    return differences(before, caller_state(model))


def failures(call: str, model: Touchy) -> list[str]:
    """The k-th forward pass fails, for every k (of many passes: the first dozen, then a sample)."""
    FORWARDS.reset()
    CALLS[call](model)
    passes, changed = FORWARDS.count, []
    for k in [*range(1, min(passes, 12) + 1), *range(13, passes + 1, max(1, passes // 20))]:
        before = caller_state(model)
        FORWARDS.reset(fail_at=k)
        raised = booms(call, model)
        # which engine is fastest is measured, so the number of passes can differ between runs
        if raised != (FORWARDS.count >= k):
            changed.append(f"failure {k} was swallowed")
        changed += [f"failure {k}: {d}" for d in differences(before, caller_state(model))]
    FORWARDS.reset()
    return changed


def interrupts(call: str, model: Touchy) -> list[str]:
    """KeyboardInterrupt at random lines, those of the restoration among them."""
    many = (INTERRUPTS - sum(SLOW.values())) // (len(CALLS) - len(SLOW)) + 1
    lines = interrupted_at(-1, lambda: CALLS[call](model))
    choose, changed = random.Random(call), []
    for _ in range(SLOW.get(call, many)):
        before, line = caller_state(model), choose.randrange(1, lines + 1)
        interrupted_at(line, lambda: CALLS[call](model))
        changed += [f"line {line}: {d}" for d in differences(before, caller_state(model))]
    return changed


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    faulthandler.dump_traceback_later(240, exit=True)  # a call that hangs says where
    for name in sys.argv[1:] or CALLS:
        subject = Touchy()
        CALLS[name](subject)  # first use imports modules, which may set variables and filters
        for disturbance in (undisturbed, failures, interrupts):
            print(f"{name}: {disturbance.__name__} {disturbance(name, subject)}", flush=True)
