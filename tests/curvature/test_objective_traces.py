"""Traces by way of the outputs. Oracle: the dense Hessian of small networks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import t
from torch import Tensor, nn

import theodolite as td
from theodolite.curvature import objective_traces
from theodolite.errors import InvalidArgument


def problem(activation: nn.Module, steps: int = 0, examples: int = 120) -> td.Objective:
    """A small classifier, trained for some steps, in float64."""
    torch.manual_seed(0)
    x = torch.randn(examples, 5, dtype=torch.float64)
    y = (x[:, 0] * x[:, 1] > 0).long() + (x[:, 2] > 0.5).long()
    model = nn.Sequential(
        nn.Linear(5, 12), activation, nn.Linear(12, 8), activation, nn.Linear(8, 3)
    ).double()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return td.Objective(model, nn.CrossEntropyLoss(), (x, y), batch_size=50)


def truth(objective: td.Objective) -> float:
    return float(td.hessian(objective, engine="kept").dense().trace())


@pytest.mark.parametrize("steps", [0, 60])
def test_a_rectified_network_needs_no_hessian_product(steps):
    # kills: products where the identity holds, an error that is not that of the samples
    objective = problem(nn.ReLU(), steps)
    found = td.trace(objective, method="output-space", tolerance=0.02, seed=1)
    assert found.attrs["method"] == "output-space"
    assert found.attrs["products"] == 0
    assert found.attrs["identity_holds"] == "true"
    error = float(found.standard_error)
    assert abs(float(found.trace) - truth(objective)) < 4 * error
    assert 0 < error <= 0.03 * float(found.trace)
    assert error == pytest.approx(
        float(found["sample"].std(ddof=1)) / math.sqrt(found.sizes["probe"])
    )


def test_few_outputs_are_summed_and_many_sampled(monkeypatch):
    # kills: a sample where the sum costs less, a sum over very many outputs, a pilot in vain
    few = problem(nn.ReLU())  # 3 outputs
    assert td.trace(few).attrs["pilot"] == 0
    assert td.trace(few).attrs["method"] == "exact"
    monkeypatch.setattr(objective_traces, "FEW", 2)
    assert td.trace(few).attrs["pilot"] == 16
    assert td.trace(few).attrs["method"] == "exact"
    x, y = next(iter(few.data)).raw
    many = td.Objective(nn.Linear(5, 90).double(), nn.CrossEntropyLoss(), (x, y))
    assert td.trace(many, tolerance=0.5).attrs["method"] == "output-space"
    assert td.trace(many, tolerance=1e-4).attrs["method"] == "exact"


def test_exact_has_no_error():
    # kills: an output or an example left out, the identity to 1e-12 in float64
    objective = problem(nn.ReLU(), 30)
    found = td.trace(objective, method="exact")
    assert float(found.trace) == pytest.approx(truth(objective), rel=1e-12)
    assert float(found.standard_error) == 0
    assert found.attrs["method"] == "exact"


def test_a_smooth_network_gets_what_the_ggn_leaves_out():
    # kills: the trace of the GGN passed off as that of the Hessian
    objective = problem(nn.Tanh(), 150)
    found = td.trace(objective, tolerance=0.02, seed=2)
    assert found.attrs["method"] == "ggn + remainder"
    assert found.attrs["identity_holds"] == "false"
    exact, error = truth(objective), float(found.standard_error)
    assert abs(float(found.trace) - exact) < 4 * error
    ggn = float(td.ggn(objective).dense().trace())
    assert abs(ggn - exact) > 4 * error  # the control: leaving it out is seen
    products = found.attrs["products"]
    plain = td.trace(td.hessian(objective), method="hutchinson", tolerance=0.02, seed=2)
    assert products < 2 * plain.attrs["products"]


def test_a_smooth_network_refuses_what_holds_for_rectified_ones():
    objective = problem(nn.Tanh())
    for method in ("exact", "output-space"):
        with pytest.raises(InvalidArgument, match=r"outputs are linear in every") as error:
            td.trace(objective, method=method)
        assert error.value.code == "E-C42"


def test_a_loss_given_by_batch_takes_products():
    # kills: outputs asked of a model that keeps them to itself
    objective = problem(nn.ReLU())

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return nn.functional.cross_entropy(model(batch[0]), batch[1])

    x, y = (torch.cat(t) for t in zip(*((b.raw[0], b.raw[1]) for b in objective.data), strict=True))
    other = td.Objective.from_batch_loss(objective.model, loss, [(x, y)])
    found = td.trace(other, tolerance=0.1)
    assert found.attrs["method"] in ("hutchinson", "xtrace")
    assert abs(float(found.trace) - truth(objective)) < 4 * float(found.standard_error)


def test_at_another_point():
    # kills: the trace at the start in place of theta
    objective = problem(nn.ReLU())
    theta = 1.5 * objective.start
    found = td.trace(objective, theta=theta, method="exact")
    dense = float(td.hessian(objective, theta, engine="kept").dense().trace())
    assert float(found.trace) == pytest.approx(dense, rel=1e-12)
    with pytest.raises(InvalidArgument, match="theta"):
        td.trace(td.hessian(objective), theta=theta)


def test_intervals_hold_as_often_as_they_say():
    # kills: an error that is too small by a half. 200 estimates, 95 %: 90 to 99 of a hundred
    objective = problem(nn.ReLU(), 60, examples=16)
    exact = float(td.trace(objective, method="exact").trace)
    found = td.trace(objective, method="output-space", tolerance=0.9)
    probes, count = found.sizes["probe"], 200
    request = objective_traces.Request(objective, objective.start, 0.9, 0, 1000, "auto")
    forms = request.forms("trace", range(count * probes)).reshape(count, probes)
    np.testing.assert_allclose(forms[0], found["sample"].values, rtol=1e-12)  # what trace averages
    errors = forms.std(axis=1, ddof=1) / math.sqrt(probes)
    assert errors[0] == pytest.approx(float(found.standard_error))
    reach = float(t.ppf(0.975, probes - 1)) * errors
    hits = int((abs(forms.mean(axis=1) - exact) <= reach).sum())
    assert 180 <= hits <= 198


def test_a_seed_gives_the_same_numbers():
    objective = problem(nn.ReLU())
    how = {"method": "output-space", "tolerance": 0.1}
    one, two = (td.trace(objective, seed=3, **how) for _ in range(2))
    np.testing.assert_array_equal(one["sample"], two["sample"])
    other = td.trace(objective, seed=4, **how)
    assert float(other.trace) != float(one.trace)
