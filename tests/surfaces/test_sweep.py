"""Many points under one guard give what each gives alone, whatever the forward pass leaves behind.

Oracle: `Objective.value` at every point, each under its own guard.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import theodolite as td

from .formulas import normal

DATA = normal(30, 4, seed=5), torch.arange(30) % 3


class Leaving(nn.Module):
    """A linear classifier, some with a habit in their forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("kept", torch.zeros(3, 4))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)


class CachesInBuffer(Leaving):
    def forward(self, x: Tensor) -> Tensor:
        if not self.seen:
            self.kept.copy_(self.layer.weight)
        self.seen += 1
        return x @ self.kept.T + self.layer.bias


class CachesInNewBuffer(Leaving):
    def forward(self, x: Tensor) -> Tensor:
        if not self.seen:
            self.kept = self.layer.weight.clone()
        self.seen = self.seen + 1
        return x @ self.kept.T + self.layer.bias


class CachesInAttribute(Leaving):
    cached: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.cached is None:
            self.cached = self.layer.weight.clone()
        return x @ self.cached.T + self.layer.bias


class CapsWeightAnew(Leaving):
    """As a layer with a norm constraint: new memory for its weight in every forward pass."""

    def forward(self, x: Tensor) -> Tensor:
        self.layer.weight.data = torch.renorm(self.layer.weight.data, 2, 0, 0.9)
        return self.layer(x)


class CapsWeightInPlace(Leaving):
    def forward(self, x: Tensor) -> Tensor:
        self.layer.weight.data.clamp_(-0.2, 0.2)
        return self.layer(x)


class ReplacesParameter(Leaving):
    def forward(self, x: Tensor) -> Tensor:
        self.layer.weight = nn.Parameter(self.layer.weight.detach().clamp(-0.2, 0.2))
        return self.layer(x)


HABITS = [
    Leaving,
    CachesInBuffer,
    CachesInNewBuffer,
    CachesInAttribute,
    CapsWeightAnew,
    CapsWeightInPlace,
    ReplacesParameter,
]


def points(surface, start: Tensor, directions: Tensor):
    """Place and vector of every point of a plane."""
    for i, a in enumerate(surface.alpha.values):
        for j, b in enumerate(surface.beta.values):
            row = start + float(a) * directions[0] if a else start
            yield (i, j), (row + float(b) * directions[1] if b else row)


@pytest.mark.parametrize("habit", HABITS)
@pytest.mark.parametrize("batch_size", [30, 10])
def test_what_one_point_leaves_behind_does_not_reach_the_next(habit, batch_size):
    # kills: buffers, attributes or memory of the weights carried from point to point
    torch.manual_seed(1)
    objective = td.Objective(habit().double(), nn.CrossEntropyLoss(), DATA, batch_size=batch_size)
    directions = td.random_directions(objective)
    surface = td.plane(objective, directions, steps=(3, 4))
    for where, theta in points(surface, objective.start, directions):
        assert surface.loss.values[where] == pytest.approx(float(objective.value(theta)), rel=1e-13)


def test_the_vectors_passed_in_are_not_written_to():
    # kills: a model that clamps its own weights clamping the caller's theta
    torch.manual_seed(1)
    objective = td.Objective(CapsWeightInPlace().double(), nn.CrossEntropyLoss(), DATA)
    start, theta = objective.start.clone(), 3 * objective.start
    kept, directions = theta.clone(), td.random_directions(objective)
    td.plane(objective, directions, theta=theta, steps=(2, 2))
    td.plane(objective, directions, steps=(2, 2))
    objective.value(theta)
    assert torch.equal(theta, kept)
    assert torch.equal(objective.start, start)
    assert torch.equal(start, objective.space.flatten(objective.model.state_dict()))


def test_statistics_recomputed_at_every_point_are_those_of_that_point():
    # kills: statistics of the start at all points; statistics left from the point before
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)).double()
    settings = {"batch_size": 11, "batch_norm": "recompute"}
    objective = td.Objective(model, nn.CrossEntropyLoss(), DATA, **settings)
    directions = td.random_directions(objective, normalize=None)
    surface = td.plane(objective, directions, steps=(3, 3))
    for where, theta in points(surface, objective.start, directions):
        views = objective.space.views(theta)
        hidden = nn.functional.linear(DATA[0], views["0.weight"], views["0.bias"])
        hidden = (hidden - hidden.mean(0)) / (hidden.var(0, unbiased=False) + 1e-5).sqrt()
        hidden = torch.tanh(hidden * views["1.weight"] + views["1.bias"])
        logits = nn.functional.linear(hidden, views["3.weight"], views["3.bias"])
        expected = float(nn.functional.cross_entropy(logits, DATA[1]))
        assert surface.loss.values[where] == pytest.approx(expected, rel=1e-11)
    frozen = td.Objective(model, nn.CrossEntropyLoss(), DATA, batch_size=11)
    assert not np.allclose(td.plane(frozen, directions, steps=(3, 3)).loss, surface.loss)
    assert surface.attrs["batch_norm"] == "recompute"


def test_training_mode_uses_the_statistics_of_each_batch_at_every_point():
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 3)).double()
    buffers = {n: b.clone() for n, b in model.named_buffers()}
    objective = td.Objective(model, nn.CrossEntropyLoss(), DATA, batch_size=10, mode="train")
    directions = td.random_directions(objective, normalize=None)
    surface = td.plane(objective, directions, steps=(3, 2))
    for where, theta in points(surface, objective.start, directions):
        assert surface.loss.values[where] == float(objective.value(theta))
    assert all(torch.equal(b, buffers[n]) for n, b in model.named_buffers())


@pytest.mark.parametrize("kept", [True, False], ids=["in memory", "read anew"])
def test_a_shuffled_loader_draws_no_noise(kept):
    # kills: a fresh order that changes bits from point to point or call to call
    torch.manual_seed(1)
    model = nn.Linear(4, 3)
    data = TensorDataset(DATA[0].float(), DATA[1])
    loader = DataLoader(data, batch_size=7, shuffle=True)
    budget = {} if kept else {"data_budget": 0}
    objective = td.Objective(model, nn.CrossEntropyLoss(), loader, **budget)
    assert (objective.data.kept is not None) == kept
    plain = td.Objective(model, nn.CrossEntropyLoss(), (DATA[0].float(), DATA[1]))
    directions = td.random_directions(objective)
    state = torch.get_rng_state()
    first = td.plane(objective, directions, steps=(3, 3))
    assert torch.equal(torch.get_rng_state(), state)
    assert first.identical(td.plane(objective, directions, steps=(3, 3)))
    for where, theta in points(first, objective.start, directions):
        assert first.loss.values[where] == float(objective.value(theta))
        assert first.loss.values[where] == pytest.approx(float(plain.value(theta)), rel=1e-6)


def test_a_limited_objective_uses_the_same_examples_at_every_point():
    # kills: a fresh random subset a point, which draws roughness that is not there
    x, y = normal(600, 4, seed=7), torch.arange(600) % 3
    torch.manual_seed(1)
    model = nn.Linear(4, 3).double()
    data = DataLoader(TensorDataset(x, y), batch_size=50, shuffle=False)
    limited = td.Objective(model, nn.CrossEntropyLoss(), data, limit=60)
    direction = td.random_directions(limited, count=1)[0]
    shape = td.line(limited, direction, span=(-0.1, 0.1), steps=21).loss.values
    rough = np.abs(np.diff(shape, n=2)).max()
    assert rough < 1e-2 * (shape.max() - shape.min())
    expected = nn.functional.cross_entropy(model(x[:60]), y[:60]).item()
    assert shape[10] == pytest.approx(expected, rel=1e-12)


class Interrupted(Leaving):
    """Raises at a chosen forward pass, counted where no guard reaches."""

    count, at, error = [0], -1, KeyboardInterrupt

    def forward(self, x: Tensor) -> Tensor:
        self.count[0] += 1
        if self.count[0] == self.at:
            raise self.error("planned")
        self.seen += 1
        return self.layer(x)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("at", range(1, 7))
def test_an_interrupt_at_any_point_leaves_the_model_as_it_was(at, error, monkeypatch):
    model = Interrupted().train()
    objective = td.Objective(model, nn.CrossEntropyLoss(), (DATA[0].float(), DATA[1]))
    directions = td.random_directions(objective)
    before = {n: v.clone() for n, v in model.state_dict().items()}
    objects = [id(p) for p in model.parameters()]
    monkeypatch.setattr(Interrupted, "at", Interrupted.count[0] + at)
    monkeypatch.setattr(Interrupted, "error", error)
    with pytest.raises(error, match="planned"):
        td.plane(objective, directions, steps=(3, 2))
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())
    assert [id(p) for p in model.parameters()] == objects
    assert model.training
    assert torch.is_grad_enabled()
    monkeypatch.setattr(Interrupted, "at", -1)
    surface = td.plane(objective, directions, steps=(3, 3))
    assert float(surface.loss[1, 1]) == float(objective.value())


def test_an_interrupt_in_the_progress_callback_leaves_the_model_as_it_was():
    model = Leaving()
    objective = td.Objective(model, nn.CrossEntropyLoss(), (DATA[0].float(), DATA[1]))
    objects = [id(p) for p in model.parameters()]

    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        td.plane(objective, td.random_directions(objective), steps=(3, 3), progress=stop)
    assert [id(p) for p in model.parameters()] == objects
