"""Traces from the outputs, and when the Hessian's is that of the GGN. Oracle: dense autograd."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import theodolite as td
from operators.dense import dense_ggn, dense_hessian
from theodolite.engines import output_space
from theodolite.engines.linearity import linearity
from theodolite.engines.output_space import exact, pulled_back, sampled, signs_of
from theodolite.engines.problem import section
from theodolite.testing.objectives import CASES

ROOTED = ("cross entropy", "class weights", "ignored labels", "soft labels", "binary cross entropy")
ROOTLESS = ("several outputs",)
PROBES = range(100)
SQUARES = ("squared error", "sum of squares", "Poisson", "residual")


def squares_of_sums(outputs, targets):  # type: ignore[no-untyped-def]
    """A loss without a known root: its Hessian in the outputs is neither diagonal nor softmax's."""
    return (outputs - targets).sum(1).square() + (outputs[:, 0] * outputs[:, 1]).sin()


def guarded(objective, body):  # type: ignore[no-untyped-def]
    return objective.guarded(body, grad=True, second=True)


def samples(objective, probes, apart=True):  # type: ignore[no-untyped-def]
    start = objective.start
    return guarded(objective, lambda: sampled(objective, start, 0, "t", probes, apart=apart))


@pytest.mark.parametrize("name", [*ROOTED, *SQUARES, *ROOTLESS, "attention", "LSTM", "Huber"])
def test_the_exact_trace_is_that_of_the_dense_matrix(name):
    # kills: an output left out, shares of examples, a root that is none
    objective = CASES[name].objective()
    found = guarded(objective, lambda: exact(objective, objective.start, apart=True))
    assert found == pytest.approx(float(dense_ggn(CASES[name]).trace()), rel=1e-10)


@pytest.mark.parametrize("name", [*ROOTED, *SQUARES, *ROOTLESS])
def test_samples_are_unbiased(name):
    # kills: signs shared by probes or batches, cross terms between batches with a bias
    objective = CASES[name].objective()
    forms = guarded(
        objective, lambda: sampled(objective, objective.start, 0, "t", range(200), apart=True)
    )
    error = float(forms.std()) / math.sqrt(len(forms))
    assert abs(float(forms.mean()) - float(dense_ggn(CASES[name]).trace())) < 4 * error + 1e-12
    some = guarded(
        objective, lambda: sampled(objective, objective.start, 0, "t", range(7, 9), apart=True)
    )
    torch.testing.assert_close(some, forms[7:9], rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", [*ROOTED, *SQUARES])
def test_roots_are_found_where_there_are_some(name):
    # kills: softmax along the wrong dimension, a root that is not looked for
    objective = CASES[name].objective()
    leaf = objective.start.clone().requires_grad_(True)
    parts = guarded(objective, lambda: [pulled_back(objective, leaf, b) for b in objective.data])
    made = [p for p in parts if p is not None]
    assert made
    assert all(p.root is not None for p in made)


def test_a_root_has_less_spread_where_the_network_is_sure():
    # kills: the plain form used where a root is known
    torch.manual_seed(0)
    x, y = torch.randn(64, 6), torch.arange(64) % 3
    x[:60] *= 30  # sure of these
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    objective = td.Objective(model, nn.CrossEntropyLoss(), (x, y))
    rooted = guarded(
        objective, lambda: sampled(objective, objective.start, 0, "t", range(64), apart=False)
    )
    plain = []
    for p in range(64):
        leaf = objective.start.clone().requires_grad_(True)

        def one(leaf: torch.Tensor = leaf, p: int = p) -> float:
            made = pulled_back(objective, leaf, next(iter(objective.data)))
            z = [torch.randn(1, 64, 3, generator=torch.Generator().manual_seed(p)).sign()]
            images = made.graph.middle(z, False)
            left, right = made.graph.back(z, False), made.graph.back(images, False)
            return float((left * right).sum())

        plain.append(guarded(objective, one))
    assert float(torch.tensor(plain).std()) > 1.3 * float(rooted.std())


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.MSELoss(), squares_of_sums])
def test_examples_do_not_meet(loss, monkeypatch):
    # kills: cross terms between examples, sections that leave out some, signs shared by sections
    monkeypatch.setattr(output_space, "SECTION", 4)
    torch.manual_seed(0)
    x, y = torch.randn(10, 6).double(), torch.arange(10) % 3
    targets = y if isinstance(loss, nn.CrossEntropyLoss) else torch.randn(10, 3).double()
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    objective = td.Objective(model, loss, (x, targets))
    found = samples(objective, range(2, 5))
    expected = torch.zeros(3, dtype=torch.float64)
    leaf = objective.start.clone().requires_grad_(True)
    batch = next(iter(objective.data))
    for place, start in enumerate(range(0, 10, 4)):
        part = section(batch, start, start + 4)
        for i in range(part.examples):
            # the root or the Hessian of the loss for this example, its own rows of the signs
            made = pulled_back(objective, leaf, section(part, i, i + 1))
            whole = pulled_back(objective, leaf, part)
            z = signs_of(whole.graph, 0, "t", range(2, 5), (batch.index, place))[0][:, i : i + 1]
            expected += made.forms([z], batched=False)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=0)


def test_examples_apart_have_less_spread_and_the_same_mean():
    # kills: the whole batch pulled back where examples are apart
    torch.manual_seed(0)
    x, y = torch.randn(30, 6), torch.arange(30) % 3
    model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)).double()
    objective = td.Objective(model, nn.CrossEntropyLoss(), (x.double(), y))
    whole, parts = (samples(objective, PROBES, a) for a in (False, True))
    truth = float(td.ggn(objective).dense().trace())
    for forms in (whole, parts):
        assert abs(float(forms.mean()) - truth) < 4 * float(forms.std()) / math.sqrt(len(forms))
    assert float(parts.std()) < 0.5 * float(whole.std())


class Doubled(nn.Module):
    """A weight that no layer holds; its gradients are formed, by vmap or, with a branch, a loop."""

    def __init__(self, branch: bool) -> None:
        super().__init__()
        self.first, self.weight = nn.Linear(6, 8), nn.Parameter(torch.randn(8, 3))
        self.branch = branch

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x).relu()
        if self.branch and bool((x.sum() > -1).item()):
            x = x + 0
        return x @ self.weight


@pytest.mark.parametrize("branch", [False, True])
def test_models_without_ghosts_give_the_same(branch):
    # kills: rows mixed up where gradients are formed, nothing where they go by a loop
    torch.manual_seed(0)
    x, y = torch.randn(12, 6).double(), torch.arange(12) % 3
    model = Doubled(branch).double()
    objective = td.Objective(model, nn.CrossEntropyLoss(), (x, y), batch_size=5)
    truth = float(td.ggn(objective).dense().trace())
    found = guarded(objective, lambda: exact(objective, objective.start, apart=True))
    assert found == pytest.approx(truth, rel=1e-10)
    forms = samples(objective, range(200))
    assert abs(float(forms.mean()) - truth) < 4 * float(forms.std()) / math.sqrt(len(forms))


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("rectified perceptron", True),
        ("linear", True),
        ("class weights", False),
        ("attention", False),
        ("tied language model", False),
        ("LSTM", False),
    ],
)
def test_blocks_agree_for_piecewise_linear_networks_alone(name, holds):
    # kills: an identity assumed or denied; blocks of a tied tensor
    objective = CASES[name].objective()
    found = guarded(objective, lambda: linearity(objective, objective.start, apart=True))
    assert found.holds is holds, found
    gap = abs(float(dense_hessian(CASES[name]).trace() - dense_ggn(CASES[name]).trace()))
    assert (gap < 1e-12) is holds


def test_batch_norm_in_evaluation_mode_is_linear_and_its_weights_are_one_tensor_each():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3)
    ).double()
    x = torch.randn(6, 1, 6, 6, dtype=torch.float64)
    objective = td.Objective(model, nn.CrossEntropyLoss(), (x, torch.arange(6) % 3))
    found = guarded(objective, lambda: linearity(objective, objective.start, apart=True))
    assert found.holds
    trace = guarded(objective, lambda: exact(objective, objective.start, apart=True))
    dense = float(td.hessian(objective).dense().trace())
    assert trace == pytest.approx(dense, rel=1e-12)
