"""What a pass over a part of the examples costs next to one over all, counted and not timed."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from theodolite.engines.problem import MISTAKES
from theodolite.objective import Objective

SECONDS_AN_OPERATION, OPERATIONS_A_SECOND = 5e-5, 4e10
"""A call of one operation and the speed of its arithmetic, as a few processor cores have them.
Their ratio decides where small batches stop being cheap; counts repeat, a clock does not."""


class Counter(TorchDispatchMode):
    """Counts the calls of operations and their arithmetic, without hooks on modules or gradients.

    Operations torch has no formula for count as calls alone.
    """

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls, self.work = 0, 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        self.calls += 1
        formula = flop_registry.get(getattr(func, "_overloadpacket", None))
        if formula is not None:
            self.work += formula(*args, **(kwargs or {}), out_val=out)
        return out


def share_of_a_pass(objective: Objective, fewer: Objective, base: Tensor) -> float:
    """Cost of a pass over `fewer`, a subset of the examples, in passes over all of them.

    One pass over `fewer` counts its operations and their arithmetic; both are scaled to the
    batches and examples of `objective`. Deep networks of narrow layers pay for each operation,
    however few examples it sees: a sixteenth of the examples may cost a third of the time. A model
    that fails while it is counted gets 1: nothing is known to be saved, and the sweep itself says
    what is wrong, if anything is.
    """

    def counted() -> Counter:
        point, counter = base.clone(), Counter()
        with counter:
            fewer.forward.run(point, fewer.sweep)
        return counter

    try:
        found = fewer.guarded(counted)
    except MISTAKES:  # the model may be well without a counter
        return 1.0
    parts = [len(o.data.kept or ()) or 1 for o in (objective, fewer)]
    more = objective.examples / fewer.examples
    calls, work = found.calls * SECONDS_AN_OPERATION, found.work / OPERATIONS_A_SECOND
    return (calls + work) / (calls * parts[0] / parts[1] + work * more)
