"""The caller's model and process are bit-identical after every call, failure and interrupt.

The type checker that runs during tests draws from Python's generator, so that one is compared in
a process of its own, without the checker.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from faults.state import caller_state, changes, differences
from faults.subjects import CALLS, FORWARDS, Touchy

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
    CALLS[call](model)  # first use imports modules, and some of those add warning filters
    gc.collect()  # closes what earlier tests left open
    before = caller_state(model)
    CALLS[call](model)
    assert changes(before, model) == []
    assert FORWARDS.count > 0


@pytest.mark.parametrize("share", [0, 1])
def test_nothing_changes_when_calls_fail_or_are_interrupted(share):
    # kills: a restoration that an interrupt inside it can cut short; failures swallowed
    calls = [c for i, c in enumerate(CALLS) if i % 2 == share]
    command = [sys.executable, "-m", "faults.disturbances", *calls]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-1000:] + run.stderr[-4000:]
    kinds = ("undisturbed", "failures", "interrupts")
    assert run.stdout.splitlines() == [f"{c}: {k} []" for c in calls for k in kinds]


def test_the_callers_flags_survive_when_they_are_unusual():
    model = Touchy()
    with (
        torch.autocast("cpu", dtype=torch.bfloat16),
        torch.no_grad(),
        torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.FLASH_ATTENTION),
    ):
        before = caller_state(model)
        plain = CALLS["gradient"](model)
        assert changes(before, model) == []
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
