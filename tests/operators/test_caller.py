"""What the caller owns is as it was after every product, also after errors and interrupts.

Oracle: hashes of everything, written apart from the guard (`faults.state`).
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from faults.state import caller_state, differences
from theodolite.errors import TheodoliteError
from theodolite.testing.objectives import CASES, REFUSED

ENGINES = {
    "hessian": ("auto", "kept", "recompute", "forward_over_reverse", "differences"),
    "ggn": ("auto", "kept", "recompute", "forward", "differences"),
}
MAKE = {"hessian": td.hessian, "ggn": td.ggn}


class Counting(nn.Module):
    """Counts and remembers in forward() and in its backward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.norm, self.head = nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 3)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.calls, self.cached = 0, None

    def forward(self, x: Tensor) -> Tensor:
        self.calls, self.steps = self.calls + 1, self.steps + 1
        self.cached = torch.tanh(self.norm(self.net(x)))
        if self.cached.requires_grad and not torch._C._functorch.maybe_current_level():
            self.cached.register_hook(self.seen)
        return self.head(self.cached)

    def seen(self, gradient: Tensor) -> None:
        self.calls += 1


def _objective() -> td.Objective:
    torch.manual_seed(0)
    model = Counting().double()
    model.net.weight.grad = torch.ones_like(model.net.weight)
    model.norm.train(False)
    return td.Objective(model, nn.CrossEntropyLoss(), CASES["cross entropy"].data())


@pytest.mark.parametrize(
    ("kind", "engine"), [(kind, engine) for kind, names in ENGINES.items() for engine in names]
)
def test_model_and_process_are_untouched(kind, engine):
    # kills: a product outside the guard; a hook of the kept graph whose traces stay
    objective = _objective()
    before = caller_state(objective.model)
    start = objective.start.clone()
    operator = MAKE[kind](objective, engine=engine)
    operator.matvec(torch.ones(operator.size, dtype=torch.float64))
    operator.matmat(torch.eye(operator.size, dtype=torch.float64)[:, :3])
    operator.matvec(torch.ones(operator.size, dtype=torch.float64))
    assert differences(before, caller_state(objective.model)) == []
    assert torch.equal(objective.start, start)


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_leave_everything_as_it_was(name):
    objective = REFUSED[name].objective()
    before = caller_state(objective.model)
    with pytest.raises(TheodoliteError):
        td.hessian(objective).matvec(torch.ones_like(objective.start))
    assert differences(before, caller_state(objective.model)) == []


class Stop(KeyboardInterrupt):
    """An interrupt of our own, told from one at the keyboard."""


@pytest.mark.parametrize("kind", MAKE)
def test_an_interrupt_at_any_forward_pass_leaves_the_operator_usable(kind, monkeypatch):
    # kills: flags left behind by an interrupt; a half-made plan taken for a whole one
    objective = _objective()
    expected = MAKE[kind](objective).matvec(torch.ones_like(objective.start))
    forward, count = Counting.forward, {"passes": 0, "stop": 0}

    def stopping(self: Counting, x: Tensor) -> Tensor:
        count["passes"] += 1
        if count["passes"] == count["stop"]:
            raise Stop
        return forward(self, x)

    monkeypatch.setattr(Counting, "forward", stopping)
    before = caller_state(objective.model)
    for stop in range(1, 40, 3):
        count.update(passes=0, stop=stop)
        operator = MAKE[kind](objective)
        try:
            operator.matvec(torch.ones_like(objective.start))
        except Stop:
            assert differences(before, caller_state(objective.model)) == []
            count.update(passes=0, stop=0)
            torch.testing.assert_close(
                operator.matvec(torch.ones_like(objective.start)), expected, rtol=0, atol=1e-13
            )
        else:
            break
    assert stop > 5


@pytest.mark.parametrize("engine", ["kept", "recompute"])
def test_the_callers_modes_do_not_change_the_numbers(engine):
    # kills: autocast or a grad mode of the caller reaching a kept graph's second sweep
    objective = CASES["attention"].objective()
    single = td.Objective(
        CASES["attention"].network().float(),
        nn.CrossEntropyLoss(),
        [(x.float(), y) for x, y in CASES["attention"].data()],
    )
    for made in (objective, single):
        v = torch.ones_like(made.start)
        operator = td.hessian(made, engine=engine)
        expected = operator.matvec(v)
        contexts: list[Any] = [
            torch.no_grad(),
            torch.inference_mode(),
            torch.autocast("cpu", dtype=torch.bfloat16),
        ]
        for context in contexts:
            with context:
                assert torch.equal(operator.matvec(v), expected)
                assert torch.equal(td.hessian(made, engine=engine).matvec(v), expected)
    with torch.inference_mode():
        inference = torch.ones_like(objective.start)
        product = td.ggn(objective).matvec(inference)
    torch.testing.assert_close(product, td.ggn(objective).matvec(torch.ones_like(objective.start)))


def test_a_point_changed_afterwards_does_not_reach_the_operator():
    # kills: a view of the caller's theta kept instead of a copy
    objective = CASES["cross entropy"].objective()
    theta = objective.start.clone()
    operator = td.hessian(objective, theta)
    theta += 1.0
    v = torch.ones_like(theta)
    torch.testing.assert_close(operator.matvec(v), td.hessian(objective).matvec(v))
    assert not theta.requires_grad


def test_training_goes_on_while_an_operator_is_held():
    # kills: graphs that hold the model's own parameters
    objective = CASES["convolution with batch norm"].objective()
    operator = td.hessian(objective)
    v = torch.ones_like(objective.start)
    expected = operator.matvec(v)
    model = objective.model
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), 0.5)
    x, y = CASES["convolution with batch norm"].data()[0]
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
    assert torch.equal(operator.matvec(v), expected)
    torch.testing.assert_close(
        td.hessian(objective, engine="differences").matvec(v), expected, rtol=1e-6, atol=1e-8
    )
