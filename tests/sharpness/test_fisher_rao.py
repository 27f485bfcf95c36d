"""The Fisher-Rao norm against closed forms and Liang's identity."""

from __future__ import annotations

import math

import pytest
import torch

import theodolite as td
from sharpness.bowls import classifier, regression
from theodolite.errors import InvalidArgument
from theodolite.sharpness import fisher_rao_norm


@pytest.mark.parametrize("matrix", ["fisher", "ggn"])
def test_for_linear_regression_it_is_the_norm_of_the_outputs(matrix: str) -> None:
    # kills: the start in place of theta, the square in place of the norm.
    objective, x, _ = regression()
    w = 2 * objective.start
    squared = 2 * float((x @ w).square().mean())
    found = fisher_rao_norm(objective, theta=w, matrix=matrix)
    assert float(found.squared) == pytest.approx(squared, rel=1e-10)
    assert float(found.fisher_rao_norm) == pytest.approx(math.sqrt(squared), rel=1e-10)


def test_the_empirical_one_is_the_mean_of_squared_slopes_along_theta() -> None:
    # kills: another matrix under this name. Oracle: (L + 1)^2 E <dl/df, f>^2 for one layer.
    objective, x, y = regression()
    out = x @ objective.start
    exact = float((2 * (out - y[:, 0]) * out).square().mean())
    found = fisher_rao_norm(objective, matrix="empirical")
    assert float(found.squared) == pytest.approx(exact, rel=1e-10)


def test_a_deep_network_without_biases_obeys_liangs_identity() -> None:
    # kills: a product with some parameters only, the matrix at another point.
    # Oracle: theta' J f = (L + 1) f for L hidden rectified layers, so the norm squared is
    # (L + 1)^2 times the mean of f' (loss's Hessian) f.
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(9, 4, generator=generator, dtype=torch.float64)
    y = torch.randn(9, 2, generator=generator, dtype=torch.float64)
    layers = [torch.nn.Linear(4, 6, bias=False), torch.nn.ReLU(), torch.nn.Linear(6, 2, bias=False)]
    model = torch.nn.Sequential(*layers).double()
    objective = td.Objective(model, torch.nn.MSELoss(), (x, y))
    exact = 4 * float(model(x).detach().square().mean()) * 2
    assert float(fisher_rao_norm(objective).squared) == pytest.approx(exact, rel=1e-9)
    # twice the weights of both layers make four times the outputs
    found = fisher_rao_norm(objective, theta=2 * objective.start)
    assert float(found.squared) == pytest.approx(16 * exact, rel=1e-9)


def test_bad_arguments_are_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match="matrix must be one of 'fisher', 'ggn', 'empirical'"):
        fisher_rao_norm(classifier(), matrix="hessian")
