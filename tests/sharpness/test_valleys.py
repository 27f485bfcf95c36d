"""Shifted valleys of linear regression, whose minima along a line are known.

Oracles: the closed form of the minimum, and minima of many fresh samples for its error.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import theodolite as td
from sharpness.bowls import classifier, form, vector
from theodolite.errors import InvalidArgument
from theodolite.sharpness import shifted_valley

WEIGHTS = vector(0.5, -0.3, 1.0)


def sample(examples: int, seed: int) -> tuple[Tensor, Tensor]:
    """Inputs, and targets of a noisy linear rule."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(examples, 3, generator=generator, dtype=torch.float64)
    noise = torch.randn(examples, generator=generator, dtype=torch.float64)
    return x, (x @ vector(0.6, -0.2, 0.9) + noise)[:, None]


def pair() -> tuple[td.Objective, td.Objective]:
    """Train and test objective of one linear model."""
    model = nn.Linear(3, 1, bias=False).double()
    with torch.no_grad():
        model.weight.copy_(WEIGHTS[None])
    return tuple(td.Objective(model, nn.MSELoss(), sample(n, s)) for n, s in ((40, 1), (90, 2)))


def bottom(data: tuple[Tensor, Tensor], d: Tensor) -> tuple[float, float, float]:
    """Minimum, curvature and lowest loss along d."""
    x, y = data
    r, along = x @ WEIGHTS - y[:, 0], x @ d
    alpha = -float((along * r).sum() / (along**2).sum())
    return alpha, 2 * float((along**2).mean()), float(((r + alpha * along) ** 2).mean())


DIRECTIONS = torch.stack([vector(1.0, 0.0, 0.0), vector(0.5, 0.5, -0.5)])


def test_minima_shift_gap_and_excess_are_those_of_the_parabolas() -> None:
    # kills: the grid's lowest point as the minimum, test and training exchanged, a lost half.
    found = shifted_valley(*pair(), directions=DIRECTIONS, span=(-1, 1.1), steps=30)
    for k, d in enumerate(DIRECTIONS):
        ours, ours_bend, ours_low = bottom(sample(40, 1), d)
        theirs, theirs_bend, theirs_low = bottom(sample(90, 2), d)
        excess = 0.5 * theirs_bend * (theirs - ours) ** 2
        exact = {
            "train_minimum": ours,
            "test_minimum": theirs,
            "shift": theirs - ours,
            "train_curvature": ours_bend,
            "test_curvature": theirs_bend,
            "excess": excess,
            "predicted_excess": excess,
            "gap": theirs_low + excess - ours_low,
        }
        for name, value in exact.items():
            assert float(found[name][k]) == pytest.approx(value, rel=1e-7), name
    assert float(found.mean_absolute_shift) == pytest.approx(
        np.abs(found["shift"].values).mean(), rel=1e-12
    )
    assert float(found.mean_excess) == pytest.approx(found.excess.values.mean(), rel=1e-12)
    spread = found.excess.values.std(ddof=1) / 2**0.5
    assert float(found.mean_excess_error) == pytest.approx(spread, rel=1e-9)


def test_errors_are_the_spread_of_minima_over_fresh_samples() -> None:
    # kills: the error of the slope without the curvature, the deviation over examples.
    found = shifted_valley(*pair(), directions=DIRECTIONS)
    for k, d in enumerate(DIRECTIONS):
        for name, size in (("train_minimum", 40), ("test_minimum", 90)):
            fresh = [bottom(sample(size, 1000 + s), d)[0] for s in range(400)]
            ratio = float(found[f"{name}_error"][k]) / np.std(fresh)
            assert 0.6 < ratio < 1.6, (name, k, ratio)
        both = math.hypot(*(float(found[f"{n}_minimum_error"][k]) for n in ("train", "test")))
        assert float(found.shift_error[k]) == pytest.approx(both, rel=1e-12)


def test_a_valley_outside_the_span_has_no_bottom() -> None:
    # kills: the end of the grid as the minimum.
    found = shifted_valley(*pair(), directions=DIRECTIONS, span=(0.8, 1.0))
    assert np.isnan(found["shift"].values).all()
    assert np.isnan(found.excess.values).all()
    assert np.isnan(float(found.mean_excess))


def test_directions_are_random_with_the_norms_of_filters_by_default() -> None:
    # kills: unit vectors, one seed for all.
    network = classifier(activation=nn.Tanh)
    found = shifted_valley(network, network, count=2, steps=9)
    again = shifted_valley(
        network, network, directions=td.random_directions(network, count=2), steps=9
    )
    assert found.train_minimum.values.tolist() == again.train_minimum.values.tolist()
    known = found["shift"].values[np.isfinite(found["shift"].values)]
    assert known.tolist() == [0.0] * len(known)


def test_bad_arguments_are_refused_by_name() -> None:
    train, test = pair()
    with pytest.raises(InvalidArgument, match="test must have the parameters of the objective"):
        shifted_valley(train, form(lambda w: w @ w, [1.0]))
    with pytest.raises(InvalidArgument, match="span must be two numbers, the first below"):
        shifted_valley(train, test, span=(1, -1))
    with pytest.raises(InvalidArgument, match="steps must be a whole number, 5 or more; got 3"):
        shifted_valley(train, test, steps=3)
    with pytest.raises(InvalidArgument, match=r"directions must have shape \(direction, 3\)"):
        shifted_valley(train, test, directions=vector(1.0))
