"""Adaptive sharpness against ASAM's formula and forms whose maximum is known."""

from __future__ import annotations

import math

import pytest
import torch

from sharpness.bowls import bowl, classifier, regression
from theodolite.errors import InvalidArgument
from theodolite.sharpness import adaptive_sharpness
from theodolite.sharpness.adaptive import units_of


@pytest.mark.parametrize(("p", "eta0"), [(2, 0.0), (2, 0.05), (math.inf, 0.0)])
def test_one_step_is_that_of_asam(p: float, eta0: float) -> None:
    # kills: T in place of T squared, eta0 left out.
    objective, _, _ = regression()
    g, t = objective.gradient(), objective.start.abs() + eta0
    e = 0.3 * (t**2 * g / (t * g).norm() if p == 2 else t * g.sign())
    exact = float(objective.value(objective.start + e) - objective.value())
    found = adaptive_sharpness(objective, rho=0.3, p=p, eta0=eta0, steps=1)
    assert float(found.first_step[0]) == pytest.approx(exact, rel=1e-12)


def test_in_relative_units_each_coordinate_moves_by_its_share() -> None:
    # kills: absolute units. Oracle: h w^2 (1 + rho)^2 / 2 by coordinate.
    h, w = [4.0, 1.0, 2.0], [0.5, -2.0, 0.0]
    found = adaptive_sharpness(bowl(h, w), rho=0.1, p=math.inf, steps=3)
    exact = sum(0.5 * a * b * b * (1.1**2 - 1) for a, b in zip(h, w, strict=True))
    assert float(found.adaptive_sharpness[0]) == pytest.approx(exact, rel=1e-12)


def test_many_steps_reach_the_top_eigenvalue_of_the_scaled_hessian() -> None:
    # kills: an ascent that ignores the units after the first step.
    # Oracle: trust region with H' = THT and g' = Tg, in two dimensions by a fine grid.
    h, w = [4.0, 1.0], [0.5, -2.0]
    found = adaptive_sharpness(bowl(h, w), rho=0.7, steps=60)
    angle = torch.linspace(0, 2 * math.pi, 200_001, dtype=torch.float64)
    moved = [b + abs(b) * 0.7 * f for b, f in zip(w, (angle.cos(), angle.sin()), strict=True)]
    loss = 0.5 * (4 * moved[0] ** 2 + moved[1] ** 2)
    exact = float(loss.max()) - 0.5 * (4 * 0.25 + 4)
    assert float(found.adaptive_sharpness[0]) == pytest.approx(exact, rel=1e-8)


def test_units_by_filter_are_norms_of_rows_and_biases_their_own() -> None:
    # kills: norms of columns, the norm of the layer, biases with the norm of all biases.
    objective = classifier()
    space, theta = objective.space, objective.start
    units = space.views(units_of(space, theta, "filter"))
    held = space.views(theta)
    rows = held["0.weight"].norm(dim=1, keepdim=True).expand(5, 4)
    assert torch.allclose(units["0.weight"], rows, rtol=1e-14)
    assert torch.equal(units["0.bias"], held["0.bias"].abs())
    assert torch.equal(units_of(space, theta, "element"), theta.abs())


def test_pruned_weights_have_no_unit() -> None:
    # kills: masked weights counted in the norm of their filter.
    from torch.nn.utils import prune

    import theodolite as td

    model = torch.nn.Linear(3, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, 4.0, 5.0]]))
    prune.custom_from_mask(model, "weight", torch.tensor([[1, 1, 0]]))
    data = (torch.ones(2, 3, dtype=torch.float64), torch.zeros(2, 1, dtype=torch.float64))
    objective = td.Objective(model, torch.nn.MSELoss(), data)
    units = units_of(objective.space, objective.start, "filter")
    assert units.tolist() == [5.0, 5.0, 5.0]
    assert units_of(objective.space, objective.start, "element").tolist() == [3.0, 4.0, 0.0]


def test_settings_are_recorded() -> None:
    found = adaptive_sharpness(classifier(), rho=(0.1, 0.2), steps=2, eta0=0.01, by="filter")
    expected = {"by": "filter", "eta0": 0.01, "bound": "lower", "p": "2", "steps": 2}
    assert expected.items() <= found.attrs.items()
    assert found.attrs["invariant_under"] == ["permutation of neurons"]


def test_bad_arguments_are_refused_by_name() -> None:
    objective, _, _ = regression()
    with pytest.raises(InvalidArgument, match=r"by must be one of 'element', 'filter'; got 'row'"):
        adaptive_sharpness(objective, by="row")
    with pytest.raises(InvalidArgument, match="eta0 must be 0 or more"):
        adaptive_sharpness(objective, eta0=-0.1)
    with pytest.raises(InvalidArgument, match="theta is zero"):
        adaptive_sharpness(objective, theta=torch.zeros(4, dtype=torch.float64))
