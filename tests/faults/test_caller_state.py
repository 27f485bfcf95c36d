"""The caller's model and process are bit-identical after every call, failure and interrupt."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
import torch

from faults.state import caller_state, differences
from faults.subjects import CALLS, FORWARDS, Boom, Touchy

INTERRUPTS = 500


@pytest.fixture(autouse=True)
def _forwards():
    FORWARDS.reset()
    yield
    FORWARDS.reset()


@pytest.mark.parametrize("call", CALLS)
def test_nothing_changes_after_a_call(call):
    # kills: model.eval() left behind, buffers updated, hooks left, generators advanced
    model = Touchy()
    before = caller_state(model)
    CALLS[call](model)
    assert differences(before, caller_state(model)) == []
    assert FORWARDS.count > 0


@pytest.mark.parametrize("call", CALLS)
def test_nothing_changes_when_the_kth_forward_fails(call):
    model = Touchy()
    CALLS[call](model)
    forwards = FORWARDS.count
    step = max(1, forwards // 40)
    for k in [*range(1, min(forwards, 12) + 1), *range(13, forwards + 1, step)]:
        before = caller_state(model)
        FORWARDS.reset(fail_at=k)
        with pytest.raises(Boom):
            CALLS[call](model)
        assert differences(before, caller_state(model)) == [], f"after failure {k} of {forwards}"


def _interrupted_at(line: int, body: Callable[[], Any]) -> tuple[bool, int]:
    """Run `body` with a KeyboardInterrupt at its `line`-th line of Python; -1 only counts."""
    seen = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal seen
        if event == "line":
            seen += 1
            if seen == line:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        body()
    except KeyboardInterrupt:
        return True, seen
    finally:
        sys.settrace(before)
    return False, seen


@pytest.mark.parametrize("call", CALLS)
def test_nothing_changes_when_interrupted_anywhere(call):
    # kills: a restoration that an interrupt inside it can cut short
    model = Touchy()
    CALLS[call](model)
    _, lines = _interrupted_at(-1, lambda: CALLS[call](model))
    choose = random.Random(call)
    for _ in range(max(1, INTERRUPTS // len(CALLS))):
        before = caller_state(model)
        line = choose.randrange(1, lines + 1)
        _interrupted_at(line, lambda: CALLS[call](model))
        assert differences(before, caller_state(model)) == [], f"line {line} of {lines}"


def test_the_callers_flags_survive_when_they_are_unusual():
    model = Touchy()
    with (
        torch.autocast("cpu", dtype=torch.bfloat16),
        torch.no_grad(),
        torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.FLASH_ATTENTION),
    ):
        before = caller_state(model)
        plain = CALLS["gradient"](model)
        assert differences(before, caller_state(model)) == []
    assert torch.equal(plain, CALLS["gradient"](model))


def test_inference_mode_of_the_caller_changes_nothing():
    model = Touchy()
    expected = CALLS["gradient"](model)
    with torch.inference_mode():
        assert torch.equal(CALLS["gradient"](model), expected)
        assert torch.is_inference_mode_enabled()


def test_the_check_itself_sees_each_kind_of_change():
    # negative control: the hashes must notice what the tests above rely on
    changes: dict[str, Callable[[Touchy], object]] = {
        "a parameter's value": lambda m: m.conv.weight.data.add_(1e-7),
        "a buffer": lambda m: m.norm.running_mean.add_(1),
        "a mode": lambda m: m.norm.train(),
        "a gradient": lambda m: m.conv.weight.grad.add_(1),
        "a missing gradient": lambda m: setattr(m.head.bias, "grad", torch.ones(3)),
        "requires_grad": lambda m: m.frozen.weight.requires_grad_(True),
        "a hook": lambda m: m.register_forward_hook(lambda *a: None),
        "a counter": lambda m: setattr(m, "calls", 99),
        "a generator": lambda m: torch.rand(1),
        "another tensor object": lambda m: setattr(
            m.conv, "weight", torch.nn.Parameter(m.conv.weight.detach().clone())
        ),
    }
    for name, change in changes.items():
        model = Touchy()
        before = caller_state(model)
        change(model)
        assert differences(before, caller_state(model)), name
