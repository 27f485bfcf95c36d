"""What the empirical Fisher matrix is and is not. Oracle: closed forms, gradients one by one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from theodolite.errors import UnsupportedModel
from theodolite.testing.objectives import CASES

X = torch.tensor([[1.0, 0.0, 2.0], [0.0, 2.0, 1.0], [1.0, 1.0, 0.0]], dtype=torch.float64)
Y = torch.tensor([[1.0], [-1.0], [0.5]], dtype=torch.float64)


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(3, 1, bias=False).double()


def test_linear_regression_and_its_trace():
    # kills: residuals left out (the GGN), or squared twice
    objective = td.Objective(linear(), nn.MSELoss(), (X, Y))
    residual = (X @ objective.start[:, None] - Y).squeeze(1)
    slopes = 2 * residual[:, None] * X
    found = td.empirical_fisher(objective)
    torch.testing.assert_close(found.dense(), slopes.T @ slopes / 3, rtol=0, atol=1e-14)
    trace = float(slopes.square().sum(1).mean())
    assert float(found.dense().trace()) == pytest.approx(trace, rel=1e-12)


def test_it_vanishes_at_a_perfect_fit_where_the_ggn_does_not():
    model = linear()
    objective = td.Objective(model, nn.MSELoss(), (X, X @ model.weight.detach().T))
    assert float(td.empirical_fisher(objective).dense().abs().max()) < 1e-28
    assert float(td.ggn(objective).dense().trace()) > 1


def test_drawn_labels_make_it_the_ggn():
    # the Fisher matrix of a softmax is the GGN, and the mean over labels drawn from the model
    # kills: a factor of two, a missing mean
    torch.manual_seed(0)
    model, x = nn.Linear(3, 4).double(), torch.randn(5, 3, dtype=torch.float64)
    p = model(x).softmax(1).detach()
    exact = td.ggn(td.Objective(model, nn.CrossEntropyLoss(), (x, p.argmax(1)))).dense()
    mean = torch.zeros_like(exact)
    for label in range(4):  # every label, weighed by its probability, in place of draws
        labels = torch.full((5,), label)

        def loss(outputs: Tensor, targets: Tensor) -> Tensor:
            return nn.functional.cross_entropy(outputs, targets, reduction="none")

        for k in range(5):
            one = td.Objective(model, loss, (x[k : k + 1], labels[k : k + 1]))
            mean += p[k, label] * td.empirical_fisher(one, verify=False).dense() / 5
    torch.testing.assert_close(mean, exact, rtol=0, atol=1e-13)


def test_losses_given_by_batch_serve_where_there_is_one_an_example():
    model = linear()

    def by_example(model: nn.Module, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        losses = (model(batch[0]) - batch[1]).square().squeeze(1)
        return losses, torch.ones_like(losses)

    batches = [(X[:2], Y[:2]), (X[2:], Y[2:])]
    given = td.Objective.from_batch_loss(model, by_example, batches)
    plain = td.Objective(model, nn.MSELoss(), (X, Y))
    a, b = (td.empirical_fisher(o).dense() for o in (given, plain))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-14)


def test_one_mean_for_a_whole_batch_is_refused():
    # kills: the square of a mean gradient passed off as the mean of squares
    def mean(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return (model(batch[0]) - batch[1]).square().mean()

    objective = td.Objective.from_batch_loss(linear(), mean, [(X, Y)])
    with pytest.raises(UnsupportedModel, match="3 examples and 1 losses") as error:
        td.empirical_fisher(objective).matvec(objective.start)
    assert error.value.code == "E-D22"


def test_the_spectrum_and_the_trace_take_it():
    objective = CASES["convolution with batch norm"].objective()
    found = td.empirical_fisher(objective)
    top = td.eigenpairs(found, count=2).eigenvalue.values
    dense = torch.linalg.eigvalsh(found.dense()).flip(0)
    assert top.tolist() == pytest.approx(dense[:2].tolist(), rel=1e-6)
    assert float(dense.min()) > -1e-12
    made = td.trace(found, max_products=64)
    assert abs(float(made.trace) - float(dense.sum())) < 5 * float(made.standard_error)
