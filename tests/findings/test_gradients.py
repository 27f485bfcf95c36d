"""Correlation and predictiveness of gradients.

Oracles: linear functions, alternating and white-noise gradients, quadratics with known gradients.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from theodolite.errors import InvalidArgument
from theodolite.findings.deep_perceptrons import deep_perceptron
from theodolite.findings.gradients import (
    gradient_predictiveness,
    input_gradients,
    neighbor_correlation,
)
from theodolite.objective import Objective

GRID = torch.linspace(-2, 2, 64, dtype=torch.float64)[:, None]


def test_a_linear_function_has_correlation_one() -> None:
    # kills: the mean subtracted (0 / 0), the lag forgotten.
    linear = nn.Linear(1, 1).double()
    assert neighbor_correlation(input_gradients(linear, GRID)) == pytest.approx(1.0, abs=1e-12)


def test_white_noise_has_correlation_zero() -> None:
    # kills: lag 0 in place of lag 1, absolute values. Standard error 1 / sqrt(n).
    noise = np.random.default_rng(0).normal(size=10_000)
    assert abs(neighbor_correlation(noise)) < 4 / 100


def test_known_sequences() -> None:
    # kills: a normalization by one of the two sums alone, a lag of two.
    assert neighbor_correlation(np.array([1.0, -1, 1, -1])) == pytest.approx(-1.0)
    assert neighbor_correlation(np.array([3.0, 4.0, 0.0])) == pytest.approx(12 / (5 * 4))
    walk = np.array([1.0, 1, -1, -1, 1, 1, -1, -1, 1])
    assert neighbor_correlation(walk) == pytest.approx(0.0)


def test_the_correlation_has_no_scale() -> None:
    # kills: squares that overflow: gradients grow as 2 ** depth without norm.
    g = np.array([3.0, 4.0, 0.0, -1.0])
    for factor in (1e200, 1e-200):
        assert neighbor_correlation(factor * g) == pytest.approx(neighbor_correlation(g))
    assert neighbor_correlation(np.zeros(5)) == 0.0


def test_too_few_positions_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="E-F32"):
        neighbor_correlation(np.array([1.0]))


@pytest.mark.parametrize("design", ["plain", "residual, norm"])
def test_input_gradients_are_derivatives_of_a_function(design: str) -> None:
    # Oracle: central differences of the network with the statistics of the grid, by hand.
    # kills: batch statistics inside the derivative, the default averaging of statistics, grid
    # statistics left out.
    torch.manual_seed(0)
    network = deep_perceptron(design, inputs=1, width=12, depth=4, outputs=1).double()
    nn.init.normal_(network.stem.bias)
    kept = copy.deepcopy(network.state_dict())
    found = input_gradients(network, GRID)
    twin = copy.deepcopy(network)
    for norm in twin.norms:
        norm.momentum = 1.0
    twin.train()(GRID)
    twin.eval()
    step = 1e-6
    expected = (twin(GRID + step) - twin(GRID - step))[:, 0].detach().numpy() / (2 * step)
    smooth = np.isclose(found, expected, rtol=1e-5, atol=1e-6)
    assert smooth.mean() > 0.97  # a kink may lie within a step of a grid point
    assert all(torch.equal(kept[k], v) for k, v in network.state_dict().items())
    assert network.training


def quadratic(scales: list[float]) -> Objective:
    """The mean over examples of (s_i * theta_i)^2 / k: gradient 2 s_i^2 theta_i / k."""
    x = torch.diag(torch.tensor(scales, dtype=torch.float64))
    model = nn.Linear(len(scales), 1, bias=False, dtype=torch.float64)
    return Objective(model, nn.MSELoss(), (x, torch.zeros(len(scales), 1, dtype=torch.float64)))


def test_predictiveness_of_quadratics() -> None:
    # On a sphere the gradient keeps its line: cosine 1 before the minimum, -1 beyond it.
    # kills: a step up the gradient, the gradient compared with the step, a missing mean.
    sphere, theta = quadratic([1.0, 1.0]), torch.tensor([0.3, -0.4], dtype=torch.float64)
    assert gradient_predictiveness(sphere, theta=theta, rates=(0.1, 0.9)) == pytest.approx(1.0)
    assert gradient_predictiveness(sphere, theta=theta, rates=(1.5,)) == pytest.approx(-1.0)
    assert gradient_predictiveness(sphere, theta=theta, rates=(0.5, 1.5)) == pytest.approx(0.0)
    narrow = quadratic([1.0, 3.0])
    g = np.array([1.0, 9.0]) * theta.numpy()
    after = np.array([1.0, 9.0]) * (theta.numpy() - 0.2 * g)
    cosine = g @ after / np.linalg.norm(g) / np.linalg.norm(after)
    found = gradient_predictiveness(narrow, theta=theta, rates=(0.2,))
    assert found == pytest.approx(cosine, rel=1e-9)


def test_a_step_that_explodes_predicts_nothing() -> None:
    # kills: an infinite gradient that raises or counts as NaN.
    steep = quadratic([1e100, 1e100])
    theta = torch.ones(2, dtype=torch.float64)
    assert gradient_predictiveness(steep, theta=theta, rates=(0.1,)) == 0.0
    assert gradient_predictiveness(quadratic([1.0]), theta=torch.zeros(1).double()) == 0.0
