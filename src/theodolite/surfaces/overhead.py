"""What a pass over a part of the examples costs next to one over all, counted and not timed."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from theodolite.objective import Objective

SECONDS_AN_OPERATION, OPERATIONS_A_SECOND = 5e-5, 4e10
"""A call of one operation and the speed of its arithmetic, as a few processor cores have them.
Their ratio decides where small batches stop being cheap; counts repeat, a clock does not."""


class _Counter(TorchDispatchMode):
    """Counts the calls of operations."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        self.calls += 1
        return func(*args, **(kwargs or {}))


def share_of_a_pass(objective: Objective, fewer: Objective, base: Tensor) -> float:
    """Cost of a pass over `fewer`, a subset of the examples, in passes over all of them.

    One pass over `fewer` counts its operations and their arithmetic; both are scaled to the
    batches and examples of `objective`. Deep networks of narrow layers pay for each operation,
    however few examples it sees: a sixteenth of the examples may cost a third of the time.
    """

    def counted() -> tuple[int, int]:
        point = base.clone()
        with FlopCounterMode(display=False) as work, _Counter() as counter:
            fewer.forward.run(point, fewer.sweep)
        return counter.calls, work.get_total_flops()

    calls, work = fewer.guarded(counted)
    parts = [len(o.data.kept or ()) or 1 for o in (objective, fewer)]
    more = objective.examples / fewer.examples
    whole = calls * parts[0] / parts[1] * SECONDS_AN_OPERATION + work * more / OPERATIONS_A_SECOND
    return (calls * SECONDS_AN_OPERATION + work / OPERATIONS_A_SECOND) / whole
