"""BatchNorm policies against training mode on the whole data as one batch."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from theodolite import Objective
from theodolite.errors import InvalidArgument, InvalidData, UnsupportedModel


class _Block(nn.Module):
    """A residual block: a layer's input depends on the layers before it along two paths."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3, padding=1)
        self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x):
        return x + self.second(self.b(torch.relu(self.first(self.a(x)))))


def _net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3),
        nn.BatchNorm2d(3),
        _Block(),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(3 * 16, 5),
        nn.BatchNorm1d(5),
    ).double()


def _data() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = 3 + 2 * torch.randn(20, 1, 6, 6, dtype=torch.float64, generator=generator)
    return x, torch.randint(5, (20,), generator=generator)


def _training_mode_loss(model: nn.Module) -> float:
    x, y = _data()
    model.train()
    model[4].eval()
    return float(nn.functional.cross_entropy(model(x), y).detach())


@pytest.mark.parametrize("sizes", [[20], [10, 10], [19, 1], [8, 7, 5]], ids=str)
def test_recomputed_statistics_are_those_of_the_whole_data(sizes):
    # kills: a mean of batch variances; updating all layers in one pass; unweighted pooling
    x, y = _data()
    batches = list(zip(x.split(sizes), y.split(sizes), strict=True))
    model = _net()
    objective = Objective(model, nn.CrossEntropyLoss(), batches, batch_norm="recompute")
    assert float(objective.value()) == pytest.approx(_training_mode_loss(model), rel=1e-12)


def test_frozen_statistics_are_the_models_own():
    model, (x, y) = _net(), _data()
    objective = Objective(model, nn.CrossEntropyLoss(), (x, y))
    model.eval()
    expected = float(nn.functional.cross_entropy(model(x), y).detach())
    assert float(objective.value()) == pytest.approx(expected, rel=1e-12)


def test_recomputing_undoes_a_rescaling_of_the_layer_before():
    # a theorem: with statistics of the data, scaling a normalized layer's weights changes nothing
    model, data = _net(), _data()
    objective = Objective(model, nn.CrossEntropyLoss(), data, batch_norm="recompute")
    moved = objective.start.clone()
    weight = objective.space.entry("0.weight")
    moved[weight.offset : weight.stop] *= 1000
    bias = objective.space.entry("0.bias")
    moved[bias.offset : bias.stop] *= 1000
    assert float(objective.value(moved)) == pytest.approx(float(objective.value()), rel=1e-6)
    frozen = Objective(model, nn.CrossEntropyLoss(), data)
    assert float(frozen.value(moved)) > 2 * float(frozen.value())


def test_buffers_are_bit_identical_afterwards():
    model = _net()
    before = [b.clone() for b in model.buffers()]
    for policy in ("frozen", "recompute"):
        objective = Objective(model, nn.CrossEntropyLoss(), _data(), batch_norm=policy)
        objective.value()
    train = Objective(_no_dropout(model), nn.CrossEntropyLoss(), _data(), mode="train")
    train.gradient()
    for b, kept in zip(model.buffers(), before, strict=True):
        assert torch.equal(b, kept)


def _no_dropout(model: nn.Module) -> nn.Module:
    return nn.Sequential(*(m for m in model if not isinstance(m, nn.Dropout)))


@pytest.mark.parametrize("sizes", [[20], [8, 7, 5]], ids=str)
def test_training_mode_uses_the_batches_in_their_order(sizes):
    x, y = _data()
    batches = list(zip(x.split(sizes), y.split(sizes), strict=True))
    model = _no_dropout(_net())
    objective = Objective(model, nn.CrossEntropyLoss(), batches, mode="train")
    model.train()
    parts = [nn.functional.cross_entropy(model(a), b, reduction="sum") for a, b in batches]
    assert float(objective.value()) == pytest.approx(float(sum(parts).detach()) / 20, rel=1e-12)


def test_training_mode_with_one_example_a_batch_is_refused_with_the_cause():
    x, y = _data()
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 4), nn.BatchNorm1d(4), nn.Linear(4, 5))
    with pytest.raises(InvalidData, match="more than one value a channel"):
        Objective(model.double(), nn.CrossEntropyLoss(), (x, y), mode="train", batch_size=1)


def test_a_gradient_through_recomputed_statistics_is_refused():
    objective = Objective(_net(), nn.CrossEntropyLoss(), _data(), batch_norm="recompute")
    with pytest.raises(UnsupportedModel, match="frozen"):
        objective.gradient()


@pytest.mark.parametrize(
    "settings",
    [
        {"batch_norm": "on"},
        {"mode": "test"},
        {"dtype": torch.int64},
        {"limit": 0},
        {"batch_size": -1},
        {"mode": "train", "batch_norm": "recompute"},
    ],
    ids=str,
)
def test_unknown_settings_are_refused_by_name(settings):
    with pytest.raises(InvalidArgument, match=next(iter(settings)) + "|batch_norm"):
        Objective(_net(), nn.CrossEntropyLoss(), _data(), **settings)


def test_a_model_without_running_statistics_has_no_policy():
    # kills: a report that calls the normalization of a transformer frozen
    made = Objective(
        torch.nn.Linear(2, 1), torch.nn.MSELoss(), (torch.ones(2, 2), torch.ones(2, 1))
    )
    assert made.facts()["batch_norm"] == "none"
    model = torch.nn.Sequential(torch.nn.BatchNorm1d(2), torch.nn.Linear(2, 1))
    data = torch.randn(4, 2), torch.ones(4, 1)
    assert Objective(model, torch.nn.MSELoss(), data).facts()["batch_norm"] == "frozen"
