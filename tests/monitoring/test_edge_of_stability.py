"""Full-batch gradient descent ends at the edge of stability (Cohen et al. 2021).

Oracle: the theorem for quadratics and the published finding: the sharpness rises to 2 / eta and
stays there, while updates begin to point back and forth.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

import theodolite as td
from theodolite import datasets

ETA = 0.4


def half_square(outputs: Tensor, targets: Tensor) -> Tensor:
    return ((outputs - targets) ** 2).sum(1) / 2


def test_the_sharpness_rises_to_the_threshold_and_stays() -> None:
    # Kills: a threshold of another rule or rate; the Hessian of another loss or of the start.
    torch.manual_seed(0)
    split = datasets.digits(limit=500, flatten=True)
    x, y = split.train
    x, y = x - x.mean(0), nn.functional.one_hot(y, 10).float()
    model = nn.Sequential(
        nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 10)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=ETA)
    monitor = td.Monitor(
        td.Objective(model, half_square, (x, y)),
        every=300,
        budget=None,
        measures=["loss", "path", "threshold"],
    )
    for _ in range(1500):
        optimizer.zero_grad()
        half_square(model(x), y).mean().backward()
        optimizer.step()
        monitor.step(optimizer)
    history = monitor.history()
    relative = history["relative_sharpness"].values
    assert history["threshold"].values.tolist() == [2 / ETA] * 5
    assert relative[0] < 0.95
    assert (abs(relative[3:] - 1) < 0.08).all(), relative
    assert (history["step_angle"].values[3:] > 150).all()
    assert history["loss"].values[-1] < 0.5 * history["loss"].values[0]
