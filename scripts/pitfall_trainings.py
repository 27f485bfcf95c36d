"""Figures of docs/pitfalls.md that need a monitored training."""

from __future__ import annotations

import torch
from torch import nn

import theodolite as td
from theodolite import datasets

STEPS, BATCH = 300, 64


def ratio(mode: str, *, bias: bool) -> float:
    """Sharpness over Adam's threshold at the end of a training with BatchNorm."""
    torch.manual_seed(0)
    x, y = datasets.digits(limit=512, flatten=True).train
    model = nn.Sequential(
        nn.Linear(64, 32, bias=bias), nn.BatchNorm1d(32), nn.Tanh(), nn.Linear(32, 10)
    )
    model.train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    objective = td.Objective(model, nn.CrossEntropyLoss(), (x, y), mode=mode, batch_size=BATCH)
    monitor = td.Monitor(objective, measures=["threshold"])
    for step in range(STEPS):
        first = step * BATCH % len(x)
        optimizer.zero_grad()
        part = slice(first, first + BATCH)
        nn.functional.cross_entropy(model(x[part]), y[part]).backward()
        optimizer.step()
    found = monitor.measure(optimizer)
    assert found is not None
    return float(found["relative_sharpness"])


def trained_loss() -> str:
    found = {(m, b): ratio(m, bias=b) for m in ("eval", "train") for b in (True, False)}
    return (
        "A perceptron with BatchNorm on the digits after 300 steps of Adam, sharpness over Adam's "
        f"threshold: {found['eval', True]:.2g} in evaluation mode, {found['train', True]:.2g} in "
        f"training mode; without the bias in front of the BatchNorm {found['eval', False]:.2g} "
        f"and {found['train', False]:.2g}."
    )
