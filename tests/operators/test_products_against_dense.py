"""Hessian and Gauss-Newton products of every case of the table against dense autograd.

Oracle: `dense.py`, which knows neither batches nor weights, and closed forms.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from operators.dense import dense_empirical_fisher, dense_ggn, dense_hessian
from theodolite.testing.objectives import CASES, EXAMPLES, SPLITS


def close(a: Tensor, b: Tensor) -> bool:
    return float((a - b).abs().max()) <= 1e-10 * max(1.0, float(b.abs().max()))


@pytest.mark.parametrize("name", CASES)
def test_hessian_of_every_case(name):
    # kills: each batch divided by its own size; class weights or ignored labels left out of the
    # weight; "sum" treated as "mean"; a tied parameter counted once in the gradient and twice here
    operator = td.hessian(CASES[name].objective())
    assert close(operator.dense(), dense_hessian(CASES[name]))
    assert operator.facts["verification"] == "agrees"


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:the Gauss-Newton product is zero")
def test_ggn_of_every_case(name):
    # kills: the loss's curvature without its weights; J of another output; the transposed order
    operator = td.ggn(CASES[name].objective(), verify=False)
    assert close(operator.dense(), dense_ggn(CASES[name]))


@pytest.mark.parametrize("name", CASES)
def test_empirical_fisher_of_every_case(name):
    # kills: the square of a batch's gradient; weights squared or left out; a mean taken for a sum
    operator = td.empirical_fisher(CASES[name].objective(), verify=False)
    assert close(operator.dense(), dense_empirical_fisher(CASES[name]))


def _design(*, bias: bool = False) -> Tensor:
    x = CASES["linear"].inputs()
    return torch.cat([x, torch.ones(len(x), 1)], 1) if bias else x


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
def test_linear_regression(split):
    # kills: a mean of batch means (wrong on 11 + 1 and 5 + 4 + 3)
    x = _design()
    y = torch.randn(EXAMPLES, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    model = nn.Linear(x.shape[1], 1, bias=False).double()
    data = list(zip(x.split(list(split)), y.split(list(split)), strict=True))
    objective = td.Objective(model, nn.MSELoss(), data)
    expected = 2 * x.T @ x / EXAMPLES
    assert close(td.hessian(objective).dense(), expected)
    assert close(td.ggn(objective).dense(), expected)


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
def test_logistic_regression(split):
    x = _design(bias=True)
    y = (x[:, :1] > 0).double()
    model = nn.Linear(x.shape[1], 1, bias=False).double()
    data = list(zip(x.split(list(split)), y.split(list(split)), strict=True))
    objective = td.Objective(model, nn.BCEWithLogitsLoss(), data)
    p = torch.sigmoid(x @ model.weight.detach().T)
    expected = (x * p * (1 - p)).T @ x / EXAMPLES
    assert close(td.hessian(objective).dense(), expected)
    assert close(td.ggn(objective).dense(), expected)


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
def test_softmax_regression_with_class_weights(split):
    # kills: weights normalized within a batch instead of over the data
    x, y = _design(), CASES["linear"].targets()
    weight = torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64)
    model = nn.Linear(x.shape[1], 3, bias=False).double()
    data = list(zip(x.split(list(split)), y.split(list(split)), strict=True))
    objective = td.Objective(model, nn.CrossEntropyLoss(weight=weight), data)
    p = torch.softmax(x @ model.weight.detach().T, 1)
    w = weight[y] / weight[y].sum()
    curved = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    expected = torch.einsum("n,nab,ni,nj->aibj", w, curved, x, x).reshape(15, 15)
    assert close(td.hessian(objective).dense(), expected)
    assert close(td.ggn(objective).dense(), expected)


def test_ggn_is_positive_semidefinite_where_the_hessian_is_not():
    # kills: the model's own curvature let in
    objective = CASES["cross entropy"].objective()
    assert float(torch.linalg.eigvalsh(td.hessian(objective).dense())[0]) < -1e-3
    assert float(torch.linalg.eigvalsh(td.ggn(objective).dense())[0]) > -1e-12


def test_ggn_equals_the_hessian_of_a_model_linear_in_its_parameters():
    objective = CASES["linear"].objective()
    assert close(td.ggn(objective).dense(), td.hessian(objective).dense())


def test_a_point_away_from_the_start():
    # kills: the model's own parameters used where theta is asked for, also when a checkpointed
    # block runs again in the backward pass
    for name in ("cross entropy", "checkpointed", "tied language model"):
        objective = CASES[name].objective()
        theta = objective.start + 0.3
        moved = CASES[name].network()
        with torch.no_grad():
            for parameter_name, view in objective.space.views(theta).items():
                moved.get_parameter(parameter_name).copy_(view)
        there = td.Objective(moved, CASES[name].loss(), CASES[name].data())
        assert close(td.hessian(objective, theta).dense(), td.hessian(there).dense())
        assert not close(td.hessian(objective, theta).dense(), td.hessian(objective).dense())
        assert torch.allclose(objective.gradient(theta), there.gradient(), atol=1e-13)
