"""Temperatures of SGD. Oracles: SGD itself on a quadratic; all batches of a small data set."""

from __future__ import annotations

import pytest
import torch

import theodolite as td
from theodolite.errors import InvalidArgument


def test_the_factor_is_that_of_all_batches():
    # kills: the correction for a finite population left out or with N - 1
    values = torch.tensor([0.3, -1.0, 2.0, 0.5, 4.0], dtype=torch.float64)
    for size in range(1, 6):
        means = values[torch.combinations(torch.arange(5), size)].mean(1)
        told = td.batch_noise_factor(size, 5) * float(values.var())
        assert float(means.var(correction=0)) == pytest.approx(told, abs=1e-12)
    assert td.batch_noise_factor(4) == 0.25


@pytest.mark.parametrize("momentum", [0.0, 0.8])
def test_sgd_on_a_quadratic_stays_as_far_up_as_told(momentum):
    # kills: a factor of two, momentum on the wrong side, the batch size squared
    eta, batch, curvature = 0.01, 5, torch.tensor([1.0, 4.0], dtype=torch.float64)
    root = torch.tensor([[1.0, 0.0], [0.7, 0.4]], dtype=torch.float64)  # Sigma = R R'
    generator = torch.Generator().manual_seed(0)
    theta = torch.zeros(400, 2, dtype=torch.float64)
    speed, seen = torch.zeros_like(theta), []
    for step in range(3000):
        noise = torch.randn(400, 2, dtype=torch.float64, generator=generator) @ root.T
        speed = momentum * speed - eta * (theta * curvature + noise / batch**0.5)
        theta = theta + speed
        if step >= 1000:
            seen.append(float((theta.square() * curvature).sum(1).mean()) / 2)
    told = td.stationary_excess_loss(eta, batch, float((root @ root.T).trace()), momentum=momentum)
    assert sum(seen) / len(seen) == pytest.approx(told, rel=0.06)


def test_the_formulas_agree_where_they_should():
    # kills: N / B without its 1, momentum left out of one of them
    small = td.smith_le_noise_scale(0.1, 1, 10**6, momentum=0.9)
    ratio = td.step_to_batch_ratio(0.1, 1, momentum=0.9)
    assert small == pytest.approx(ratio * 10**6, rel=1e-5)
    assert td.smith_le_noise_scale(0.1, 64, 64) == 0.0
    factor = td.batch_noise_factor(16, 64)
    assert td.smith_le_noise_scale(0.1, 16, 64) == pytest.approx(0.1 * 64 * factor)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda: td.step_to_batch_ratio(0.0, 4), "E-Y03"),
        (lambda: td.step_to_batch_ratio(0.1, 4, momentum=1.0), "E-Y03"),
        (lambda: td.smith_le_noise_scale(0.1, 65, 64), "E-Y04"),
        (lambda: td.batch_noise_factor(0), "E-Y04"),
        (lambda: td.stationary_excess_loss(0.1, 4, -1.0), "E-Y03"),
    ],
)
def test_impossible_settings_are_refused(call, code):
    with pytest.raises(InvalidArgument) as caught:
        call()
    assert caught.value.code == code
