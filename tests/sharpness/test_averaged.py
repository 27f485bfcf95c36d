"""Average sharpness against traces of quadratics, where it is exact in expectation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import t as student

from sharpness.bowls import bowl, classifier, form
from theodolite.errors import InvalidArgument
from theodolite.results import DIVERGED
from theodolite.sharpness import average_sharpness

H, W = [4.0, 1.0, 0.5, 0.25, 2.0], [0.5, -2.0, 1.0, 3.0, -1.0]


def near(value: object, error: object, exact: float) -> bool:
    """Within four standard errors that are themselves small enough to tell factors apart."""
    return abs(float(value) - exact) < 4 * float(error) < 0.5 * exact  # type: ignore[arg-type]


def test_on_a_quadratic_it_is_half_sigma_squared_times_the_trace() -> None:
    # kills: the variance passed as standard deviation, one sign of each pair only.
    found = average_sharpness(bowl(H, W), sigma=(0.3, 0.01), draws=160)
    for k, sigma in enumerate((0.3, 0.01)):
        exact = 0.5 * sigma**2 * sum(H)
        assert near(found.average_sharpness[k], found.standard_error[k], exact)
        assert near(found.second_order[k], found.second_order_error[k], exact)


def test_on_a_quadratic_both_columns_agree_draw_by_draw() -> None:
    # kills: other draws for the products, a factor in the second-order value, sigma not squared.
    found = average_sharpness(bowl(H, W), sigma=(0.3, 0.1), draws=9)
    assert found.second_order_rise.values == pytest.approx(found.rise.values, rel=1e-9)
    assert np.abs(found.higher_order.values).max() < 1e-12


def test_adaptive_draws_are_in_proportion_to_the_weights() -> None:
    # kills: the square of the weight as a standard deviation, no weight at all.
    found = average_sharpness(bowl(H, W), sigma=0.2, adaptive=True, draws=200)
    exact = 0.5 * 0.04 * sum(h * w * w for h, w in zip(H, W, strict=True))
    assert near(found.average_sharpness[0], found.standard_error[0], exact)
    assert found.second_order_rise.values == pytest.approx(found.rise.values, rel=1e-9)


def test_the_fourth_order_is_seen_beyond_the_second() -> None:
    # kills: higher_order with the wrong sign. Oracle: E u^4 = 3 sigma^4.
    found = average_sharpness(form(lambda w: (w**4).sum(), [0.0] * 8), sigma=0.5, draws=200)
    exact = 8 * 3 * 0.5**4
    assert near(found.higher_order[0], found.higher_order_error[0], exact)
    assert float(found.second_order[0]) == 0


def test_intervals_contain_the_truth_about_as_often_as_they_say() -> None:
    # kills: a deviation in place of an error, single signs counted as draws of their own.
    objective, exact, held = bowl([1.0] * 12, [0.3] * 12), 0.5 * 0.01 * 12, 0
    times = student.ppf(0.975, 5)
    for seed in range(200):
        found = average_sharpness(objective, sigma=0.1, draws=6, seed=seed, second_order=False)
        gap = abs(float(found.average_sharpness[0]) - exact)
        held += gap <= times * float(found.standard_error[0])
    assert 180 <= held <= 198


def test_errors_are_those_of_a_mean_over_draws() -> None:
    # kills: the spread of all signs, a population deviation.
    found = average_sharpness(classifier(), sigma=0.1, draws=7)
    assert found.sizes["draw"] == 7
    for mean, error, sample in (
        ("average_sharpness", "standard_error", "rise"),
        ("second_order", "second_order_error", "second_order_rise"),
    ):
        values = found[sample].values[:, 0]
        assert float(found[mean][0]) == pytest.approx(values.mean(), rel=1e-12)
        spread = values.std(ddof=1) / math.sqrt(7)
        assert float(found[error][0]) == pytest.approx(spread, rel=1e-12)


def test_a_draw_depends_on_the_seed_and_its_number_alone() -> None:
    # kills: one stream for all draws, draws that differ between sigmas.
    few = average_sharpness(classifier(), sigma=0.1, draws=3, second_order=False)
    more = average_sharpness(classifier(), sigma=(0.2, 0.1), draws=6, second_order=False)
    assert few.rise.values[:, 0].tolist() == more.rise.values[:3, 1].tolist()
    other = average_sharpness(classifier(), sigma=0.1, draws=3, seed=1, second_order=False)
    assert not np.allclose(few.rise.values, other.rise.values)


def test_pairs_cancel_the_gradient() -> None:
    # kills: independent draws in place of antithetic pairs.
    found = average_sharpness(form(lambda w: 1000 * w.sum(), [0.0] * 5), sigma=0.1, draws=4)
    assert np.abs(found.rise.values).max() < 1e-9


def test_where_the_loss_diverges_there_is_no_number() -> None:
    # kills: a mean over the draws that happened to be finite.
    found = average_sharpness(form(lambda w: -w.log().sum(), [0.5]), sigma=(1.0, 1e-3))
    assert np.isnan(found.average_sharpness.values).tolist() == [True, False]
    assert np.isnan(found.second_order.values).tolist() == [True, False]
    assert found.status.values.tolist() == [DIVERGED, 1]


def test_without_a_hessian_the_rise_is_measured_all_the_same() -> None:
    found = average_sharpness(classifier(), second_order=False)
    assert "second_order" not in found
    assert found.attrs["products"] == 0


def test_bad_arguments_are_refused_by_name() -> None:
    with pytest.raises(InvalidArgument, match="sigma must be positive and finite"):
        average_sharpness(classifier(), sigma=0.0)
    with pytest.raises(InvalidArgument, match="sigma must differ"):
        average_sharpness(classifier(), sigma=(0.1, 0.1))
    with pytest.raises(InvalidArgument, match="draws must be a whole number, 2 or more; got 1"):
        average_sharpness(classifier(), draws=1)
    assert torch.is_grad_enabled()
