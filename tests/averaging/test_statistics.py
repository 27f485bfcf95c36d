"""What belongs to averaged weights: BatchNorm statistics and buffers. Oracle: one full pass."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import theodolite as td
from averaging.nets import shifted, uneven
from connectivity.paths import classes
from theodolite.training import recompute_batch_norm

DATA, TEST = classes(45), classes(33, 7)


def objectives(net: nn.Module) -> tuple[td.Objective, td.Objective]:
    """Training data in uneven batches, and test data."""
    loss = nn.CrossEntropyLoss()
    return td.Objective(net, loss, uneven(DATA, 20, 20, 5)), td.Objective(net, loss, TEST)


def close(a: nn.Module, scale: float) -> dict[str, torch.Tensor]:
    """A state near that of `a`, with statistics and counters of its own."""
    generator = torch.Generator().manual_seed(3)
    state = {k: v.clone() for k, v in a.state_dict().items()}
    for name in ("first.weight", "last.weight"):
        noise = torch.randn(state[name].shape, generator=generator, dtype=torch.float64)
        state[name] += scale * noise
    state["norm.running_mean"] += 1.0
    state["norm.running_var"] *= 3.0
    return state


def test_statistics_are_those_of_a_full_pass_and_counters_the_firsts():
    # kills: statistics mixed as weights are, batches weighed alike, n - 1, an averaged counter
    net = shifted(seen=7)
    train, test = objectives(net)
    other = close(net, 0.1)
    other["seen"], other["norm.num_batches_tracked"] = torch.tensor(100), torch.tensor(100)
    found = td.average(train, [net.state_dict(), other], test=test, threshold=9.0)
    state = td.averaged_state(found)
    hidden = DATA[0] @ state["first.weight"].T + state["first.bias"]
    assert torch.allclose(state["norm.running_mean"], hidden.mean(0), rtol=0, atol=1e-13)
    spread = hidden.var(0, correction=0)
    assert torch.allclose(state["norm.running_var"], spread, rtol=0, atol=1e-13)
    mean = 0.5 * (net.first.weight + other["first.weight"])
    assert torch.allclose(state["first.weight"], mean, rtol=0, atol=1e-15)
    assert (int(state["seen"]), int(state["norm.num_batches_tracked"])) == (7, 7)
    assert [v.dtype for v in state.values()] == [v.dtype for v in net.state_dict().values()]
    assert list(state) == list(net.state_dict())


def test_the_state_has_the_losses_that_are_reported():
    # kills: the test set normalized by its own statistics, members with others' statistics
    net = shifted()
    train, test = objectives(net)
    members = [net.state_dict(), close(net, 0.1)]
    found = td.average(train, members, test=test, threshold=9.0, names=["a", "b"])
    for name, state in zip("ab", members, strict=True):
        own = copy.deepcopy(net)
        own.load_state_dict(state)
        for prefix, (x, y) in (("", DATA), ("test_", TEST)):
            loss = nn.functional.cross_entropy(own(x), y).item()
            assert float(found[f"{prefix}loss"].sel(network=name)) == pytest.approx(loss, rel=1e-12)
    made = copy.deepcopy(net)
    made.load_state_dict(td.averaged_state(found))
    for prefix, (x, y) in (("", DATA), ("test_", TEST)):
        loss = nn.functional.cross_entropy(made(x), y).item()
        assert float(found[f"{prefix}loss"].sel(network="average")) == pytest.approx(loss)
        wrong = float((made(x).argmax(1) != y).double().mean())
        assert float(found[f"{prefix}error"].sel(network="average")) == pytest.approx(wrong)


def test_other_buffers_are_the_firsts_and_statistics_are_made_with_them():
    # kills: statistics computed with the objective's buffers instead of the first member's
    net, moved = shifted(), shifted(shift=0.5)
    train, _ = objectives(net)
    with pytest.warns(td.errors.TheodoliteWarning, match="shift, .* those of 0 are kept"):
        found = td.average(train, [moved.state_dict(), net.state_dict()], threshold=9.0)
    state = td.averaged_state(found)
    assert torch.equal(state["shift"], moved.shift)
    made = copy.deepcopy(net)
    made.load_state_dict(state)
    recompute_batch_norm(made, [DATA[0]])
    assert torch.allclose(made.norm.running_mean, state["norm.running_mean"], rtol=0, atol=1e-13)


def test_flat_tensors_get_statistics_of_their_own():
    # kills: vectors evaluated with the objective's statistics
    net = shifted()
    net.norm.running_mean += 5.0
    train, _ = objectives(net)
    found = td.ensemble(train, [train.start, train.start + 0.1])
    own = copy.deepcopy(net)
    recompute_batch_norm(own, [DATA[0]])
    loss = nn.functional.cross_entropy(own(DATA[0]), DATA[1]).item()
    assert float(found.loss[0]) == pytest.approx(loss, rel=1e-12)


def test_tied_modules_and_frozen_parts_are_in_the_state_under_every_name():
    # kills: a state dict that lacks the second name of a shared module
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
            self.b = self.a
            self.head = nn.Linear(3, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.a(x))

    torch.manual_seed(0)
    net = Tied().double().eval()
    net.head.requires_grad_(False)
    objective = td.Objective(net, nn.CrossEntropyLoss(), DATA)
    other = {k: v.clone() for k, v in net.state_dict().items()}
    for name in ("a.0.weight", "b.0.weight"):
        other[name] += 0.1
    found = td.average(objective, [net.state_dict(), other], threshold=9.0, steps=3)
    state = td.averaged_state(found)
    assert list(state) == list(net.state_dict())
    for name in ("0.weight", "1.running_mean"):
        assert torch.equal(state[f"a.{name}"], state[f"b.{name}"])
    assert torch.allclose(state["a.0.weight"], net.a[0].weight + 0.05, rtol=0, atol=1e-15)
    assert torch.equal(state["head.weight"], net.head.weight)
    net.load_state_dict(state)
    loss = nn.functional.cross_entropy(net(DATA[0]), DATA[1]).item()
    assert float(found.loss.sel(network="average")) == pytest.approx(loss, rel=1e-12)
