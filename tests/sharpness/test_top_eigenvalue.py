"""The largest eigenvalue and its thresholds.

Oracles: chosen spectra, and the update rules themselves run on a parabola.
"""

from __future__ import annotations

import pytest
import torch

from sharpness.bowls import bowl, classifier, vector
from theodolite.errors import InvalidArgument
from theodolite.sharpness import largest_curvature
from theodolite.sharpness.top_eigenvalue import RULES
from theodolite.testing.oracles import orthogonal_matrix

SPECTRUM = [3.0, 2.5, 1.0, 0.1, -7.0]


def test_it_is_the_largest_eigenvalue_not_the_largest_in_size() -> None:
    # kills: which="magnitude", another count, the residual of another pair.
    turned = bowl(SPECTRUM, [0.1] * 5, turn=orthogonal_matrix(5))
    found = largest_curvature(turned, tolerance=1e-8)
    assert float(found.largest_curvature) == pytest.approx(3, rel=1e-8)
    assert 0 < float(found.residual) < 1e-6
    assert "relative" not in found


def test_the_preconditioner_divides_by_its_diagonal() -> None:
    # kills: D in place of its inverse, D^-1 on both sides.
    found = largest_curvature(bowl([3.0, 8.0], [0.1, 0.1]), preconditioner=vector(0.5, 4.0))
    assert float(found.largest_curvature) == pytest.approx(6, rel=1e-6)
    assert found.attrs["operator"] == "preconditioned Hessian"
    assert found.attrs["measure"] == "largest_curvature, preconditioned"


def grows(rule: str, curvature: float, eta: float, beta: float) -> bool:
    """Whether the rule diverges on ``curvature x^2 / 2``, by running it."""
    x, v = 1.0, 0.0
    for _ in range(4000):
        if rule == "gradient descent":
            x -= eta * curvature * x
        elif rule == "heavy ball":
            v = beta * v + curvature * x
            x -= eta * v
        elif rule == "Nesterov":  # torch's: v = beta v + g, step along g + beta v
            g = curvature * x
            v = beta * v + g
            x -= eta * (g + beta * v)
        else:
            v = beta * v + (1 - beta) * curvature * x
            x -= eta * v
        if abs(x) > 1e6:
            return True
    return abs(x) > 1


@pytest.mark.parametrize("momentum", [0.5, 0.9])
def test_thresholds_are_where_the_rules_become_unstable(momentum: float) -> None:
    # kills: a formula given to another rule, the learning rate left out.
    eta = 0.3
    found = largest_curvature(bowl([2.0, 1.0], [0.1, 0.1]), learning_rate=eta, momentum=momentum)
    for rule in RULES:
        limit = float(found.threshold.sel(rule=rule))
        assert not grows(rule, 0.99 * limit, eta, momentum), rule
        assert grows(rule, 1.01 * limit, eta, momentum), rule
        assert float(found.relative.sel(rule=rule)) == pytest.approx(2 / limit, rel=1e-6)


def test_adam_at_its_default_has_38_over_the_learning_rate() -> None:
    found = largest_curvature(bowl([2.0, 1.0], [0.1, 0.1]), learning_rate=0.1)
    assert float(found.threshold.sel(rule="averaged momentum")) == pytest.approx(380)


def test_it_is_that_of_the_dense_hessian_of_a_network() -> None:
    # kills: theta ignored.
    objective = classifier(activation=torch.nn.Tanh)
    theta = 0.5 * objective.start
    found = largest_curvature(objective, theta=theta, tolerance=1e-8)
    import theodolite as td

    exact = torch.linalg.eigvalsh(td.hessian(objective, theta).dense())[-1]
    assert float(found.largest_curvature) == pytest.approx(float(exact), rel=1e-7)


def test_bad_arguments_are_refused_by_name() -> None:
    objective = bowl([2.0, 1.0], [0.1, 0.1])
    with pytest.raises(InvalidArgument, match="momentum must be at least 0 and below 1; got 1"):
        largest_curvature(objective, momentum=1.0)
    with pytest.raises(InvalidArgument, match="learning_rate must be positive"):
        largest_curvature(objective, learning_rate=-1.0)
    with pytest.raises(InvalidArgument, match=r"diagonal must have shape \(2,\)"):
        largest_curvature(objective, preconditioner=vector(1.0))
