"""Rescaled layers: the same losses elsewhere, and a refusal where there is no such place."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

import theodolite as td
from sharpness.bowls import classifier, regression
from theodolite.errors import InvalidArgument
from theodolite.sharpness import layer_rescaling


def images(model: nn.Module) -> td.Objective:
    """Random images under a network, in its evaluation mode."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(6, 1, 6, 6, generator=generator, dtype=torch.float64)
    y = torch.randint(3, (6,), generator=generator)
    return td.Objective(model.double(), nn.CrossEntropyLoss(), (x, y))


def convolutional(between: Callable[[], nn.Module]) -> nn.Module:
    """Two convolutions and a linear layer."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1),
            between(),
            nn.Conv2d(3, 2, 3),
            nn.Tanh(),
            nn.Flatten(),
            nn.Dropout(0.5),
            nn.LazyLinear(3),
        )


def test_the_first_layer_grows_and_the_second_shrinks() -> None:
    # kills: the factor on both, the first bias left, the second bias shrunk.
    objective = classifier()
    made = objective.space.views(layer_rescaling(objective, factor=10))
    held = objective.space.views(objective.start)
    for name, times in (("0.weight", 10), ("0.bias", 10), ("2.weight", 0.1), ("2.bias", 1)):
        assert torch.allclose(made[name], times * held[name], rtol=1e-15), name


def test_losses_stay_and_the_largest_curvature_does_not() -> None:
    # kills: a point that is another network.
    objective = classifier()
    made = layer_rescaling(objective, factor=10)
    assert torch.allclose(objective.losses(made), objective.losses(), rtol=1e-11)
    before, after = (
        float(td.largest_curvature(objective, theta=t).largest_curvature)
        for t in (objective.start, made)
    )
    assert after > 10 * before


@pytest.mark.parametrize(
    "between",
    [
        nn.ReLU,
        lambda: nn.LeakyReLU(0.2),
        lambda: nn.Sequential(nn.MaxPool2d(2, 1), nn.ReLU()),
        lambda: nn.AvgPool2d(2, 1),
    ],
    ids=["ReLU", "leaky ReLU", "max pooling", "mean pooling"],
)
def test_homogeneous_functions_are_passed(between: Callable[[], nn.Module]) -> None:
    model = convolutional(between)
    model(torch.zeros(1, 1, 6, 6))
    objective = images(model)
    made = layer_rescaling(objective, factor=0.25)
    held = objective.space.views(made)
    assert torch.allclose(
        held["0.weight"], 0.25 * objective.space.views(objective.start)["0.weight"]
    )
    assert torch.allclose(objective.losses(made), objective.losses(), rtol=1e-11)


def test_single_precision_is_enough() -> None:
    # kills: a tolerance below the rounding of float32.
    wide = classifier(hidden=40)
    (batch,) = wide.data
    data = (batch.raw[0].float(), batch.raw[1])
    objective = td.Objective(wide.model.float(), nn.CrossEntropyLoss(), data)
    made = layer_rescaling(objective, factor=3)
    assert made.dtype == torch.float32
    assert not torch.equal(objective.losses(made), objective.losses())  # equal but for rounding


@pytest.mark.parametrize("between", [nn.Tanh, nn.GELU, lambda: nn.BatchNorm2d(3), nn.Softplus])
def test_what_is_not_homogeneous_is_refused(between: Callable[[], nn.Module]) -> None:
    # kills: layers rescaled without a look at the losses.
    model = convolutional(between)
    model(torch.zeros(2, 1, 6, 6))
    with pytest.raises(InvalidArgument, match="no two neighboring layers can be rescaled"):
        layer_rescaling(images(model.eval()), factor=2)


def test_a_layer_that_does_not_matter_is_no_example() -> None:
    # kills: dead layers passed off as rescaled.
    dead = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 1)).double()
    with torch.no_grad():
        dead[0].weight.zero_()
        dead[0].bias.fill_(-1)
    data = (torch.ones(3, 4, dtype=torch.float64), torch.ones(3, 1, dtype=torch.float64))
    with pytest.raises(InvalidArgument, match="no two neighboring layers"):
        layer_rescaling(td.Objective(dead, nn.MSELoss(), data), factor=2)


def test_bad_arguments_are_refused_by_name() -> None:
    objective = classifier()
    for factor in (0.0, -2.0, 1, float("inf")):
        with pytest.raises(InvalidArgument, match="factor must be positive, finite and not 1"):
            layer_rescaling(objective, factor=factor)
    with pytest.raises(InvalidArgument, match=r"layers must name two linear .* got 'head'"):
        layer_rescaling(objective, factor=2, layers=("0", "head"))
    with pytest.raises(InvalidArgument, match="'2', '0' can be rescaled"):
        layer_rescaling(objective, factor=2, layers=("2", "0"))
    with pytest.raises(InvalidArgument, match="no two neighboring layers"):
        layer_rescaling(regression()[0], factor=2)
