"""What SAM refuses, and that the weights are back bit for bit whatever happens on the way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from theodolite.errors import InvalidArgument, InvalidData, InvalidType
from theodolite.training import ASAM, SAM


class Count(nn.Module):
    """Buffers of every kind that a pass may move: in place, replaced, made on first use."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("last", torch.zeros(()))
        self.register_buffer("late", None)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.last = x.detach().sum()
        if self.late is None and self.calls > 1:
            self.late = torch.ones(())
        return x


def parts() -> tuple[nn.Module, SAM, Callable[[], Tensor]]:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.InstanceNorm1d(3, track_running_stats=True),
        nn.Flatten(),
        nn.Linear(15, 4),
        nn.BatchNorm1d(4, momentum=None),
        Count(),
        nn.Linear(4, 1),
    )
    optimizer = SAM(torch.optim.SGD(model.parameters(), lr=0.1), model, rho=0.5)
    x = torch.randn(8, 3, 5)

    def loss() -> Tensor:
        return model(x).square().mean()

    return model, optimizer, loss


def bits(model: nn.Module) -> list[bytes]:
    return [v.numpy().tobytes() for v in model.state_dict().values()]


def test_the_second_pass_moves_no_buffer() -> None:
    # kills: BatchNorm handled by its momentum alone, other layers' buffers, replaced buffers
    model, optimizer, loss = parts()
    loss().backward()
    after_one = {k: b.clone() for k, b in model.named_buffers()}
    buffer = model[4].last
    optimizer.first_step()
    loss().backward()
    assert int(model[3].num_batches_tracked) == 2
    optimizer.second_step()
    found = dict(model.named_buffers())
    assert found.keys() == after_one.keys()
    assert all(torch.equal(found[k], after_one[k]) for k in found)
    assert model[4].last is buffer
    assert model[3].momentum is None


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_weights_are_back_after_a_failure_in_either_pass(failure: type[BaseException]) -> None:
    # kills: a perturbation that stays after an exception or Ctrl-C
    for fails_at in (1, 2):
        model, optimizer, loss = parts()
        seen: list[list[bytes]] = []

        def closure(
            fails_at: int = fails_at,
            model: nn.Module = model,
            seen: list[list[bytes]] = seen,
            loss: Callable[[], Tensor] = loss,
        ) -> Tensor:
            value = loss()
            value.backward()
            seen.append(bits(model))
            if len(seen) == fails_at:
                raise failure
            return value

        before = [p.detach().clone() for p in model.parameters()]
        with pytest.raises(failure):
            optimizer.step(closure)
        assert all(torch.equal(p, q) for p, q in zip(model.parameters(), before, strict=True))
        assert not optimizer.perturbed
        assert len(seen) == fails_at
        assert bits(model) == seen[0]  # with the buffers of one pass
        assert (seen[-1] != seen[0]) == (fails_at == 2)
        optimizer.step(lambda loss=loss: loss().backward())


def test_weights_are_back_after_a_failure_in_the_step_uphill(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # kills: a guard that begins after the weights were moved
    model, optimizer, loss = parts()
    loss().backward()
    before, calls, add = bits(model), [0], torch.Tensor.add_

    def failing(self: Tensor, *arguments: object, **named: object) -> Tensor:
        calls[0] += 1
        if calls[0] == 3:
            raise KeyboardInterrupt
        return add(self, *arguments, **named)

    monkeypatch.setattr(torch.Tensor, "add_", failing)
    with pytest.raises(KeyboardInterrupt):
        optimizer.first_step()
    assert bits(model) == before
    assert not optimizer.perturbed


def test_weights_are_back_after_an_interrupt_while_they_are_put_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # kills: restoring once
    model, optimizer, loss = parts()
    loss().backward()
    before = bits(model)
    optimizer.first_step()
    assert bits(model) != before
    calls, copy = [0], torch.Tensor.copy_

    def failing(self: Tensor, *arguments: object) -> Tensor:
        calls[0] += 1
        if calls[0] == 2:
            raise KeyboardInterrupt
        return copy(self, *arguments)

    monkeypatch.setattr(torch.Tensor, "copy_", failing)
    with pytest.raises(KeyboardInterrupt):
        optimizer.undo()
    assert bits(model) == before


def test_half_precision_comes_back_bit_for_bit() -> None:
    # kills: undoing by subtraction
    w = nn.Parameter(torch.randn(50, generator=torch.Generator().manual_seed(0)).bfloat16())
    before = w.detach().clone()
    optimizer = ASAM(torch.optim.SGD([w], lr=0.0), None, rho=3.0)
    optimizer.step(lambda: (w**2).sum().backward())
    assert torch.equal(w, before)


def test_calls_in_the_wrong_order_are_refused() -> None:
    model, optimizer, loss = parts()
    with pytest.raises(InvalidArgument, match="needs a closure; got none"):
        optimizer.step()
    with pytest.raises(InvalidArgument, match="needs a closure"):
        optimizer.step([])
    with pytest.raises(InvalidArgument, match="second_step was called without first_step"):
        optimizer.second_step()
    with pytest.raises(InvalidData, match="no parameter has a gradient at first_step"):
        optimizer.first_step()
    loss().backward()
    optimizer.first_step()
    for call in (
        optimizer.first_step,
        optimizer.state_dict,
        lambda: optimizer.step(loss),
        lambda: optimizer.load_state_dict({}),
    ):
        with pytest.raises(InvalidArgument, match="between first_step and second_step"):
            call()
    before = bits(model)
    with pytest.raises(InvalidData, match="no parameter has a gradient at second_step"):
        optimizer.second_step()
    assert bits(model) != before
    assert not optimizer.perturbed


def test_a_scaler_that_steps_by_itself_is_refused() -> None:
    # kills: one gradient taken for two
    x = nn.Parameter(torch.ones(2))
    optimizer = SAM(torch.optim.SGD([x], lr=0.1), None)
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale((x**2).sum()).backward()
    with pytest.raises(InvalidArgument, match="a GradScaler or a loop that calls step"):
        scaler.step(optimizer)


def test_sparse_gradients_are_refused_with_nothing_moved() -> None:
    table = nn.Embedding(5, 2, sparse=True)
    before = table.weight.detach().clone()
    optimizer = SAM(torch.optim.SGD(table.parameters(), lr=0.1), table)
    with pytest.raises(InvalidData, match="is sparse"):
        optimizer.step(lambda: table(torch.tensor([1, 2])).sum().backward())
    assert torch.equal(table.weight, before)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "big", True])
def test_a_radius_that_is_none_is_refused(value: object) -> None:
    w = nn.Parameter(torch.ones(1))
    with pytest.raises(InvalidArgument, match="rho must be a finite number"):
        SAM(torch.optim.SGD([{"params": [w], "rho": value}], lr=0.1), None)
    optimizer = ASAM(torch.optim.SGD([w], lr=0.1), None)
    with pytest.raises(InvalidArgument, match="eta must be a finite number"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))], "eta": value})
    assert len(optimizer.base.param_groups) == 1


def test_a_base_or_a_model_that_does_not_fit_is_refused() -> None:
    model, optimizer, _ = parts()
    weights = list(model.parameters())
    for base, got in (
        (torch.optim.SGD, "SGD"),
        (torch.optim.LBFGS(weights), "LBFGS"),
        (optimizer, "SAM"),
        (3, "int"),
    ):
        with pytest.raises(InvalidType, match=rf"needs no closure; got {got}"):
            SAM(base, model)
    with pytest.raises(InvalidType, match="model has none of the parameters of base"):
        SAM(torch.optim.SGD(weights, lr=0.1), nn.Linear(2, 2))
