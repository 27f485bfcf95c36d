"""Advice on batch sizes. Oracle: the trade-off it is made of, on a quadratic loss."""

from __future__ import annotations

import math

import numpy as np
import pytest

import theodolite as td
from noise.regression import OFFSET, objective, sample
from theodolite.errors import InvalidArgument


def test_costs_follow_the_best_step_on_a_quadratic():
    # kills: steps for examples, B / Bc upside down. Oracle: the expected fall of a quadratic
    # loss in one step, at its best step size
    found = td.gradient_noise_scale(objective(*sample(60, 0)), theta=OFFSET, tolerance=1e-3)
    g2, ghg, noise = (
        float(found[k])
        for k in ("gradient_norm_squared", "gradient_curvature", "hessian_covariance_trace")
    )
    sizes = [1, 4, 16, 64]
    advice = td.batch_size_advice(found, batch_sizes=sizes)
    assert advice.attrs["from"] == "hessian_weighted"
    eta = np.linspace(1e-4, 0.6, 200_000)
    best = [(eta * g2 - eta**2 / 2 * (ghg + noise / b)).max() for b in sizes]
    limit = (eta * g2 - eta**2 / 2 * ghg).max()
    assert advice.steps_factor.values == pytest.approx(limit / np.array(best), rel=1e-3)
    examples = advice.steps_factor.values * sizes / float(advice.critical_batch_size)
    assert advice.examples_factor.values == pytest.approx(examples, rel=1e-9)


def test_the_range_spans_the_interval_and_may_have_no_end():
    # kills: ends of the interval swapped
    draws = [8.0, 9.0, 7.0, 8.0], [1.9, 2.1, 2.0, 2.0]
    unbounded = td.two_batch_noise_scale(*draws, small_batch=1, large_batch=4)
    advice = td.batch_size_advice(unbounded)
    assert math.isinf(float(advice.range_high))
    assert float(advice.range_low) == pytest.approx(0.1 * float(unbounded.simple_low))
    assert len(advice.attrs["caveats"]) == 4
    assert (advice.steps_factor_low <= advice.steps_factor).all()
    assert (advice.examples_factor_low <= advice.examples_factor).all()


def test_other_results_are_refused():
    noise = td.two_batch_noise_scale([5.0, 7.0], [2.0, 4.0], small_batch=1, large_batch=4)
    with pytest.raises(InvalidArgument) as caught:
        td.batch_size_advice(td.batch_size_advice(noise))
    assert caught.value.code == "E-Y14"
    with pytest.raises(InvalidArgument) as caught:
        td.batch_size_advice(noise, waste=1.0)
    assert caught.value.code == "E-Y15"
