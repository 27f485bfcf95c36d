"""Surfaces of functions that are known in closed form.

Oracles: an isotropic quadratic has circles for contours, a linear function is a plane, a cubic
with unequal coefficients tells every point from every other; all evaluated in NumPy.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import theodolite as td

from .formulas import Parameters, cubes, double, linear, normal, orthonormal, quadratic

RANGES = [
    ((-1, 1), (-1, 1)),
    ((0, 1), (0, 1)),
    ((-2, 0), (0, 3)),
    ((-0.3, 0.6), (-5, 5)),
    ((10, 11), (-0.01, 0.02)),
]
COUNTS = [(2, 2), (3, 3), (4, 4), (5, 2), (2, 7), (6, 5), (9, 4)]


@pytest.mark.parametrize("steps", COUNTS, ids=str)
@pytest.mark.parametrize("span", RANGES, ids=str)
def test_an_isotropic_quadratic_has_circles_for_contours(span, steps):
    # kills: unequal or skew axes, swapped axes, comb columns, points off by one
    objective = quadratic(normal(40))
    surface = td.plane(objective, orthonormal(40), span=span, steps=steps)
    a, b = surface.alpha.values, surface.beta.values
    radius = np.hypot(a[:, None], b[None, :])
    assert surface.loss.dims == ("alpha", "beta")
    np.testing.assert_allclose(surface.loss, radius**2 / 2, rtol=1e-12, atol=1e-15)


def test_circles_are_round_under_quarter_turns():
    surface = td.plane(quadratic(normal(40)), orthonormal(40), steps=(9, 9)).loss.values
    for turn in range(1, 4):
        np.testing.assert_allclose(np.rot90(surface, turn), surface, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("steps", COUNTS, ids=str)
@pytest.mark.parametrize("span", RANGES, ids=str)
def test_a_linear_function_is_an_exact_plane(span, steps):
    # kills: comb columns, transposition, points off by one, an inverted distance
    slopes, start, d = normal(30), normal(30, seed=1), normal(2, 30, seed=2)
    surface = td.plane(linear(slopes, start), d, span=span, steps=steps)
    rise = d @ slopes
    a, b = surface.alpha.values[:, None], surface.beta.values[None, :]
    expected = float(slopes @ start) + a * float(rise[0]) + b * float(rise[1])
    np.testing.assert_allclose(surface.loss, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("steps", [2, 3, 10, 51])
@pytest.mark.parametrize("span", [(-1, 1), (0, 1), (-0.3, 0.6), (7, 9)], ids=str)
def test_lines_of_both_functions_are_exact(span, steps):
    # kills: alpha from 0 to 1 whatever was asked, a start that is never evaluated
    slopes, start, d = normal(30), normal(30, seed=1), normal(30, seed=2)
    straight = td.line(linear(slopes, start), d, span=span, steps=steps)
    rise = float(slopes @ start) + straight.alpha.values * float(slopes @ d)
    np.testing.assert_allclose(straight.loss, rise, rtol=1e-12, atol=1e-12)
    bent = td.line(quadratic(slopes), d, span=span, steps=steps)
    parabola = bent.alpha.values**2 * float(d @ d) / 2
    np.testing.assert_allclose(bent.loss, parabola, rtol=1e-12, atol=1e-15)


def test_every_point_of_an_uneven_cubic_is_its_own():
    # kills: any two points exchanged, either axis reversed, directions exchanged
    c, start, d = normal(1, 20), normal(20, seed=1), normal(2, 20, seed=2)
    model = Parameters(start[:5], start[5:].view(3, 5))
    objective = td.Objective(model, cubes, (torch.zeros(1, 1), c))
    surface = td.plane(objective, d, span=((-1, 2), (0, 1)), steps=(4, 6))
    for i, a in enumerate(np.linspace(-1, 2, 4)):
        for j, b in enumerate(np.linspace(0, 1, 6)):
            theta = start + a * d[0] + b * d[1]
            assert float(surface.loss[i, j]) == pytest.approx(
                float((c[0] * theta**3).sum()), rel=1e-11
            )


def test_far_points_are_computed_from_the_base_and_not_by_walking():
    # kills: adding a step at a time (its rounding grows along the row)
    start, d = torch.full((50,), 0.1), torch.full((50,), 0.1)
    objective = td.Objective(
        Parameters(start), lambda out, y: out.double().sum(1), (torch.zeros(1, 1), torch.zeros(1))
    )
    found = td.line(objective, d, span=(-3, 3), steps=1001)
    exact = [
        float((start + np.float32(a) * d).double().sum()) if a else float(start.double().sum())
        for a in found.alpha.values
    ]
    np.testing.assert_allclose(found.loss, exact, rtol=0, atol=2e-6)
    ones = torch.ones(2, 50)
    ones[1, :25] = -1
    plane = td.plane(objective, ones, span=((-1, 1), (0, 1e6)), steps=(3, 5))
    assert float(plane.loss[1, 0]) == float(start.double().sum())


def test_the_standard_error_is_that_of_the_mean_over_examples():
    # kills: the spread in place of the error, n in place of n - 1, errors over batches
    y = normal(50, 3)
    objective = td.Objective(
        Parameters(double(1, 2, 3)), cubes, (torch.zeros(50, 1), y), batch_size=7
    )
    d = normal(2, 3, seed=1)
    surface = td.plane(objective, d, steps=(3, 2))
    for i, a in enumerate(surface.alpha.values):
        for j, b in enumerate(surface.beta.values):
            losses = (y * (double(1, 2, 3) + a * d[0] + b * d[1]) ** 3).sum(1).numpy()
            assert float(surface.loss[i, j]) == pytest.approx(losses.mean(), rel=1e-11)
            assert float(surface.loss_error[i, j]) == pytest.approx(
                losses.std(ddof=1) / 50**0.5, rel=1e-10
            )


def test_accuracy_is_the_share_of_right_answers_with_its_binomial_error():
    # kills: accuracy of the start everywhere, argmin, the error of the loss
    x, labels = normal(200, 4), torch.arange(200) % 3
    model = nn.Linear(4, 3, bias=False).double()
    objective = td.Objective(model, nn.CrossEntropyLoss(), (x, labels), batch_size=64)
    d = normal(2, 12, seed=3)
    surface = td.plane(objective, d, span=((-1, 1), (-1, 1)), steps=(3, 4))
    for i, a in enumerate(surface.alpha.values):
        for j, b in enumerate(surface.beta.values):
            w = model.weight.detach() + (a * d[0] + b * d[1]).view(3, 4)
            right = ((x @ w.T).argmax(1) == labels).double()
            p = float(right.mean())
            assert float(surface.accuracy[i, j]) == pytest.approx(p, rel=1e-12)
            error = (p * (1 - p) / 199) ** 0.5
            assert float(surface.accuracy_error[i, j]) == pytest.approx(error, rel=1e-10)
    assert surface.accuracy.values.std() > 0.01
