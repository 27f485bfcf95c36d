"""The certificate as a result: its schema, its repeatability, and what it can be asked about.

Oracle: the schema every report reads, and objectives whose answer is known.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import theodolite as td
from faults.state import caller_state, differences
from theodolite.certificates.state import caller_state as own_state
from theodolite.certificates.state import changes
from theodolite.errors import InvalidArgument
from theodolite.plots import certificate_rows
from theodolite.testing.objectives import CASES


def test_every_check_has_a_figure_a_bound_and_an_answer():
    certificate = td.certify(CASES["cross entropy"].objective())
    assert certificate.attrs["quantity"] == "certificate"
    assert certificate.sizes["check"] == 10
    assert len(set(certificate["check"].values)) == 10
    held = (certificate.figure <= certificate.bound).values
    assert (certificate.passed.values == held).all()
    assert certificate.attrs["verdict"] == "certified"
    assert certificate.attrs["reason"] == ""
    assert certificate.attrs["engine"] == "kept"
    assert len(certificate_rows(certificate)) == 10


def test_the_same_seed_gives_the_same_bits_and_another_one_others():
    # kills: a figure that depends on a clock or on the global generator
    objective = CASES["layer norm"].objective()
    first = td.certify(objective)
    torch.rand(7)
    assert first.identical(td.certify(objective))
    other = td.certify(objective, seed=1)
    assert other.attrs["verdict"] == "certified"
    assert (other.figure != first.figure).any()


def test_the_caller_is_untouched():
    objective = CASES["convolution with batch norm"].objective()
    objective.model.train()
    before = caller_state(objective.model)
    td.certify(objective)
    assert differences(before, caller_state(objective.model)) == []


def test_its_own_digest_sees_what_it_is_there_to_see():
    # kills: a digest that leaves something out
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    before = own_state(model)
    assert changes(before, own_state(model)) == []
    model.eval()
    assert changes(before, own_state(model)) == ["module ", "module 0", "module 1"]
    model.train()
    with torch.no_grad():
        model[1].running_mean += 1
    assert "tensor 1.running_mean" in changes(before, own_state(model))
    model[1].running_mean.zero_()
    model[0].weight.grad = torch.zeros(2, 2)
    assert changes(before, own_state(model)) == ["tensor 0.weight"]
    model[0].weight.grad = None
    torch.rand(1)
    assert changes(before, own_state(model)) == ["torch generator"]


def test_another_point():
    # kills: the start used whatever theta says
    objective = CASES["cross entropy"].objective()
    there = objective.start + 0.2
    certificate = td.certify(objective, theta=there)
    assert certificate.attrs["verdict"] == "certified"
    assert certificate.attrs["theta_norm"] == pytest.approx(float(there.norm()))
    with pytest.raises(InvalidArgument, match="shape"):
        td.certify(objective, theta=there[:-1])


def test_a_stationary_point_of_a_quadratic():
    # kills: figures relative to a gradient that is zero
    torch.manual_seed(0)
    x, w = torch.randn(30, 4, dtype=torch.float64), torch.randn(4, 1, dtype=torch.float64)
    model = nn.Linear(4, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(w.T)
    certificate = td.certify(td.Objective(model, nn.MSELoss(), (x, x @ w)))
    assert certificate.attrs["verdict"] == "certified", certificate.attrs["reason"]


class Saw(nn.Module):
    """A slope of one with a kink every ``1 / density``: as close as in a deep ReLU network."""

    def __init__(self, density: float) -> None:
        super().__init__()
        self.density = density

    def forward(self, x):
        return x + ((self.density * x).remainder(2) - 1).abs() / self.density


@pytest.mark.parametrize("density", [1e3, 1e5])
def test_kinks_everywhere_are_not_wrong_derivatives(density):
    # kills: differences of the loss, of gradients or along a Ritz vector that end at steps which
    # still cross kinks: right derivatives would be called wrong
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), Saw(density), nn.Linear(16, 1))
    data = torch.randn(40, 4), torch.randn(40, 1)
    certificate = td.certify(td.Objective(model, nn.MSELoss(), data, dtype=torch.float64))
    assert certificate.attrs["verdict"] == "non-smooth", certificate.attrs["reason"]
    held = dict(zip(certificate.check.values, certificate.passed.values, strict=True))
    assert held["gradient agrees with differences of the loss"]
    assert held["residual of a Ritz pair agrees with differences"]
    assert not held["trace over a random subspace agrees with the loss"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_narrow_objectives_are_checked_in_float64(dtype):
    case = CASES["layer norm"]
    objective = td.Objective(case.network(), case.loss(), case.data(), dtype=dtype)
    certificate = td.certify(objective)
    assert certificate.attrs["verdict"] == "certified", certificate.attrs["reason"]
    assert certificate.attrs["precision"] == "float64"
    name = f"product in {str(dtype)[6:]} agrees with float64"
    assert 0 < float(certificate.figure.sel(check=name)) < float(certificate.bound.sel(check=name))


def test_an_operation_without_double_backward_is_certified_by_differences():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.Hardsigmoid(), nn.Linear(4, 3)).double()
    objective = td.Objective(model, nn.CrossEntropyLoss(), CASES["cross entropy"].data())
    certificate = td.certify(objective)
    assert certificate.attrs["engine"] == "differences"
    assert certificate.attrs["verdict"] in ("certified", "non-smooth")


def test_kinks_exactly_at_the_point():
    # kills: a subgradient taken for a wrong derivative
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4, bias=False), nn.ReLU(), nn.Linear(4, 3)).double()
    x, y = CASES["cross entropy"].inputs(), CASES["cross entropy"].targets()
    with torch.no_grad():
        model[0].weight[:, 0] = 0  # the first example reads that column only
        x[0, 1:] = 0
    certificate = td.certify(td.Objective(model, nn.CrossEntropyLoss(), (x, y)))
    assert certificate.attrs["verdict"] == "non-smooth"
    assert certificate.attrs["reason"]


def test_batch_statistics_and_losses_by_batch():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 3)).double()
    data = CASES["cross entropy"].data()
    trained = td.Objective(model, nn.CrossEntropyLoss(), data, mode="train")
    assert td.certify(trained).attrs["verdict"] == "certified"
    hidden = td.Objective.from_batch_loss(
        model, lambda m, b: nn.functional.cross_entropy(m(b[0]), b[1]), data
    )
    assert td.certify(hidden).attrs["verdict"] == "certified"


def test_what_cannot_be_differentiated_is_uncertified_with_the_reason():
    case = CASES["convolution with batch norm"]
    objective = td.Objective(case.network(), case.loss(), case.data(), batch_norm="recompute")
    certificate = td.certify(objective)
    assert certificate.attrs["verdict"] == "uncertified"
    assert "[E-O50]" in certificate.attrs["reason"]
    assert math.isnan(float(certificate.figure[0]))
    assert not bool(certificate.passed[0])
