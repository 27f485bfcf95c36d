"""Stability thresholds of update rules.

Oracle: torch's own optimizers, run on a quadratic just below and just above the threshold.
"""

from __future__ import annotations

import pytest
import torch
from tests.monitoring import quadratics
from torch import nn

from theodolite.errors import InvalidArgument
from theodolite.monitoring import Monitor, stability
from theodolite.parameters import ParameterSpace

MARGIN = 0.03


@pytest.mark.parametrize("name", quadratics.CASES)
def test_below_the_threshold_it_converges_and_above_it_diverges(name: str) -> None:
    # Kills: Polyak's threshold for Nesterov's; dampening, decay or a group's rate left out; the
    # sign of the decoupled decay; the second moment without its root or its correction; momentum
    # as of the heavy ball for Adam; exp_avg_sq for AMSGrad; grad_avg left out.
    case = quadratics.CASES[name]
    below, above = (quadratics.scale_for(case, 1 + d) for d in (-MARGIN, MARGIN))
    assert quadratics.relative(case, above) == pytest.approx(1 + MARGIN, rel=1e-9)
    assert quadratics.growth(case, above) > quadratics.FAR
    if name != "part at rest":  # there it tends to where the resting part puts it, not to zero
        assert quadratics.growth(case, below) < 0.2


def test_what_is_at_rest_has_no_curvature() -> None:
    # Kills: the whole Hessian for an optimizer of a part of the parameters.
    model, optimizer = quadratics.made(quadratics.CASES["part at rest"])
    monitor = Monitor(quadratics.objective(model), measures=["threshold"], tolerance=1e-10)
    found = monitor.measure(optimizer)
    assert found is not None
    block = quadratics.dense()[2:, 2:]
    assert found["sharpness"] == pytest.approx(float(torch.linalg.eigvalsh(block)[-1]), rel=1e-9)


def test_adams_units_are_those_of_its_next_step() -> None:
    # Kills: the correction of the first moment left out (a factor of 10 at the first step); eps
    # inside the root. By hand: after one step m = 0.1 g and v = 0.001 g^2, so P = 0.1 (|g| + eps).
    model = quadratics.Bowl()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, eps=0.5)
    x, y = quadratics.data()
    quadratics.half_square(model(x), y).mean().backward()
    gradient = torch.cat([p.grad for p in model.parameters() if p.grad is not None])
    optimizer.step()
    found = stability(optimizer, model, ParameterSpace.from_model(model))
    assert found.units is not None
    assert torch.allclose(found.units, 0.1 * (gradient.abs() + 0.5), rtol=1e-5)
    assert found.threshold == pytest.approx(38 / 0.01)


def refused(optimizer: object, model: nn.Module) -> str:
    with pytest.raises(InvalidArgument) as caught:
        stability(optimizer, model, ParameterSpace.from_model(model))
    return caught.value.code


def test_rules_without_a_known_threshold_are_refused() -> None:
    model = quadratics.Bowl()
    other = torch.optim.SGD(quadratics.Bowl().parameters(), lr=0.1)
    mixed = torch.optim.SGD(quadratics.groups(model, momentum=0.5), lr=0.1)
    assert refused(torch.optim.Adagrad(model.parameters()), model) == "E-M10"
    assert refused([other, other], model) == "E-M10"
    assert refused(torch.optim.SGD(model.parameters(), lr=0.1, maximize=True), model) == "E-M10"
    assert refused(mixed, model) == "E-M11"
    assert refused(torch.optim.SGD(model.parameters(), lr=0.0), model) == "E-M12"
    assert refused(torch.optim.Adam(model.parameters()), model) == "E-M13"
    assert refused(other, model) == "E-M14"


class Wrapper:
    """As trainers wrap an optimizer."""

    def __init__(self, optimizer: object) -> None:
        self.optimizer = optimizer


def test_wrappers_are_taken_off() -> None:
    model = quadratics.Bowl()
    inner = torch.optim.SGD(model.parameters(), lr=0.1)
    found = stability(Wrapper(Wrapper(inner)), model, ParameterSpace.from_model(model))
    assert found.threshold == pytest.approx(20)


def test_tied_parameters_count_once() -> None:
    # Kills: an optimizer's parameter looked up by its first name only.
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    found = stability(optimizer, model, ParameterSpace.from_model(model))
    assert found.units is not None
    assert found.units.shape == (4,)
    assert bool((found.units < 1e3).all())
