"""The noise scale during training, and what a report says of its growth.

Oracle: gradients of single examples by hand on a linear model; numbers put into a log.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from tests.monitoring import quadratics
from tests.plots.test_monitored import FACTS, row
from torch import nn

import theodolite as td
from theodolite.monitoring import MEASURES
from theodolite.plots import plot_monitored
from theodolite.reporting.monitored_words import monitor_sentences
from theodolite.reporting.sentences import plain_text
from theodolite.surveys.monitored import Head, history_of


def test_it_is_that_of_gradients_formed_by_hand_at_the_present_weights() -> None:
    # Kills: the start's weights; noise left in the squared norm; a divisor of N; batches for
    # examples.
    model = quadratics.Bowl()
    x, _ = quadratics.data()
    y = torch.randn(30, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    objective = td.Objective(model, quadratics.half_square, (x, y), batch_size=7)
    monitor = td.Monitor(objective, measures=["noise_scale"])
    with torch.no_grad():
        model.first.add_(1.0)
    found = monitor.measure()
    theta = torch.cat([model.first, model.second]).detach()
    slopes = x * (x @ theta - y)[:, None]
    mean = slopes.mean(0)
    trace = float((slopes - mean).square().sum() / 29)
    signal = float(mean @ mean) - trace / 30
    assert found["noise_trace"] == pytest.approx(trace)
    assert found["signal"] == pytest.approx(signal)
    assert found["noise_scale"] == pytest.approx(trace / signal)
    assert found["noise_scale_low"] < found["noise_scale"] < found["noise_scale_high"]


def test_an_objective_without_gradients_of_examples_leaves_it_out() -> None:
    # Kills: a measure that fails at every measurement of every network in training mode.
    data = (torch.randn(8, 3), torch.randn(8, 1))
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    how = {"plain": {}, "training": {"mode": "train"}}
    names = {
        name: {m.name for m in td.Monitor(td.Objective(model, nn.MSELoss(), data, **h)).measures}
        for name, h in how.items()
    }
    assert names["plain"] - names["training"] == {"noise_scale"}
    assert names["plain"] == set(MEASURES) - {"batch_sharpness"}


def noisy(*scales: tuple[float, float, float | None]):
    """A log of noise scales with the ends of their intervals."""
    names = ("noise_scale", "noise_scale_low", "noise_scale_high")
    rows = [
        row(10 * k, 3.0, values=dict(zip(names, s, strict=True)), measured=["noise_scale"])
        for k, s in enumerate(scales, 1)
    ]
    return history_of(Head(FACTS, {}, {"noise_scale": names}), rows)


def test_a_noise_scale_grew_only_where_its_intervals_are_apart() -> None:
    # Kills: growth read off two values within their errors; an infinite end taken for zero.
    def said(*scales: tuple[float, float, float | None]) -> str:
        return " ".join(plain_text(s) for s in monitor_sentences(noisy(*scales)))

    apart = said((10.0, 8.0, 12.0), (50.0, 40.0, None))
    assert apart == (
        "After 20 steps the noise scale is 50 examples (at least 40): it grew 5 times since "
        "step 10."
    )
    assert "its interval meets that at step 10" in said((10.0, 8.0, 12.0), (13.0, 11.0, 16.0))
    assert "its interval meets that" in said((10.0, 8.0, None), (50.0, 40.0, 60.0))
    assert "it fell to 0.5 of that at step 10" in said((10.0, 8.0, 12.0), (5.0, 4.0, 6.0))


def test_an_end_without_limit_is_out_of_the_picture() -> None:
    ax = Figure().add_subplot()
    plot_monitored(noisy((10.0, 8.0, 12.0), (50.0, 40.0, None)), ax, variable="noise_scale")
    (band,) = ax.collections
    extent = band.get_paths()[0].vertices[:, 1]
    assert extent.min() == 8
    assert extent.max() > ax.get_ylim()[1]
    assert ax.get_ylim()[1] < 60
    assert np.allclose(ax.get_lines()[0].get_ydata(), [10, 50])
