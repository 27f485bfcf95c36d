"""Predicted and measured rises on functions whose expansion is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sharpness.bowls import bowl, classifier, form, vector
from theodolite.errors import InvalidArgument
from theodolite.results import DIVERGED
from theodolite.sharpness import predicted_rise

RADII = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16)


def cubic(w: torch.Tensor) -> torch.Tensor:
    """Curvature 1 and a third-order term along the first axis, curvature 3 along the second."""
    return 0.5 * w[0] ** 2 + w[0] ** 3 + 1.5 * w[1] ** 2 + 1


def test_the_trust_radius_of_a_cubic_is_known() -> None:
    # kills: an error relative to the prediction, a tolerance of one half.
    # Oracle: r / (1/2 + r) < 0.1 for r < 0.0556.
    found = predicted_rise(form(cubic, [0.0, 0.0]), vector(7.0, 0.0), radius=RADII)
    r = np.array(RADII)
    assert found.measured.values[0] == pytest.approx(0.5 * r**2 + r**3, rel=1e-9)
    assert found.predicted.values[0] == pytest.approx(0.5 * r**2, rel=1e-9)
    assert found.relative_error.values[0] == pytest.approx(r / (0.5 + r), rel=1e-7)
    assert float(found.trust_radius[0]) == 0.04
    along = predicted_rise(form(cubic, [0.0, 0.0]), vector(0.0, 1.0), radius=RADII)
    assert float(along.trust_radius[0]) == 0.16


def test_the_first_order_is_part_of_the_prediction() -> None:
    # kills: the gradient left out, a factor of one half on it.
    objective = bowl([4.0, 1.0], [1.0, -2.0])
    d = vector(0.6, 0.8)
    found = predicted_rise(objective, d, radius=(0.1, 2.0))
    for k, r in enumerate((0.1, 2.0)):
        exact = float(objective.value(objective.start + r * d) - objective.value())
        assert float(found.predicted[0, k]) == pytest.approx(exact, rel=1e-9)


def test_a_later_agreement_by_accident_does_not_count() -> None:
    # kills: the largest radius with a small error, whatever lies below it.
    # Oracle: r^2 / 2 predicted and r^2 / 2 + r^3 - r^4 measured: equal again at r = 1.
    objective = form(lambda w: 0.5 * w[0] ** 2 + w[0] ** 3 - w[0] ** 4, [0.0])
    found = predicted_rise(objective, vector(1.0), radius=(0.01, 0.5, 1.0))
    assert found.relative_error.values[0, 2] < 1e-9
    assert float(found.trust_radius[0]) == 0.01


def test_what_is_lost_in_rounding_is_not_an_error_of_the_prediction() -> None:
    # kills: rises below rounding compared all the same.
    objective = form(lambda w: 1e3 + 0.5 * (w @ w), [0.0, 0.0])
    found = predicted_rise(objective, vector(1.0, 0.0), radius=(1e-6, 1e-2, 1.0))
    assert np.isnan(found.relative_error.values[0]).tolist() == [True, False, False]
    assert float(found.trust_radius[0]) == 1


def test_top_eigenvectors_and_the_gradient_are_found() -> None:
    # kills: the smallest eigenvectors, the gradient downhill.
    objective = bowl([4.0, 1.0, 9.0], [1.0, 1.0, 0.0])
    top = predicted_rise(objective, "top", theta=vector(0.0, 0.0, 0.0), radius=(0.1,), count=2)
    assert top.predicted.values[:, 0] == pytest.approx([0.045, 0.02], rel=1e-6)
    up = predicted_rise(objective, "gradient", radius=(0.1,))
    g = np.array([4.0, 1.0])
    bend = (4 * 16 + 1) / (g @ g)
    exact = 0.1 * np.linalg.norm(g) + 0.5 * 0.01 * bend
    assert up.predicted.values == pytest.approx(np.array([[exact]]), rel=1e-9)


def test_random_directions_have_a_mean_with_its_error() -> None:
    # kills: directions that are not of length one, errors over radii.
    objective = bowl([4.0, 1.0, 0.5, 2.0], [0.0] * 4)
    found = predicted_rise(objective, radius=(0.5, 1.0), count=80)
    exact = 0.5 * 7.5 / 4  # radius 1: half the trace over the number of parameters
    assert abs(float(found.mean_measured[1]) - exact) < 4 * float(found.measured_error[1])
    assert float(found.measured_error[1]) < 0.15 * exact
    values = found.predicted.values[:, 1]
    assert float(found.mean_predicted[1]) == pytest.approx(values.mean(), rel=1e-12)
    error = values.std(ddof=1) / 80**0.5
    assert float(found.predicted_error[1]) == pytest.approx(error, rel=1e-9)
    one = predicted_rise(objective, radius=(1.0,), count=1)
    assert float(one.measured[0, 0]) == float(found.measured[0, 1])


def test_radii_follow_the_norm_of_theta() -> None:
    found = predicted_rise(classifier(), count=1)
    size = float(classifier().start.norm())
    assert found.radius.values[[0, -1]] == pytest.approx([1e-4 * size, size], rel=1e-9)
    assert "mean_measured" in found


def test_where_the_loss_diverges_there_is_no_rise() -> None:
    # kills: a diverged point taken for one with a large rise.
    found = predicted_rise(form(lambda w: -w.log().sum(), [0.5]), vector(-1.0), radius=(1e-3, 1.0))
    assert np.isnan(found.measured.values[0]).tolist() == [False, True]
    assert found.status.values[0].tolist() == [1, DIVERGED]
    assert float(found.trust_radius[0]) == 1e-3


def test_bad_arguments_are_refused_by_name() -> None:
    objective = bowl([4.0, 1.0], [1.0, 1.0])
    with pytest.raises(InvalidArgument, match="directions must be one of 'random', 'top', 'grad"):
        predicted_rise(objective, "bottom")
    with pytest.raises(InvalidArgument, match="radius must be positive"):
        predicted_rise(objective, radius=(0.0, 1.0))
    with pytest.raises(InvalidArgument, match="count must be"):
        predicted_rise(objective, count=0)
    with pytest.raises(InvalidArgument, match=r"the gradient\[0\] is zero"):
        predicted_rise(objective, "gradient", theta=vector(0.0, 0.0))
