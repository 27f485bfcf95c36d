"""SWA, EMA and SWAG against brute force over the stored points, and draws against the formula."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from theodolite.errors import InvalidArgument, InvalidData, StorageError
from theodolite.parameters import ParameterSpace
from theodolite.training import EMA, SWA, SWAG, recompute_batch_norm

X = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))


def network() -> nn.Module:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2))
    model[3].bias.requires_grad_(False)
    return model


def walk(model: nn.Module, *, steps: int, seed: int = 0) -> Iterator[Tensor]:
    """Move the weights at random; the flat points after each step are what is seen."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        with torch.no_grad():
            for p in model.parameters():
                if p.requires_grad:
                    p.add_(torch.randn(p.shape, generator=generator))
        yield ParameterSpace.from_model(model).flatten(dict(model.named_parameters())).double()


def path(model: nn.Module, observers: list[object], *, steps: int = 12) -> Tensor:
    points = []
    for step, theta in enumerate(walk(model, steps=steps), start=1):
        points.append(theta)
        for observer in observers:
            observer(step)
    return torch.stack(points)


def flat(model: nn.Module) -> Tensor:
    return ParameterSpace.from_model(model).flatten(dict(model.named_parameters())).double()


def test_swa_is_the_mean_of_the_points_it_took_in() -> None:
    # kills: a start or distance off by one, an exponential mean
    model = network()
    swa = SWA(model, start=3, every=2)
    points = path(model, [swa])
    assert swa.count == 5
    averaged = swa.network(X.split(7))
    assert torch.allclose(flat(averaged), points[[2, 4, 6, 8, 10]].mean(0), atol=1e-5)
    assert torch.equal(averaged[3].bias, model[3].bias)
    assert not averaged.training


def test_ema_is_the_weighted_sum_of_the_points() -> None:
    # kills: decay and 1 - decay swapped, a start at zero
    model = network()
    ema = EMA(model, decay=0.7, start=2)
    points = path(model, [ema])[1:]
    weights = torch.tensor([0.7**10, *(0.3 * 0.7 ** (10 - k) for k in range(1, 11))])
    assert float(weights.sum()) == pytest.approx(1)
    assert torch.allclose(flat(ema.network([X])), weights.double() @ points, atol=1e-5)


@pytest.mark.parametrize("build", [SWA, EMA, partial(SWAG, rank=2)])
def test_averaged_networks_have_their_own_statistics_and_the_model_keeps_its(build: type) -> None:
    # kills: BatchNorm statistics of the last weights under averaged ones
    model = network()
    average = build(model)
    path(model, [average])
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(InvalidArgument, match="running statistics belong to other weights"):
        average.network()
    averaged = average.network(X.split(6))
    expected = copy.deepcopy(averaged)
    recompute_batch_norm(expected, [X])
    with torch.no_grad():
        inputs = averaged[0](X)
    assert torch.allclose(averaged[1].running_mean, inputs.mean(0), atol=1e-5)
    assert torch.allclose(averaged[1].running_var, inputs.var(0, correction=0), rtol=1e-4)
    assert torch.allclose(averaged(X), expected(X), atol=1e-5)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("build", [SWA, partial(EMA, decay=0.8), partial(SWAG, rank=3)])
def test_a_state_continues_to_the_same_bits(build: type) -> None:
    # kills: a count, a moment or a column left out
    model = network()
    whole, part = build(model), build(model)
    for step, _ in enumerate(walk(model, steps=9), start=1):
        whole(step)
        part(step)
        if step == 5:
            saved, part = copy.deepcopy(part.state_dict()), build(model)
            part.load_state_dict(saved)
    ours, theirs = part.state_dict(), whole.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[k], theirs[k]) for k in ours)
    batches = [X]
    assert torch.equal(flat(part.network(batches)), flat(whole.network(batches)))
    if isinstance(part, SWAG):
        assert torch.equal(part.sample_theta(0), whole.sample_theta(0))


@pytest.mark.parametrize("build", [SWA, EMA, SWAG])
def test_the_state_of_another_model_is_refused(build: type) -> None:
    other = build(nn.Linear(3, 4))
    with pytest.raises(StorageError, match="the state is another model's"):
        build(network()).load_state_dict(other.state_dict())


def test_swag_has_the_moments_of_the_stored_points() -> None:
    # kills: squares in float32, n - 1, deviations from the final mean, the oldest column kept
    model = network()
    swag = SWAG(model, rank=4, start=2)
    young = SWAG(model, rank=4)
    path(model, [young], steps=3)
    assert young.deviations.shape[1] == 2  # the first point starts the moments
    points = path(model, [swag])[1:]
    assert torch.allclose(swag.mean, points.mean(0), rtol=1e-12)
    assert torch.allclose(swag.variance, points.var(0, correction=0), rtol=1e-10)
    columns = [points[k] - points[: k + 1].mean(0) for k in range(7, 11)]
    assert swag.deviations.shape == (points.shape[1], 4)
    assert torch.allclose(swag.deviations.double(), torch.stack(columns, 1), atol=1e-6)


def test_the_variance_survives_a_large_mean() -> None:
    # kills: the mean of squares less the square of the mean
    w = nn.Linear(1, 1, bias=False).double()
    swag = SWAG(w, rank=0)
    for step, value in enumerate((1e8 - 1, 1e8, 1e8 + 1)):
        w.weight.data.fill_(value)
        swag(step)
    assert swag.variance.item() == pytest.approx(2 / 3, rel=1e-12)


@pytest.mark.parametrize(("rank", "scale"), [(3, 1.0), (3, 0.25), (0, 2.0)])
def test_draws_have_the_mean_and_covariance_of_the_formula(rank: int, scale: float) -> None:
    # kills: K for K - 1, a factor of 1/2 left out, scale taken for a standard deviation
    model = nn.Linear(2, 2).double()
    swag = SWAG(model, rank=rank)
    path(model, [swag], steps=7)
    draws = 4000
    thetas = torch.stack([swag.sample_theta(seed, scale=scale) for seed in range(draws)])
    d, diagonal = swag.deviations, torch.diag(swag.variance)
    wanted = scale * (0.5 * (diagonal + d @ d.T / 2) if rank else diagonal)
    centered = thetas - swag.mean
    error = wanted.diagonal().div(draws).sqrt()
    assert bool((centered.mean(0).abs() <= 4 * error).all())
    products = centered.unsqueeze(2) * centered.unsqueeze(1)
    gap = (products.mean(0) - wanted).abs()
    assert bool((gap <= 4 * products.std(0) / draws**0.5).all())


def test_draws_are_reproducible_and_scale_moves_along_a_ray() -> None:
    # kills: a global generator, a scale that changes the draw
    model = network()
    swag = SWAG(model, rank=5)
    path(model, [swag])
    torch.manual_seed(5)
    state = torch.get_rng_state()
    one = swag.sample_theta(3)
    torch.manual_seed(6)
    assert torch.equal(one, swag.sample_theta(3))
    assert not torch.equal(one, swag.sample_theta(4))
    torch.set_rng_state(state)
    far = swag.sample_theta(3, scale=4.0).double()
    assert torch.allclose(far - swag.mean, 2 * (one.double() - swag.mean), atol=1e-4)
    assert torch.equal(swag.sample_theta(3, scale=0.0).double(), swag.mean.float().double())
    assert torch.equal(torch.get_rng_state(), state)
    named = swag.sample_state(3)
    assert named.keys() == model.state_dict().keys()
    assert torch.equal(swag.space.flatten(named), one)
    drawn = swag.sample_network(3, [X])
    assert torch.allclose(flat(drawn), one.double())
    assert torch.equal(drawn[3].bias, model[3].bias)


def test_tied_weights_are_drawn_once() -> None:
    # kills: an alias that keeps the model's own weights
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    swag = SWAG(model, rank=0)
    path(model, [swag], steps=3)
    named = swag.sample_state(0)
    assert torch.equal(named["0.weight"], named["1.weight"])
    drawn = swag.sample_network(0)
    assert drawn[0].weight is drawn[1].weight


def test_what_cannot_be_averaged_is_refused() -> None:
    model = nn.Linear(1, 1)
    for build in (SWA, EMA, SWAG):
        with pytest.raises(InvalidArgument, match="every at least 1; got 0 and 0"):
            build(model, every=0)
        with pytest.raises(InvalidData, match="needs 1 points at least; it has taken in 0"):
            build(model).network()
    with pytest.raises(InvalidArgument, match=r"decay must lie between 0 and 1; got 1.1"):
        EMA(model, decay=1.1)
    with pytest.raises(InvalidArgument, match="rank must be 0 or at least 2; got 1"):
        SWAG(model, rank=1)
    swag = SWAG(model)
    for step in range(2):
        swag(step)
    with pytest.raises(InvalidData, match="needs 3 points at least; it has taken in 2"):
        swag.sample_theta(0)
    with pytest.raises(InvalidArgument, match="scale must be a finite number"):
        swag.sample_theta(0, scale=-1.0)
