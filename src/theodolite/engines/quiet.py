"""Products along kept graphs in which no Python code runs: around them nothing needs guarding.

A graph of torch's own operations is walked in C++. Hooks, checkpoints and functions written in
Python run code of the caller's, which may do anything, so those products stay inside the guard.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, TypeVar

import torch
from torch import Tensor

from theodolite.engines.hessian_parts import KeptGradient
from theodolite.engines.parts import nothing
from theodolite.engines.plans import Plan

Result = TypeVar("Result")


def may_be_quiet(plan: Plan) -> bool:
    """Whether all of a plan is kept, on a device whose graphs are walked by the calling thread."""
    known = all(p is None or p is nothing or isinstance(p, KeptGradient) for p in plan.kept)
    exact = plan.leaf.dtype in (torch.float32, torch.float64)  # inner products in half overflow
    return known and exact and plan.complete and plan.leaf.device.type == "cpu"


def watched(body: Callable[[], Result]) -> tuple[Result, bool]:
    """`body()`, and whether no Python code ran inside the backward passes it makes.

    False where another profiler is at work, which is left alone.
    """
    if sys.getprofile() is not None:
        return body(), False
    inside, seen, passes = 0, 0, 0

    def look(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal inside, seen, passes
        if event == "call":
            seen += inside
        elif getattr(arg, "__name__", "") == "run_backward":
            inside += {"c_call": 1}.get(event, -1)
            passes += 1

    sys.setprofile(look)
    try:
        made = body()
    finally:
        sys.setprofile(None)
    return made, passes > 0 and not seen


def undisturbed() -> bool:
    """Whether the process is in a state a backward pass may be made in without the guard's own."""
    return not (
        torch.is_inference_mode_enabled()
        or torch.is_autocast_enabled("cpu")
        or torch.is_anomaly_enabled()
        or torch._C._functorch.get_dynamic_layer_stack_depth()
    )


def quiet_product(kept: Sequence[Any], leaf: Tensor, vector: Tensor) -> Tensor | None:
    """The sum of kept parts times a vector, outside the guard; None where the guard is needed.

    That is where something may be wrong with the vector, the product or the process: inside, the
    same is done again and told by name. One inner product looks through vector and product, since
    no number hides a NaN or an infinity from it.
    """
    plain = type(vector) is Tensor and vector.dtype == leaf.dtype
    if not (plain and vector.device == leaf.device and undisturbed()):
        return None
    vector, total = vector.detach(), None
    try:
        for part in kept:
            if isinstance(part, KeptGradient):
                (one,) = torch.autograd.grad(part.slope, part.leaf, vector, retain_graph=True)
                total = one if total is None else total.add_(one)
    except RuntimeError:  # of a shape, or of memory
        return None
    if total is None or not math.isfinite(float(torch.dot(vector, total))):
        return None
    return total
