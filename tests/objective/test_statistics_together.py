"""Statistics recomputed in one pass, against the way layer by layer and against training mode.

The oracle is `recompute` (one layer at a time) on float64 networks of every awkward shape, and for
those two, in `test_batch_norm.py`, training mode on the whole data as one batch.
"""

from __future__ import annotations

import _thread
import time

import pytest
import torch
from torch import nn

from theodolite import Objective
from theodolite.objective.batches import Batch
from theodolite.objective.pooling import waiting_bytes
from theodolite.objective.statistics import Moments, batch_norm_layers

X = 3 + 2 * torch.randn(24, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
Y = torch.arange(24) % 3


class _Net(nn.Module):
    """Three normalized layers; counts its forward calls and watches the threads they run in."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.middle, self.last = nn.Linear(4, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.a, self.b, self.c = nn.BatchNorm1d(6), nn.BatchNorm1d(6), nn.BatchNorm1d(3)
        self.calls: list[int] = []
        self.double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.append(len(x))
        return self.through(x)

    def through(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(self.a(self.first(x)))
        return self.c(self.last(h + torch.tanh(self.b(self.middle(h)))))


class _Twice(_Net):
    """A layer used twice: its statistics are those of the first use."""

    def through(self, x: torch.Tensor) -> torch.Tensor:
        return self.c(self.last(self.a(self.a(self.first(x)) * 2 + 1)))


class _Unreached(_Net):
    """A layer that no batch reaches keeps what it came with."""

    def through(self, x: torch.Tensor) -> torch.Tensor:
        return self.c(self.last(self.a(self.first(x))))


class _Branching(_Net):
    """The first batch leaves out a layer, so that the others are behind it."""

    def through(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x)
        if not torch.equal(x[0], X[0]):
            h = self.a(h)
        return self.c(self.last(self.b(self.middle(h))))


class _Registered(_Net):
    """Layers reached in the opposite of their order, for some batches only."""

    def through(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(x)
        h = self.b(self.a(h)) if torch.equal(x[0], X[0]) else self.a(self.b(h))
        return self.c(self.last(h))


class _Meeting(_Net):
    """Batches meet in an attribute: side by side they read one another's."""

    def through(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = x.mean()
        h = self.a(self.first(x))
        return self.c(self.last(h * self.seen))


def objective(model: nn.Module, size: int = 7, **settings) -> Objective:
    settings = {"batch_norm": "recompute", "batch_size": size} | settings
    return Objective(model, nn.CrossEntropyLoss(), (X, Y), **settings)


@pytest.mark.parametrize("kind", [_Net, _Twice, _Unreached, _Branching, _Registered])
def test_the_two_ways_agree(kind):
    # kills: settling a layer before all batches reach it; moments of a later use; batches in
    # another order; statistics pooled without their counts (7, 7, 7, 3)
    made = objective(kind())
    slow = objective(kind(), data_budget=1000)
    assert made.pooling.way == "together"
    assert slow.pooling.way == "by layer"
    theta = made.start + 0.3 * torch.sin(torch.arange(made.space.size))
    for point in (None, theta):
        assert torch.allclose(made.losses(point), slow.losses(point), rtol=1e-12, atol=0)
    assert made.fingerprint == slow.fingerprint


def test_a_point_costs_one_pass_for_any_number_of_batches_and_layers():
    # kills: a separate pass for the losses; one pass a layer
    for size in (24, 7, 1):
        model = _Net()
        made = objective(model, size)
        model.calls.clear()
        made.value()
        assert model.calls == [size] * (24 // size) + ([24 % size] if 24 % size else [])
        assert made.facts()["batch_norm_way"] == "together"


def test_the_old_way_costs_a_pass_a_layer_and_one_more():
    model = _Net()
    made = objective(model, data_budget=1000)
    model.calls.clear()
    made.value()
    assert len(model.calls) == 4 * made.pooling.passes == 16
    assert "bytes" in made.facts()["batch_norm_reason"]


def test_batches_that_meet_in_an_attribute_go_one_by_one():
    # kills: no trial of the fast way, which would give wrong losses here without a word
    made = objective(_Meeting())
    assert made.pooling.way == "by layer"
    assert "attributes" in made.pooling.reason
    alone = objective(_Meeting(), data_budget=1000)
    assert torch.equal(made.losses(), alone.losses())


def test_data_read_anew_are_not_held():
    data = [(X[i : i + 8], Y[i : i + 8]) for i in (0, 8, 16)]
    made = Objective(_Net(), nn.CrossEntropyLoss(), data, batch_norm="recompute", data_budget=0)
    assert made.data.kept is None
    assert made.pooling.way == "by layer"
    assert float(made.value()) == pytest.approx(float(objective(_Net()).value()), rel=1e-12)


class _Failing(_Net):
    error: type[BaseException] | None = None

    def through(self, x: torch.Tensor) -> torch.Tensor:
        h = self.b(self.middle(self.a(self.first(x))))
        if self.error is not None and len(x) == 3:
            raise self.error("in the last batch")
        return self.c(self.last(h))


class OwnError(Exception):
    """No error that this package knows."""


@pytest.mark.parametrize("error", [OwnError, KeyboardInterrupt, RuntimeError])
def test_an_error_in_one_batch_ends_all_and_is_raised_as_it_is(error):
    # kills: threads left waiting; errors told as another kind; buffers left as they were pooled
    model = _Failing()
    made = objective(model)
    before = [b.clone() for b in model.buffers()]
    threads = _thread._count()
    state = torch.get_rng_state()
    model.error = error
    with pytest.raises(error, match="in the last batch"):
        made.value()
    assert soon(threads)
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), before, strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    model.error = None
    assert float(made.value()) == made.start_pass.loss()


def soon(threads: int) -> bool:
    """Whether no more threads are left than there were; the last one may be on its way out."""
    for _ in range(200):
        if _thread._count() <= threads:
            return True
        time.sleep(0.01)
    return False


class _Aware(_Net):
    """Notes what torch keeps by thread."""

    def through(self, x: torch.Tensor) -> torch.Tensor:
        self.noted = (torch.is_grad_enabled(), torch.get_num_threads(), torch.get_default_device())
        self.made = torch.ones(1)
        return super().through(x)


def test_every_thread_has_the_callers_settings():
    # kills: gradients recorded in the batches' threads; tensors made on another device
    model, seen = _Aware(), []
    made = objective(model)
    model.a.register_forward_pre_hook(lambda m, _: seen.append((*model.noted, model.made.device)))
    here = torch.get_num_threads()
    with torch.device("meta"):
        made.value()
    assert len(seen) == 4
    assert set(seen) == {(False, here, torch.device("meta"), torch.device("meta"))}


def test_another_policy_shares_the_data_and_is_another_objective():
    # kills: a copy of the data; the start of the first policy; one fingerprint for both
    frozen = objective(_Net(), batch_norm="frozen")
    made = frozen.with_batch_norm("recompute")
    fresh = objective(_Net())
    assert made.data is frozen.data
    assert made.forward is frozen.forward
    assert made.fingerprint == fresh.fingerprint != frozen.fingerprint
    assert made.start_pass.loss() == float(made.value()) == float(fresh.value())
    assert float(frozen.value()) == frozen.start_pass.loss() != made.start_pass.loss()
    back = made.with_batch_norm("frozen")
    assert back.fingerprint == frozen.fingerprint
    assert float(back.value()) == float(frozen.value())
    assert frozen.with_batch_norm("frozen") is frozen


def test_what_waits_is_counted_and_what_is_gone_is_not():
    # 8 x 100 floats enter the layer; the layer before (8 x 50) is no longer held by then
    model = nn.Sequential(nn.Linear(10, 50), nn.Linear(50, 100), nn.BatchNorm1d(100))
    model.append(nn.Linear(100, 1)).eval()
    batch = Batch(None, (torch.ones(8, 10),), {}, None, 8, 0)
    with torch.no_grad():
        held = waiting_bytes(batch_norm_layers(model), lambda b: b.call(model), batch)
    assert held == 4 * 8 * 100


def test_pooled_moments_are_those_of_the_whole():
    # kills: merging without the gap between means; a sample variance
    x = 1e3 + torch.randn(30, 5, generator=torch.Generator().manual_seed(2)).double()
    made = Moments()
    for part in x.split([1, 17, 12]):
        made.add(part)
    layer = nn.BatchNorm1d(5).double()
    made.write(layer)
    assert torch.allclose(layer.running_mean, x.mean(0), rtol=1e-14)
    assert torch.allclose(layer.running_var, x.var(0, unbiased=False), rtol=1e-12)


@pytest.mark.parametrize("budget", [{}, {"data_budget": 0}], ids=["kept", "read anew"])
def test_a_model_without_layers_has_nothing_to_recompute(budget):
    model, data = nn.Linear(4, 3).double(), [(X[:12], Y[:12]), (X[12:], Y[12:])]
    made = Objective(model, nn.CrossEntropyLoss(), data, batch_norm="recompute", **budget)
    assert float(made.value()) == float(made.with_batch_norm("frozen").value())
    assert "batch_norm_way" not in made.facts()
