"""Noise by layer and direction. Oracles: gradients one by one, and dense matrices."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from noise.regression import OFFSET, gradients, objective, sample
from theodolite.errors import InvalidArgument

N = 24


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()


def problem(weight: Tensor | None = None) -> tuple[td.Objective, Tensor]:
    """An objective and the e_i of its examples."""
    x = sample(N, 0)[0]
    model, y = network(), (x[:, 0] > 0).long()
    rows = []
    for k in range(N):
        loss = nn.functional.cross_entropy(model(x[k : k + 1]), y[k : k + 1])
        rows.append(
            torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, model.parameters())])
        )
    w = torch.ones(N, dtype=torch.float64) if weight is None else weight[y]
    g = torch.stack(rows)
    mean = (w[:, None] * g).sum(0) / w.sum()
    return (
        td.Objective(model, nn.CrossEntropyLoss(weight), (x, y)),
        (w / w.mean())[:, None] * (g - mean),
    )


WEIGHTS = [None, torch.tensor([1.0, 2.5], dtype=torch.float64)]


@pytest.mark.parametrize("weight", WEIGHTS)
def test_the_spectrum_is_that_of_the_covariance(weight):
    # kills: weights not squared, the mean left in, another divisor
    measured, e = problem(weight)
    found = td.noise_spectrum(measured, count=4)
    values = torch.linalg.eigvalsh(e.T @ e / (N - 1)).flip(0)
    assert found.eigenvalue.values == pytest.approx(values[:4].numpy(), rel=1e-6)
    assert float(found.covariance_trace) == pytest.approx(float(values.sum()), rel=1e-10)
    assert (found.eigenvalue_low == found.eigenvalue).all()
    if weight is None:
        dense = td.gradient_covariance(measured).dense()
        assert values == pytest.approx(torch.linalg.eigvalsh(dense).flip(0), abs=1e-12)


def test_intervals_of_eigenvalues_are_those_of_their_influence():
    # kills: a width of another power of N, deviations from another mean
    x, y = sample(400, 0)
    found = td.noise_spectrum(objective(x, y), count=1, theta=OFFSET, population="distribution")
    e = gradients(x, y) - gradients(x, y).mean(0)
    value, vector = (t[..., -1] for t in torch.linalg.eigh(e.T @ e / 399))
    error = float((e @ vector).square().std()) / 20 / float(value)
    told = float(found.eigenvalue_high[0]), float(found.eigenvalue_low[0])
    expected = [float(value) * math.exp(k * 1.96593 * error) for k in (1, -1)]
    assert told == pytest.approx(tuple(expected), rel=1e-5)


def test_such_intervals_hold():
    # the claim behind the test above. Sigma in closed form: inputs of deviations 2, 1, 0.5
    truth, held = 4 * 1.5**2 * 4.0, []
    for seed in range(200):
        e = gradients(*sample(400, seed), 0 * OFFSET)
        e = e - e.mean(0)
        value, vector = (t[..., -1] for t in torch.linalg.eigh(e.T @ e / 399))
        error = float((e @ vector).square().std()) / 20 / float(value)
        held.append(abs(math.log(truth / float(value))) <= 1.96593 * error)
    assert 0.90 <= np.mean(held) <= 0.99


def test_layers_add_up_and_are_those_of_their_gradients():
    # kills: tensors in the wrong layer, a ratio upside down
    measured, e = problem()
    found = td.signal_to_noise(measured)
    whole = td.gradient_noise_scale(measured, curvature=False)
    assert found.layer.values.tolist() == ["0", "2"]
    for name in ("covariance_trace", "gradient_norm_squared"):
        assert float(found[name].sum()) == pytest.approx(float(whole[name]), rel=1e-10)
    first = e[:, : measured.space.layers()["0"][-1].stop]
    g = measured.gradient()[: first.shape[1]]
    expected = float(g @ g) / (float(first.square().sum()) / (N - 1))
    assert float(found.signal_to_noise[0]) == pytest.approx(expected, rel=1e-10)
    sampled = td.signal_to_noise(measured, population="distribution")
    assert (sampled.signal_to_noise_low < sampled.signal_to_noise).all()
    assert (sampled.signal_to_noise < found.signal_to_noise).all()


def test_diversity_is_that_of_the_gradients():
    # kills: the norm of the mean for that of the sum
    x, y = sample(30, 1)
    g = gradients(x, y)
    found = td.gradient_diversity(objective(x, y), theta=OFFSET)
    expected = float(g.square().sum() / g.sum(0).square().sum())
    assert float(found.diversity) == pytest.approx(expected, rel=1e-10)
    noise = td.gradient_noise_scale(objective(x, y), theta=OFFSET, curvature=False)
    bound = 1 + 29 / 30 * float(noise.simple)
    assert float(found.batch_bound) == pytest.approx(bound, rel=1e-10)


def test_alignment_is_that_of_the_dense_matrices():
    # kills: norms without roots, P left out, an error of another size
    measured, e = problem()
    sigma, h = e.T @ e / (N - 1), td.ggn(measured).dense()
    both = float((h @ sigma).trace())
    truth = {
        "alignment": len(h) * both / float(h.trace() * sigma.trace()),
        "cosine": both / float(torch.linalg.norm(h) * torch.linalg.norm(sigma)),
    }
    scores = []
    for seed in range(3):
        found = td.noise_curvature_alignment(measured, matrix="ggn", probes=96, seed=seed)
        for name, value in truth.items():
            width = float(found[f"{name}_high"] - found[name]) / 1.985
            scores.append((float(found[name]) - value) / width)
            assert width < 0.15 * value
    assert 0.2 <= np.square(scores).mean() <= 4


def test_bad_settings_are_refused():
    measured = problem()[0]
    for call, code in (
        (lambda: td.noise_curvature_alignment(measured, matrix="kfac"), "E-Y13"),
        (lambda: td.noise_curvature_alignment(measured, probes=2), "E-Y04"),
        (lambda: td.noise_spectrum(measured, count=0), "E-Y04"),
        (lambda: td.example_gradient_norms(measured, method="magic"), "E-Y12"),
    ):
        with pytest.raises((InvalidArgument, TypeError)) as caught:
            call()
        assert getattr(caught.value, "code", code) == code
