"""Products outside the guard: only where a backward pass runs no Python. Oracle: guarded ones."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

import theodolite as td
from theodolite.operators import products


class Twice(torch.autograd.Function):
    """A function written in Python, as models bring them."""

    @staticmethod
    def forward(ctx, x):  # type: ignore[no-untyped-def]
        return 2 * x

    @staticmethod
    def backward(ctx, slope):  # type: ignore[no-untyped-def]
        return 2 * slope


class Net(nn.Module):
    """Two layers, and between them what `how` says; hooks count their calls on the module."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.first, self.last, self.how, self.calls = nn.Linear(4, 6), nn.Linear(6, 3), how, 0
        self.idle = nn.Linear(1, 1)

    def count(self, slope: Tensor) -> Tensor:
        self.calls += 1
        return slope

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "checkpoint":
            x = checkpoint(lambda t: self.first(t).tanh(), x, use_reentrant=False)
        else:
            x = self.first(x).tanh()
        if self.how == "hook" and x.requires_grad:
            x.register_hook(self.count)
        if self.how == "function":
            x = Twice.apply(x)
        return self.last(x)


@pytest.fixture
def outside(monkeypatch):
    """Counts products made outside the guard."""
    made, whole = [], products.quiet_product

    def counted(*arguments):  # type: ignore[no-untyped-def]
        found = whole(*arguments)
        made.extend([] if found is None else [1])
        return found

    monkeypatch.setattr(products, "quiet_product", counted)
    return made


def operator(how: str, kind=td.hessian):  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    x, y = torch.randn(9, 4, dtype=torch.float64), torch.arange(9) % 3
    net = Net(how).double()
    return net, kind(td.Objective(net, nn.CrossEntropyLoss(), (x, y), batch_size=5), engine="kept")


def test_plain_graphs_are_left_unguarded_and_products_are_the_same(outside):
    # kills: a batch left out, the first product's sum taken for all
    _, H = operator("plain")
    vectors = torch.randn(5, H.size, dtype=torch.float64)
    found = [H.matvec(v) for v in vectors]
    assert len(outside) == 3  # the first is prepared for, the second watched
    again = torch.stack(found).T
    torch.testing.assert_close(H.matmat(vectors.T), again, rtol=1e-13, atol=1e-15)
    assert all(not f.requires_grad for f in found)


@pytest.mark.parametrize("how", ["hook", "checkpoint", "function"])
def test_graphs_that_run_python_stay_guarded(how, outside):
    # kills: calls inside the backward pass not seen
    net, H = operator(how)
    for _ in range(4):
        H.matvec(torch.ones(H.size, dtype=torch.float64))
    assert not outside
    assert net.calls == 0  # what the hook counted was put back


def test_other_matrices_and_several_vectors_stay_guarded(outside):
    _, G = operator("plain", td.ggn)
    for _ in range(4):
        G.matvec(torch.ones(G.size, dtype=torch.float64))
    _, H = operator("plain")
    for _ in range(4):
        H.matmat(torch.ones(H.size, 2, dtype=torch.float64))
    assert not outside


@pytest.mark.parametrize("state", ["autocast", "inference", "functorch"])
def test_a_process_in_an_unusual_state_is_guarded(state, outside):
    # kills: a product in half precision, or of an inference tensor
    _, H = operator("plain")
    v = torch.randn(H.size, dtype=torch.float64)
    expected = [H.matvec(v) for _ in range(3)][-1]
    assert len(outside) == 1
    if state == "functorch":
        torch.func.vmap(lambda t: t + 0 * len(str(H.matvec(v.clone()))))(torch.zeros(2))
    else:
        how = torch.inference_mode() if state == "inference" else torch.autocast("cpu")
        with how:
            torch.testing.assert_close(H.matvec(v), expected, rtol=1e-13, atol=1e-15)
    assert len(outside) == 1


def test_another_profiler_is_left_alone(outside):
    # kills: a profiler of the caller's taken off
    _, H = operator("plain")
    v = torch.ones(H.size, dtype=torch.float64)

    def mine(frame, event, arg):  # type: ignore[no-untyped-def]
        return None

    sys.setprofile(mine)
    try:
        for _ in range(3):
            H.matvec(v)
        assert sys.getprofile() is mine
    finally:
        sys.setprofile(None)
    assert not outside


def test_a_loss_without_parameters_is_refused_as_before(outside):
    x, y = torch.randn(4, 4), torch.arange(4) % 3
    net = Net("plain")
    objective = td.Objective(net, lambda out, t: out.detach().sum(1), (x, y))
    with pytest.raises(td.errors.TheodoliteError, match="E-D"):
        td.hessian(objective).matvec(torch.ones(len(objective.start)))


@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
def test_numbers_that_are_none_are_told_by_name(bad, outside):
    # kills: a NaN in the vector that the product does not see; a product that is not looked at
    _, H = operator("plain")
    v = torch.zeros(H.size, dtype=torch.float64)
    for _ in range(3):
        H.matvec(v)
    count = len(outside)
    for place in (0, H.size - 1):
        spoiled = v.clone()
        spoiled[place] = bad
        with pytest.raises(td.errors.InvalidArgument, match="NaN or infinity"):
            H.matvec(spoiled)
    with pytest.raises(td.errors.NotFinite, match="product is NaN or infinite"):
        H.matvec(torch.full((H.size,), 1e308, dtype=torch.float64) * torch.linspace(1, 1.7, H.size))
    assert len(outside) == count
    for wrong in (v[:-1], v[None]):
        with pytest.raises(td.errors.InvalidArgument, match=f"{H.size} entries"):
            H.matvec(wrong)
    huge = torch.full((H.size,), 1e200, dtype=torch.float64)  # its inner product overflows
    again = H.matvec(huge)
    torch.testing.assert_close(again, 1e200 * H.matvec(torch.ones_like(huge)), rtol=1e-9, atol=0)
    assert H.facts["products"] == 5


def test_vectors_of_other_kinds_are_guarded(outside):
    # kills: a vector with a graph whose graph the product takes along; single precision kept
    _, H = operator("plain")
    v = torch.randn(H.size, dtype=torch.float64)
    expected = [H.matvec(v) for _ in range(3)][-1]
    strided = torch.stack([v, v], 1)[:, 0].requires_grad_(True)
    found = H.matvec(strided)
    assert not found.requires_grad
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=1e-15)
    count = len(outside)
    assert H.matvec(v.float()).dtype == torch.float64
    assert torch.equal(H.matvec(nn.Parameter(v)), expected)
    assert len(outside) == count
