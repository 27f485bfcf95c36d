"""Gradient descent and the sharpness along its way.

Oracle: ``torch.optim.SGD``, dense Hessians, closed forms on a quadratic, and Cohen et al. (2021).
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from theodolite import datasets
from theodolite.curvature.sharpening import DescentRule, descent_sharpness, measured_at
from theodolite.curvature.thresholds import stability_threshold

RULES = {
    "plain": DescentRule(0.3),
    "momentum": DescentRule(0.1, 0.7),
    "Nesterov": DescentRule(0.1, 0.7, nesterov=True),
}


def half_square(outputs: Tensor, targets: Tensor) -> Tensor:
    return ((outputs - targets) ** 2).sum(1) / 2


def data() -> tuple[Tensor, Tensor]:
    made = torch.Generator().manual_seed(1)
    return (
        torch.randn(12, 3, generator=made).double(),
        torch.randn(12, 2, generator=made).double(),
    )


def small() -> td.Objective:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    return td.Objective(model, half_square, data(), batch_size=5)


def bowl(*eigenvalues: float) -> td.Objective:
    """A quadratic with these eigenvalues and its minimum at zero, begun at ones."""
    n = len(eigenvalues)
    x = torch.diag(torch.tensor(eigenvalues).double().sqrt()) * math.sqrt(n)
    model = nn.Linear(n, 1, bias=False).double()
    nn.init.ones_(model.weight)
    return td.Objective(model, half_square, (x, torch.zeros(n, 1).double()))


def trained(rule: DescentRule, steps: int) -> tuple[list[float], list[Tensor]]:
    """Losses and points of the same descent by ``torch.optim.SGD``."""
    objective = small()
    model = objective.model
    x, y = data()
    optimizer = torch.optim.SGD(
        model.parameters(), lr=rule.rate, momentum=rule.momentum, nesterov=rule.nesterov
    )
    losses, points = [], []
    for _ in range(steps + 1):
        optimizer.zero_grad()
        value = half_square(model(x), y).mean()
        losses.append(float(value.detach()))
        points.append(nn.utils.parameters_to_vector(model.parameters()).detach().clone())
        value.backward()
        optimizer.step()
    return losses, points


@pytest.mark.parametrize("name", RULES)
def test_descent_is_that_of_torch_and_eigenvalues_are_those_of_dense_hessians(name: str) -> None:
    # Kills: momentum that damps the gradient; Nesterov's step with the old velocity; uneven
    # batches weighted alike; eigenvalues of another step than the one they are named after.
    losses, points = trained(RULES[name], 30)
    found = descent_sharpness(small(), RULES[name], steps=30, every=7, tolerance=1e-9)
    np.testing.assert_allclose(found.loss.values, losses, rtol=1e-10)
    assert found.time.values.tolist() == [0, 7, 14, 21, 28]
    for at in (0, 28):
        dense = torch.autograd.functional.hessian(_value, points[at])
        top = torch.linalg.eigvalsh(dense).flip(0)[:2]
        np.testing.assert_allclose(found.eigenvalue.sel(time=at).values, top, rtol=1e-7)


def _value(theta: Tensor) -> Tensor:
    objective = small()
    x, y = data()
    named = objective.space.views(theta)
    return half_square(torch.func.functional_call(objective.model, named, (x,)), y).mean()


@pytest.mark.parametrize("name", RULES)
def test_a_quadratic_diverges_above_the_threshold_and_only_there(name: str) -> None:
    # Kills: a threshold of another rule; a factor of two.
    rule = RULES[name]
    below, above = (
        descent_sharpness(bowl(1.0, f * rule.threshold), rule, steps=200, every=50, eigenvalues=1)
        for f in (0.97, 1.03)
    )
    assert float(below.loss[-1]) < 1e-3 * float(below.loss[0])
    assert float(above.loss[-1]) > 1e3 * float(above.loss[0])
    assert float(below.late_mean) == pytest.approx(0.97, rel=1e-6)
    assert math.isnan(float(below.first_crossing))
    assert float(above.first_crossing) == 0


def test_a_divergence_ends_the_run_and_says_when() -> None:
    # Kills: an exception in place of NaN; numbers of a late mean after a divergence.
    found = descent_sharpness(bowl(1.0, 1e30), DescentRule(1.0), steps=50, every=5, eigenvalues=1)
    last = int(found.diverged)
    assert 0 < last < 50
    assert np.isfinite(found.loss.values[:last]).all()
    assert np.isnan(found.loss.values[last:]).all()
    assert math.isnan(float(found.late_mean))


def test_even_spacings_see_both_sides_of_a_swing() -> None:
    # Kills: measuring at even steps only, where the iterates of a swing are all on one side.
    times = measured_at(100, 10)
    assert set(times % 2) == {0, 1}
    assert times[0] == 0
    assert set(measured_at(100, 5) % 2) == {0, 1}


def test_nothing_of_the_caller_changes() -> None:
    objective = small()
    before = [p.detach().clone() for p in objective.model.parameters()]
    objective.model.train()
    state = torch.get_rng_state()
    descent_sharpness(objective, RULES["plain"], steps=5)
    assert all(torch.equal(a, b) for a, b in zip(before, objective.model.parameters(), strict=True))
    assert objective.model.training
    assert torch.equal(state, torch.get_rng_state())
    assert all(p.grad is None for p in objective.model.parameters())


BAD = {
    "steps": ({"steps": 0}, "E-U42"),
    "every": ({"every": 0}, "E-U42"),
    "late": ({"steps": 10, "late": 11}, "E-U43"),
}


@pytest.mark.parametrize("name", BAD)
def test_counts_out_of_range_are_refused_by_name(name: str) -> None:
    given, code = BAD[name]
    with pytest.raises(td.errors.InvalidArgument, match=name) as raised:
        descent_sharpness(bowl(1.0), DescentRule(0.1), **given)
    assert raised.value.code == code
    with pytest.raises(td.errors.InvalidArgument, match="rate"):
        stability_threshold(0.0)


def test_a_tanh_network_settles_at_the_threshold() -> None:
    # Kills: a threshold of 1 / eta; a late mean over all steps; eigenvalues of the start.
    # Cohen et al. (2021); the full protocol, three rates within 3 %, is the finding of that name.
    torch.manual_seed(0)
    x, y = datasets.digits(limit=200, flatten=True).train
    sizes = (64, 32, 32, 10)
    layers = [m for a, b in itertools.pairwise(sizes) for m in (nn.Linear(a, b), nn.Tanh())]
    pair = (x - x.mean(0), nn.functional.one_hot(y, 10).float())
    objective = td.Objective(nn.Sequential(*layers[:-1]), half_square, pair)
    found = descent_sharpness(
        objective, DescentRule(0.3), steps=1500, every=75, late=400, tolerance=1e-2, eigenvalues=1
    )
    assert abs(float(found.late_mean) - 1) < 0.03, float(found.late_mean)
    assert 300 < float(found.first_crossing) < 1500
    assert float(found.rise_factor) > 2
    assert float(found.rising_before) < 0.02 < 0.1 < float(found.rising_after)
    assert float(found.falling_windows) > 0.6
