"""The gradient noise scale. Oracles: linear regression in closed form; gradients one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

import theodolite as td
from noise.regression import OFFSET, gradients, objective, population, sample
from theodolite.errors import InvalidArgument, UnsupportedModel
from theodolite.noise.hessian_noise import NoiseCurvature, sampled
from theodolite.noise.moments import Moments, moments
from theodolite.noise.noise_scale import first_order

FIRST = ("simple", "covariance_trace", "gradient_norm_squared")
NAMES = (*FIRST, "hessian_weighted", "hessian_covariance_trace", "gradient_curvature")


class Centered(nn.Module):
    """Takes the mean over examples off."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sin() - x.mean(0)


def test_every_number_of_the_data_is_exact():
    # kills: 1/N for 1/(N-1), tr(Sigma)/N taken off, H of another scale, Sigma not centered
    x, y = sample(30, 0)
    g, h = gradients(x, y), 2 * x.T @ x / len(x)
    sigma, mean = torch.cov(g.T), g.mean(0)
    expected = {
        "covariance_trace": sigma.trace(),
        "gradient_norm_squared": mean @ mean,
        "simple": sigma.trace() / (mean @ mean),
        "hessian_covariance_trace": (h @ sigma).trace(),
        "gradient_curvature": mean @ h @ mean,
        "hessian_weighted": (h @ sigma).trace() / (mean @ h @ mean),
    }
    found = td.gradient_noise_scale(objective(x, y, batch_size=11), theta=OFFSET)
    for name, value in expected.items():
        for end in ("", "_low", "_high"):
            assert float(found[name + end]) == pytest.approx(float(value), rel=1e-10), name + end
    assert found.attrs["method"] == "exact"
    assert found.attrs["ways"] == '{"ghost": 1}'


def test_a_loss_that_is_a_sum_has_the_noise_of_its_mean():
    # kills: the sum's scale left in the gradient. The Hessian is of the sum, and so is its part
    x, y = sample(30, 0)
    mean, total = (
        td.gradient_noise_scale(objective(x, y, nn.MSELoss(reduction=r)), theta=OFFSET)
        for r in ("mean", "sum")
    )
    for name in (*FIRST, "hessian_weighted"):
        assert float(total[name]) == pytest.approx(float(mean[name]), rel=1e-10), name


def test_the_trace_with_the_hessian_is_estimated_where_the_data_are_many():
    # kills: K of another scale, its mean not taken off, an error of another size
    g = torch.Generator().manual_seed(1)
    x = torch.randn(200, 60, dtype=torch.float64, generator=g)
    y = torch.randn(200, 1, dtype=torch.float64, generator=g)
    problem = td.Objective(nn.Linear(60, 1, bias=False).double(), nn.MSELoss(), (x, y))
    rows, h = gradients(x, y, problem.start), 2 * x.T @ x / 200
    truth, mean = float((h @ torch.cov(rows.T)).trace()), rows.mean(0)
    scores = []
    for seed in range(6):
        found = td.gradient_noise_scale(problem, max_products=32, seed=seed)
        assert found.attrs["method"] == "hutchinson"
        assert float(found.gradient_curvature) == pytest.approx(float(mean @ h @ mean))
        value, high = (float(found[f"hessian_covariance_trace{k}"]) for k in ("", "_high"))
        scores.append((value - truth) / (high - value) * 2.13)  # the quantile of 16 probes
    assert 0.3 <= float(np.square(scores).mean()) <= 3
    assert abs(np.mean(scores)) <= 4 / 6**0.5


def moments_of(x: torch.Tensor, y: torch.Tensor, shared: td.Objective) -> Moments:
    """What `moments` finds, from the formula: thousands of samples in a second."""
    g = gradients(x, y)
    n, mean = len(g), g.mean(0)
    even = torch.full((n,), 1 / n, dtype=torch.float64)
    squares, along = g.square().sum(1)[:, None], (g @ mean)[:, None]
    return Moments(
        shared, OFFSET, mean, even, squares, along, torch.zeros(n, 1, 0).double(), {}, {}
    )


def test_estimates_over_samples_are_unbiased_and_their_intervals_hold():
    # kills: |g|^2 without the correction, intervals of another width, influence of the wrong sign
    shared, truth = objective(*sample(3, 0)), population()
    made = [first_order(moments_of(*sample(300, s), shared), 1.0, 0.95) for s in range(200)]
    for name in FIRST:
        value, low, high = np.array([m[name] for m in made]).T
        if name != "simple":  # a ratio has a bias of order 1 / N
            error = value.std(ddof=1) / len(value) ** 0.5
            assert abs(value.mean() - truth[name]) <= 4 * error, name
        held = ((low <= truth[name]) & (truth[name] <= high)).mean()
        assert 0.90 <= held <= 0.99, (name, held)


def test_moments_are_those_the_formula_gives():
    # the link between the test above and an objective
    x, y = sample(20, 5)
    made = td.gradient_noise_scale(
        objective(x, y), theta=OFFSET, population="distribution", curvature=False
    )
    shared = objective(x, y)
    for name, ends in first_order(moments_of(x, y, shared), 1.0, 0.95).items():
        found = [float(made[name + end]) for end in ("", "_low", "_high")]
        assert found == pytest.approx(list(ends), rel=1e-9), name


def test_errors_over_examples_are_those_of_the_jackknife():
    # kills: an example's own Hessian left out, a share of the wrong sign, chances not divided by
    x, y = sample(500, 6)

    def second(keep: torch.Tensor) -> tuple[float, float]:
        g, h = gradients(x[keep], y[keep]), 2 * x[keep].T @ x[keep] / len(keep)
        return float((h @ torch.cov(g.T)).trace()), float(g.mean(0) @ h @ g.mean(0))

    every = torch.arange(500)
    left_out = np.array([second(every[every != k]) for k in every])
    gaps = left_out - left_out.mean(0)
    expected = gaps.T @ gaps * 499 / 500
    shared = objective(x, y)
    found = moments(shared, OFFSET)
    exact = NoiseCurvature(*second(every), np.zeros((2, 2)), 2, "exact", 0)
    operator = td.hessian(shared, OFFSET)
    made = sampled(found, operator, exact, unseen=1.0, seed=0, looked=400)
    assert made.covariance[1, 1] == pytest.approx(expected[1, 1], rel=0.05)
    assert made.covariance[0, 0] == pytest.approx(expected[0, 0], rel=0.25)
    assert made.covariance[0, 1] == pytest.approx(expected[0, 1], rel=0.25)
    assert made.along == pytest.approx(exact.along - exact.trace / 500, rel=1e-12)


def test_a_finite_population_lies_between_the_data_and_a_distribution():
    # kills: 1 - N / population turned around or left out of the widths
    x, y = sample(50, 2)
    found = {
        p: td.gradient_noise_scale(objective(x, y), theta=OFFSET, population=p, curvature=False)
        for p in ("data", 50, 100, "distribution")
    }
    spread = float(found["data"].covariance_trace)
    whole = float(found["data"].gradient_norm_squared)
    for p, share in (("data", 0), (50, 0), (100, 0.5), ("distribution", 1)):
        squared = float(found[p].gradient_norm_squared)
        assert squared == pytest.approx(whole - share * spread / 50, rel=1e-12)
    width = {
        p: float(d.gradient_norm_squared_high) - float(d.gradient_norm_squared)
        for p, d in found.items()
    }
    assert width["data"] == width[50] == 0
    assert width[100] == pytest.approx(width["distribution"] / 2**0.5, rel=0.05)


def test_weights_are_those_of_batches_drawn_from_the_data():
    # kills: weights squared or not, another mean. Oracle: all batches of two of five, and
    # the delta method's residuals
    x, y = sample(40, 3)
    labels = (y[:, 0] > 0).long()
    classes = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 3.0], dtype=torch.float64))
    torch.manual_seed(0)
    model = nn.Linear(3, 2).double()
    measured = td.gradient_noise_scale(td.Objective(model, classes, (x, labels)))
    w = torch.tensor([1.0, 3.0], dtype=torch.float64)[labels]
    rows = []
    for k in range(len(x)):
        loss = nn.functional.cross_entropy(model(x[k : k + 1]), labels[k : k + 1])
        pieces = torch.autograd.grad(loss, list(model.parameters()))
        rows.append(torch.cat([p.reshape(-1) for p in pieces]))
    g = torch.stack(rows)
    mean = (w[:, None] * g).sum(0) / w.sum()
    e = (w / w.mean())[:, None] * (g - mean)
    assert float(measured.covariance_trace) == pytest.approx(
        float(e.square().sum()) / 39, rel=1e-10
    )
    generator = torch.Generator().manual_seed(0)
    batches = torch.stack([torch.randperm(40, generator=generator)[:20] for _ in range(4000)])
    each = (w[batches][..., None] * g[batches]).sum(1) / w[batches].sum(1)[:, None]
    seen = (each - mean).square().sum(1)
    told = float(measured.covariance_trace) * td.batch_noise_factor(20, 40)
    assert abs(float(seen.mean()) / told - 1) <= 0.05


def test_a_critical_point_has_no_upper_end_and_equal_gradients_no_noise():
    # kills: a division by zero told as a number
    x = torch.ones(4, 1, dtype=torch.float64)
    model, loss = nn.Linear(1, 1, bias=False).double(), nn.MSELoss()
    opposed = td.Objective(model, loss, (x, torch.tensor([[1.0], [-1], [1], [-1]]).double()))
    at = torch.zeros(1, dtype=torch.float64)
    found = td.gradient_noise_scale(opposed, theta=at)
    assert math.isinf(float(found.simple))
    assert math.isnan(float(found.hessian_weighted))
    assert "not positive" in found.attrs["hessian_weighted_reason"]
    equal = td.Objective(model, loss, (x, x))
    found = td.gradient_noise_scale(equal, theta=at)
    assert float(found.simple) == 0.0
    assert float(found.hessian_weighted) == 0.0


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"population": "world"}, "E-Y05"),
        ({"population": 3}, "E-Y05"),
        ({"level": 1.0}, "E-Y03"),
        ({"tolerance": 0.0}, "E-Y03"),
        ({"max_products": 4}, "E-Y04"),
        ({"looked": 2}, "E-Y04"),
    ],
)
def test_bad_settings_are_refused(settings, code):
    with pytest.raises(InvalidArgument) as caught:
        td.gradient_noise_scale(objective(*sample(9, 0)), **settings)
    assert caught.value.code == code


def test_objectives_without_gradients_of_single_examples_are_refused():
    x, y = sample(9, 0)
    with pytest.raises(InvalidArgument, match="two examples") as caught:
        td.gradient_noise_scale(objective(x[:1], y[:1]))
    assert caught.value.code == "E-Y06"
    with pytest.raises(UnsupportedModel, match="train") as refused:
        td.gradient_noise_scale(objective(x, y, mode="train"))
    assert refused.value.code == "E-Y02"
    own = nn.BatchNorm1d(2, track_running_stats=False)
    for layer, code in ((own, "E-Y18"), (Centered(), "E-Y09")):
        coupled = nn.Sequential(nn.Linear(3, 2), layer, nn.Linear(2, 1)).double()
        with pytest.raises(UnsupportedModel) as met:
            td.gradient_noise_scale(td.Objective(coupled, nn.MSELoss(), (x, y), batch_size=9))
        assert met.value.code == code
