"""Perceptrons and convolutional networks against their formulas."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from theodolite.errors import InvalidArgument
from theodolite.models import cnn, mlp

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh, "gelu": functional.gelu}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_mlp_is_a_chain_of_matrices_and_activations(activation: str) -> None:
    # kills: an activation after the last layer, another activation
    net = mlp((6, 5, 4, 3), activation=activation).double()
    x = torch.randn(7, 2, 3, dtype=torch.float64)
    h = x.flatten(1)
    layers = [m for m in net if isinstance(m, nn.Linear)]
    for layer in layers[:-1]:
        h = ACTIVATIONS[activation](h @ layer.weight.T + layer.bias)
    expected = h @ layers[-1].weight.T + layers[-1].bias
    assert torch.allclose(net(x), expected, rtol=1e-12)


@pytest.mark.parametrize(("norm", "kind"), [("batch", nn.BatchNorm1d), ("layer", nn.LayerNorm)])
def test_norms_stand_between_matrix_and_activation(norm: str, kind: type[nn.Module]) -> None:
    # kills: a norm on the outputs, or after the activation
    names = [type(m) for m in mlp((6, 5, 4, 3), norm=norm)]
    hidden = [nn.Linear, kind, nn.ReLU]
    assert names == [nn.Flatten, *hidden, *hidden, nn.Linear]


@pytest.mark.parametrize(
    ("activation", "variance"), [("relu", 2 / 400), ("gelu", 2 / 400), ("tanh", 2 / 900)]
)
def test_weights_start_with_the_variance_of_he_or_glorot(activation: str, variance: float) -> None:
    # kills: PyTorch's default (a sixth), fan_out for fan_in
    torch.manual_seed(0)
    weight = mlp((400, 500, 1), activation=activation)[1].weight.detach().double()
    squares = weight.square().flatten()
    error = float(squares.std()) / len(squares) ** 0.5
    assert abs(float(squares.mean()) - variance) < 4 * error


def test_cnn_is_convolution_activation_pooling_and_a_mean() -> None:
    # kills: pooling before the activation's layer, a bias lost, flattening instead of the mean
    net = cnn((3, 4), batch_norm=False, channels=2, classes=5).double()
    x = torch.randn(2, 2, 9, 8, dtype=torch.float64)
    h = x
    for layer in [m for m in net if isinstance(m, nn.Conv2d)]:
        h = functional.max_pool2d(
            functional.conv2d(h, layer.weight, layer.bias, padding=1).clamp(min=0), 2
        )
    expected = functional.linear(h.mean((2, 3)), net[-1].weight, net[-1].bias)
    assert torch.allclose(net(x), expected, rtol=1e-12)


def test_batch_norm_replaces_the_bias_of_a_convolution() -> None:
    # kills: a bias beside a norm, which the norm cancels
    net = cnn((3, 4))
    assert all(m.bias is None for m in net if isinstance(m, nn.Conv2d))
    assert sum(isinstance(m, nn.BatchNorm2d) for m in net) == 2


def test_what_cannot_be_built_is_refused() -> None:
    for sizes in ((3,), (3, 0)):
        with pytest.raises(InvalidArgument, match="sizes must be two or more positive widths"):
            mlp(sizes)
    with pytest.raises(InvalidArgument, match="activation must be one of relu, tanh, gelu; got"):
        mlp((3, 2), activation="swish")
    with pytest.raises(InvalidArgument, match="norm must be 'batch', 'layer' or None; got 'x'"):
        mlp((3, 2, 1), norm="x")
    with pytest.raises(InvalidArgument, match="widths must be one or more"):
        cnn(())
    with pytest.raises(InvalidArgument, match="classes must be at least 1; got 0"):
        cnn(classes=0)
