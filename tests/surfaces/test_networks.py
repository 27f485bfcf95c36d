"""Surfaces of many kinds of networks against networks that were moved and run by hand.

Oracle: a second network whose own parameters are overwritten, in evaluation mode, on one batch,
with the torch loss module itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune

import theodolite as td
from theodolite import models

EXAMPLES = 12
Made = tuple[nn.Module, nn.Module, tuple[Tensor, Tensor]]


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(3, 5, num_layers=2, batch_first=True)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0][:, -1])


class Attentive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.block = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, batch_first=True)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        joined = torch.cat([self.token.expand(len(x), 1, 8), x], 1)
        return self.head(self.block(joined)[:, 0])


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.grow = nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2)
        self.norm = nn.GroupNorm(2, 6)
        self.out = nn.ConvTranspose2d(6, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.norm(self.grow(x))))


def labels(classes: int = 3, *shape: int) -> Tensor:
    return torch.arange(EXAMPLES * int(np.prod(shape, dtype=int))).view(EXAMPLES, *shape) % classes


def classifier(model: nn.Module, *shape: int, classes: int = 3) -> Made:
    return model, nn.CrossEntropyLoss(), (torch.randn(EXAMPLES, *shape), labels(classes))


def regression(model: nn.Module, shape: tuple[int, ...], out: tuple[int, ...]) -> Made:
    return model, nn.MSELoss(), (torch.randn(EXAMPLES, *shape), torch.randn(EXAMPLES, *out))


def masked() -> nn.Module:
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    prune.random_unstructured(model[0], "weight", amount=0.5)
    return model


def tokens() -> Made:
    model = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(20, 3))
    return model, nn.CrossEntropyLoss(), (torch.randint(9, (EXAMPLES, 5)), labels())


def segmentation() -> Made:
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 1))
    rule = nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 0.5]), ignore_index=0)
    return model, rule, (torch.randn(EXAMPLES, 1, 4, 4), labels(3, 4, 4))


def with_norms() -> nn.Module:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    )
    model(3 + torch.randn(30, 1, 4, 4))
    return model


NETWORKS: dict[str, Callable[[], Made]] = {
    "convolutions 1d": lambda: classifier(
        nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3)), 2, 5
    ),
    "convolutions 3d": lambda: classifier(
        nn.Sequential(nn.Conv3d(1, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3)), 1, 3, 3, 3
    ),
    "batch norm": lambda: classifier(with_norms(), 1, 4, 4),
    "transposed convolutions": lambda: regression(Decoder(), (4, 3, 3), (1, 6, 6)),
    "transformer layer": lambda: classifier(Attentive(), 4, 8),
    "recurrent": lambda: classifier(Recurrent(), 4, 3),
    "weight norm": lambda: regression(
        nn.Sequential(parametrizations.weight_norm(nn.Linear(4, 6)), nn.Tanh(), nn.Linear(6, 2)),
        (4,),
        (2,),
    ),
    "spectral norm": lambda: classifier(parametrizations.spectral_norm(nn.Linear(6, 3)), 6),
    "orthogonal": lambda: classifier(parametrizations.orthogonal(nn.Linear(6, 3)), 6),
    "pruned": lambda: classifier(masked(), 6),
    "embedding": tokens,
    "segmentation, weighted, ignored": segmentation,
    "regression with one output": lambda: regression(nn.Linear(5, 1), (5,), (1,)),
    "perceptron": lambda: classifier(models.mlp((6, 8, 3), norm="layer"), 6),
    "residual network": lambda: classifier(models.resnet(8), 1, 8, 8, classes=10),
    "transformer": lambda: classifier(
        models.transformer(16, patch=4, width=8, heads=2, depth=1), 16, classes=10
    ),
}
POINTS = ((-0.5, 0.5), (-1, 0.25))


def made(name: str, dtype: torch.dtype = torch.float32) -> Made:
    """The network, its loss and its data, the same ones at every call."""
    torch.manual_seed(3)
    model, rule, data = NETWORKS[name]()
    x, y = (t.to(dtype) if t.is_floating_point() else t for t in data)
    return model.to(dtype), rule.to(dtype), (x, y)


def loss_by_hand(name: str, objective: td.Objective, theta: Tensor, dtype: torch.dtype) -> float:
    """The loss of a second network in evaluation mode, whose own parameters are set to `theta`."""
    twin, rule, (x, y) = made(name, dtype)
    parameters = dict(twin.eval().named_parameters())
    with torch.no_grad():
        for parameter, value in objective.space.views(theta).items():
            parameters[parameter].copy_(value)
        outputs = twin(x)
        return float(rule(outputs if dtype == torch.float64 else outputs.float(), y))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_plane_is_the_loss_of_moved_copies(name):
    # kills: training mode, a tensor left behind, tied weights, statistics that drift over points
    model, rule, data = made(name, torch.float64)
    objective = td.Objective(model, rule, data, batch_size=5)
    directions = td.random_directions(objective, seed=1)
    surface = td.plane(objective, directions, span=POINTS, steps=(3, 2))
    for i, a in enumerate(surface.alpha.values):
        for j, b in enumerate(surface.beta.values):
            theta = objective.start + float(a) * directions[0] + float(b) * directions[1]
            expected = loss_by_hand(name, objective, theta, torch.float64)
            assert float(surface.loss[i, j]) == pytest.approx(expected, rel=1e-10), (i, j)
    assert len(set(surface.loss.values.flat)) == 6


@pytest.mark.parametrize("name", ["batch norm", "recurrent", "transformer", "embedding"])
def test_single_precision_reproduces_the_models_own_loss(name):
    model, rule, data = made(name)
    objective = td.Objective(model, rule, data, batch_size=5)
    surface = td.plane(objective, td.random_directions(objective), steps=(3, 3))
    own = loss_by_hand(name, objective, objective.start, torch.float32)
    assert float(surface.loss[1, 1]) == pytest.approx(own, rel=1e-6)
    assert float(surface.loss[1, 1]) == float(objective.value())


@pytest.mark.parametrize("name", ["batch norm", "perceptron", "embedding"])
def test_half_precision_models_run_at_every_point_and_not_only_at_the_first(name):
    # kills: casts that are made once; points kept in sixteen bits
    model, rule, data = made(name)
    objective = td.Objective(model, rule, data, dtype=torch.bfloat16)
    assert objective.start.dtype == torch.float32
    directions = td.random_directions(objective)
    surface = td.plane(objective, directions, span=((-1, 1), (-1, 1)), steps=(3, 3))
    for i, a in enumerate((-1.0, 0.0, 1.0)):
        theta = objective.start + a * directions[0] - directions[1]
        expected = loss_by_hand(name, objective, theta, torch.bfloat16)
        assert float(surface.loss[i, 0]) == pytest.approx(expected, rel=1e-5)
    wide = td.plane(td.Objective(model, rule, data), directions, steps=(3, 3))
    np.testing.assert_allclose(surface.loss, wide.loss, rtol=0.1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_theta_may_be_given_in_another_precision(dtype):
    objective = td.Objective(*made("perceptron"))
    theta = (1.3 * objective.start).to(dtype)
    surface = td.plane(objective, td.random_directions(objective), theta=theta, steps=(3, 3))
    assert float(surface.loss[1, 1]) == float(objective.value(theta))
    assert surface.attrs["start_loss"] == float(objective.value(theta))
    assert surface.attrs["theta_norm"] == pytest.approx(float(theta.double().norm()), rel=1e-12)
