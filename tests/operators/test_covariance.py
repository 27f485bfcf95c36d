"""The covariance of gradients. Oracle: gradients one by one, and ``torch.cov``."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from operators.dense import dense_empirical_fisher
from theodolite.errors import InvalidArgument
from theodolite.testing.objectives import CASES

N = 7


def data() -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(0)
    return torch.randn(N, 3, dtype=torch.float64, generator=g), torch.arange(N) % 2


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()


def slopes(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    rows = []
    for k in range(len(x)):
        loss = nn.functional.cross_entropy(model(x[k : k + 1]), y[k : k + 1])
        rows.append(
            torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, model.parameters())])
        )
    return torch.stack(rows)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_it_is_the_unbiased_covariance_of_the_gradients(reduction):
    # kills: 1/N for 1/(N-1), the mean left in, the sum's scale left in
    model, (x, y) = network(), data()
    loss = nn.CrossEntropyLoss(reduction=reduction)
    objective = td.Objective(model, loss, (x, y), batch_size=4)
    found = td.gradient_covariance(objective)
    expected = torch.cov(slopes(model, x, y).T)
    torch.testing.assert_close(found.dense(), expected, rtol=0, atol=1e-13)
    v = torch.randn(found.size, dtype=torch.float64)
    torch.testing.assert_close(found.matvec(v), expected @ v, rtol=0, atol=1e-12)


def test_gradients_of_batches_vary_as_it_says():
    # kills: a covariance of the mean in place of that of one example. All batches of two
    model, (x, y) = network(), data()
    each = slopes(model, x, y)
    pairs = torch.combinations(torch.arange(N), 2)
    means = each[pairs].mean(1) - each.mean(0)
    exact = means.T @ means / len(pairs)
    sigma = td.gradient_covariance(td.Objective(model, nn.CrossEntropyLoss(), (x, y))).dense()
    torch.testing.assert_close(exact, sigma / 2 * (1 - 2 / N), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["class weights", "ignored labels"])
def test_weights(name):
    # kills: weights taken for equal
    case = CASES[name]
    objective = case.objective()
    weights = objective.start_pass.weights
    p = weights / weights.sum()
    g = objective.gradient()
    expected = (dense_empirical_fisher(case) - torch.outer(g, g)) / (1 - float(p.square().sum()))
    found = td.gradient_covariance(objective)
    torch.testing.assert_close(found.dense(), expected, rtol=0, atol=1e-12)


def test_at_another_point_and_of_one_example():
    model, (x, y) = network(), data()
    objective = td.Objective(model, nn.CrossEntropyLoss(), (x, y))
    theta = objective.start * 1.5
    moved = network()
    nn.utils.vector_to_parameters(theta, moved.parameters())
    found = td.gradient_covariance(objective, theta).dense()
    torch.testing.assert_close(found, torch.cov(slopes(moved, x, y).T), rtol=0, atol=1e-13)
    one = td.Objective(model, nn.CrossEntropyLoss(), (x[:1], y[:1]))
    with pytest.raises(InvalidArgument, match="only one counts"):
        td.gradient_covariance(one)
