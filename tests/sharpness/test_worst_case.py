"""The largest rise in a ball, against quadratics, the trust-region value, and SAM's formula.

Oracles: eigenvalues, the secular equation of a trust region, closed forms by example.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq

from sharpness.bowls import bowl, form, output, regression, vector
from theodolite.errors import InvalidArgument
from theodolite.results import DIVERGED
from theodolite.sharpness import worst_case_sharpness
from theodolite.testing.oracles import orthogonal_matrix

EIGENVALUES = [4.0, 1.5, 1.0, 0.2]
TURN = orthogonal_matrix(4, seed=1)


def test_at_a_minimum_it_is_half_rho_squared_times_the_largest_eigenvalue() -> None:
    # kills: no projection onto the ball, rho not used, a start stuck at a gradient of zero.
    found = worst_case_sharpness(bowl(EIGENVALUES, [0.0] * 4, turn=TURN), rho=(0.1, 0.5), steps=40)
    exact = [0.5 * 4 * rho**2 for rho in (0.1, 0.5)]
    assert found.worst_case_sharpness.values == pytest.approx(exact, rel=1e-6)
    assert found.boundary.values == pytest.approx([1, 1], rel=1e-9)


def trust_region(gradient: np.ndarray, eigenvalues: np.ndarray, rho: float) -> float:
    """The largest ``g'e + e'He/2`` with ``|e| <= rho``, in the eigenbasis, for a convex form."""

    def length(mu: float) -> float:
        return float(np.linalg.norm(gradient / (mu - eigenvalues)) - rho)

    top = float(eigenvalues.max())
    mu = brentq(length, top + 1e-9, top + 1e6, xtol=1e-14)
    e = gradient / (mu - eigenvalues)
    return float(gradient @ e + 0.5 * e @ (eigenvalues * e))


@pytest.mark.parametrize("rho", [0.1, 2.0])
def test_with_a_gradient_it_is_the_value_of_the_trust_region(rho: float) -> None:
    # kills: the gradient taken at theta in every step.
    start = TURN @ vector(0.3, -0.2, 0.5, 1.0)
    found = worst_case_sharpness(bowl(EIGENVALUES, start.tolist(), turn=TURN), rho=rho, steps=60)
    h = np.array(EIGENVALUES)
    exact = trust_region(h * np.array([0.3, -0.2, 0.5, 1.0]), h, rho)
    assert float(found.worst_case_sharpness[0]) == pytest.approx(exact, rel=1e-6)


def test_in_the_cube_every_coordinate_goes_to_its_corner() -> None:
    # kills: the Euclidean step or projection used for p of infinity.
    start = [0.5, -0.6, 0.5, 1.0]
    found = worst_case_sharpness(bowl(EIGENVALUES, start), rho=0.4, p=math.inf, steps=5, restarts=2)
    exact = sum(h * (abs(w) * 0.4 + 0.08) for h, w in zip(EIGENVALUES, start, strict=True))
    assert float(found.worst_case_sharpness[0]) == pytest.approx(exact, rel=1e-12)
    # one step from a random point of the cube as well
    assert float(found.rise[0, 1, 1]) == pytest.approx(exact, rel=1e-12)
    assert 0 < abs(float(found.rise[0, 1, 0])) < exact
    assert found.attrs["p"] == "inf"


@pytest.mark.parametrize("p", [2, math.inf])
def test_one_step_is_that_of_sam(p: float) -> None:
    # kills: a first step that is shorter than rho, or along another vector than SAM's.
    objective, _, _ = regression()
    g = objective.gradient()
    e = 0.3 * (g / g.norm() if p == 2 else g.sign())
    exact = float(objective.value(objective.start + e) - objective.value())
    found = worst_case_sharpness(objective, rho=0.3, p=p, steps=1)
    assert float(found.first_step[0]) == pytest.approx(exact, rel=1e-12)
    assert float(found.worst_case_sharpness[0]) == pytest.approx(exact, rel=1e-12)
    assert found.sizes["step"] == 2


def test_batches_of_one_have_a_maximum_each() -> None:
    # kills: the maximum over all data for every batch; an error that is no mean's.
    # Oracle: (|r| + rho |x|)^2 - r^2 for the residual r of each example.
    objective, x, y = regression(examples=7)
    r = (x @ objective.start - y[:, 0]).abs()
    each = (r + 0.2 * x.norm(dim=1)) ** 2 - r**2
    found = worst_case_sharpness(objective, rho=0.2, steps=3, batch_size=1)
    assert sorted(found.batch_rise.values[:, 0]) == pytest.approx(sorted(each.tolist()), rel=1e-9)
    assert float(found.worst_case_sharpness[0]) == pytest.approx(float(each.mean()), rel=1e-9)
    error = float(each.std()) / math.sqrt(7)
    assert float(found.standard_error[0]) == pytest.approx(error, rel=1e-9)


def test_batches_are_disjoint_and_leave_the_rest_out() -> None:
    # kills: batches that overlap, a last one that is too small.
    objective, x, y = regression(examples=7)
    found = worst_case_sharpness(objective, rho=1e-5, steps=1, batch_size=3)
    assert found.sizes["batch"] == found.attrs["batches"] == 2
    # in the limit of small rho a batch's rise is rho times the norm of its gradient
    slopes = found.batch_rise.values[:, 0] / 1e-5
    gradients = 2 * (x @ objective.start - y[:, 0])[:, None] * x
    norms = {
        tuple(sorted(c)): float(gradients[list(c)].mean(0).norm())
        for c in itertools.combinations(range(7), 3)
    }
    named = [min(norms, key=lambda c, s=s: abs(norms[c] - s)) for s in slopes]
    assert [norms[c] for c in named] == pytest.approx(slopes.tolist(), rel=1e-4)
    assert not set(named[0]) & set(named[1])


def test_a_sum_of_losses_stays_a_sum_in_its_batches() -> None:
    # kills: batches that average where the objective adds up.
    objective, x, y = regression(examples=6)
    import theodolite as td

    summed = td.Objective(objective.model, torch.nn.MSELoss(reduction="sum"), (x, y))
    settings = {"rho": 0.2, "steps": 2, "batch_size": 3}
    means = worst_case_sharpness(objective, **settings).worst_case_sharpness
    sums = worst_case_sharpness(summed, **settings).worst_case_sharpness
    assert float(sums[0]) == pytest.approx(3 * float(means[0]), rel=1e-9)


def test_a_maximum_inside_the_ball_is_not_on_its_boundary() -> None:
    # kills: the radius reported in place of the perturbation's length.
    hill = form(lambda w: -0.5 * (w @ w), [0.3, 0.0])
    found = worst_case_sharpness(hill, rho=1.0, steps=60)
    assert float(found.worst_case_sharpness[0]) == pytest.approx(0.045, rel=1e-6)
    assert float(found.boundary[0]) == pytest.approx(0.3, rel=1e-2)


def test_the_rise_is_never_below_zero_and_the_first_step_may_be() -> None:
    # kills: SAM's overshoot returned as the maximum.
    hill = form(lambda w: -0.5 * (w @ w), [0.1, 0.0])
    found = worst_case_sharpness(hill, rho=1.0, steps=1)
    assert float(found.first_step[0]) == pytest.approx(-0.5 * 0.81 + 0.005, rel=1e-12)
    assert float(found.worst_case_sharpness[0]) == 0
    assert float(found.boundary[0]) == 0


def test_restarts_find_a_hill_that_the_first_ascent_does_not() -> None:
    # kills: restarts that all begin at theta, a mean over restarts.
    def hills(w: torch.Tensor) -> torch.Tensor:
        low = torch.exp(-200 * ((w - 0.1) ** 2).sum())
        return low + 3 * torch.exp(-20 * ((w + 0.5) ** 2).sum())

    objective = form(hills, [0.05, 0.05])
    one = worst_case_sharpness(objective, rho=1.0, steps=30)
    many = worst_case_sharpness(objective, rho=1.0, steps=30, restarts=8)
    assert float(many.worst_case_sharpness[0]) > float(one.worst_case_sharpness[0]) + 1
    assert many.rise.shape == (1, 8, 31)
    assert many.rise.values[0, 0].tolist() == one.rise.values[0, 0].tolist()
    assert len(set(many.rise.values[0, 1:, 0])) == 7


def test_at_the_top_of_a_hill_nothing_is_higher() -> None:
    # kills: the best of the points tried where all lie below the center.
    found = worst_case_sharpness(form(lambda w: -0.5 * (w @ w), [0.0, 0.0]), rho=1.0, steps=4)
    assert found.rise.values.max() < 0
    assert float(found.worst_case_sharpness[0]) == 0
    assert float(found.boundary[0]) == 0


def test_where_the_loss_diverges_there_is_no_number() -> None:
    # kills: a point that is not finite skipped in silence.
    found = worst_case_sharpness(form(lambda w: -w.log().sum(), [0.5]), rho=(1.0, 0.1))
    assert np.isnan(found.worst_case_sharpness.values).tolist() == [True, False]
    assert found.status.values.tolist() == [DIVERGED, 1]


def test_bad_arguments_are_refused_by_name() -> None:
    objective, _, _ = regression()
    refused = {
        "rho": ({"rho": 0.0}, "rho must be positive"),
        "several": ({"rho": (0.1, -1.0)}, "rho must be positive"),
        "p": ({"p": 1}, r"p must be 2 or math.inf; got 1"),
        "steps": ({"steps": 0}, "steps must be a whole number, 1 or more; got 0"),
        "restarts": ({"restarts": 0}, "restarts must be"),
        "batch": ({"batch_size": 13}, "batch_size must be at most the number of examples, 12"),
        "none": ({"batch_size": 0}, "batch_size must be a whole number, 1 or more"),
    }
    for settings, message in refused.values():
        with pytest.raises(InvalidArgument, match=message):
            worst_case_sharpness(objective, **settings)
    with pytest.raises(InvalidArgument, match="theta must have shape"):
        worst_case_sharpness(objective, theta=vector(1.0))
    assert callable(output)
