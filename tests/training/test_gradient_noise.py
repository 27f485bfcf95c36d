"""Noise added to full-batch descent. Oracle: the covariance of a linear regression's gradients."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from theodolite import datasets, models
from theodolite.errors import InvalidArgument, UnsupportedModel
from theodolite.training import Recipe
from theodolite.training.gradient_noise import GradientNoise, noise_draw
from theodolite.training.until import Stop, train_until

N, DRAWS, FACTOR = 6, 4000, 0.2


def regression() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, np.ndarray]:
    """Weights, losses (w x - y)^2, and the unbiased covariance of 2 (w x - y) x in closed form."""
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(N, 2, generator=generator, dtype=torch.float64) * torch.tensor([3.0, 0.3])
    y = torch.randn(N, generator=generator, dtype=torch.float64)
    w = torch.tensor([0.5, -1.0], dtype=torch.float64, requires_grad=True)
    rows = (2 * (x @ w - y)[:, None] * x).detach().numpy()
    return w, x, y, np.cov(rows.T, ddof=1)


def draws(kind: str) -> tuple[np.ndarray, np.ndarray]:
    w, x, y, covariance = regression()
    generator = torch.Generator().manual_seed(0)
    made = []
    for _ in range(DRAWS):
        (e,) = noise_draw((x @ w - y) ** 2, [w], GradientNoise(FACTOR, kind), generator)
        made.append(e.numpy())
    return np.array(made), FACTOR * covariance


def test_the_covariance_is_that_of_the_gradients_times_the_factor():
    # kills: divisor N, a mean that is not taken out, the factor itself in place of its root
    found, wanted = draws("covariance")
    products = found[:, :, None] * found[:, None, :]
    error = products.std(0) / math.sqrt(DRAWS)
    assert (np.abs(products.mean(0) - wanted) < 4 * error).all()
    assert (np.abs(found.mean(0)) < 4 * found.std(0) / math.sqrt(DRAWS)).all()


def test_a_draw_is_gaussian():
    # kills: random signs in place of normal weights: kurtosis below 3 with so few examples
    first = draws("covariance")[0][:, 0]
    kurtosis = float((first**4).mean() / (first**2).mean() ** 2)
    assert abs(kurtosis - 3) < 4 * math.sqrt(24 / DRAWS)


def test_isotropic_noise_has_the_same_trace_in_all_directions_alike():
    # kills: a trace divided twice by the parameters, a direction of the gradient left in
    found, wanted = draws("isotropic")
    trace = np.trace(wanted)
    products = found[:, :, None] * found[:, None, :]
    error = products.std(0) / math.sqrt(DRAWS)
    assert (np.abs(products.mean(0) - trace / 2 * np.eye(2)) < 4 * error).all()
    assert wanted[0, 0] > 3 * trace / 4  # the other kind is far from isotropic


def test_the_noise_is_that_of_batches_without_replacement():
    # kills: a factor of 1 / B for batches drawn from N: all 15 pairs of examples, enumerated
    w, x, y, covariance = regression()
    pairs = [[i, j] for i in range(N) for j in range(i)]
    each = (2 * (x @ w - y)[:, None] * x).detach().numpy()
    rows = np.array([each[p].mean(0) for p in pairs])
    exact = (rows - rows.mean(0)).T @ (rows - rows.mean(0)) / len(pairs)
    np.testing.assert_allclose(exact, (1 / 2 - 1 / N) * covariance, rtol=1e-12)


def recipe(**changes) -> Recipe:
    data = datasets.digits(limit=40, flatten=True)
    how = {"optimizer": "gd", "schedule": "constant", "momentum": 0.0, "epochs": 1, **changes}
    return Recipe(partial(models.mlp, (64, 8, 10)), data, **how)


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def test_a_step_is_the_plain_step_minus_rate_times_a_draw():
    # kills: noise that replaces the gradient, is added after the step, or once for all steps
    one = recipe(learning_rate=0.1)
    plain = weights(train_until(one, Stop(1)).model)
    noisy = weights(train_until(one, Stop(1), noise=GradientNoise(0.3)).model)
    again = weights(train_until(one, Stop(1), noise=GradientNoise(0.3)).model)
    four = weights(train_until(one, Stop(1), noise=GradientNoise(1.2)).model)
    assert torch.equal(noisy, again)
    gap = noisy - plain
    assert float(gap.norm()) > 0
    torch.testing.assert_close(four - plain, 2 * gap, rtol=1e-3, atol=1e-6)
    none = weights(train_until(one, Stop(3), noise=GradientNoise(0.0)).model)
    torch.testing.assert_close(none, weights(train_until(one, Stop(3)).model))
    steps = [weights(train_until(one, Stop(k), noise=GradientNoise(0.3)).model) for k in (1, 2)]
    drift = [weights(train_until(one, Stop(k)).model) for k in (1, 2)]
    second = (steps[1] - steps[0]) - (drift[1] - drift[0])
    cosine = float(second @ gap / second.norm() / gap.norm())
    assert abs(cosine) < 0.9


def test_what_has_no_noise_of_examples_is_refused():
    with pytest.raises(InvalidArgument) as caught:
        train_until(recipe(optimizer="sgd"), Stop(1), noise=GradientNoise(0.1))
    assert caught.value.code == "E-U04"
    normal = replace(recipe(), model=partial(models.mlp, (64, 8, 10), norm="batch"))
    with pytest.raises(UnsupportedModel) as refused:
        train_until(normal, Stop(1), noise=GradientNoise(0.1))
    assert refused.value.code == "E-U05"
    for wrong in (lambda: GradientNoise(-1.0), lambda: GradientNoise(0.1, "pink")):
        with pytest.raises(InvalidArgument) as odd:
            wrong()
        assert odd.value.code == "E-U03"
