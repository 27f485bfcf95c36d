"""Runs side by side, each in an order of its own.

Oracle: one network trained by torch.optim.SGD from the same weights, in the same order.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from theodolite import datasets
from theodolite.findings.many_starts import Weights, each_loss, starting_weights
from theodolite.findings.runs_side_by_side import (
    constant,
    cosine,
    own_orders,
    run_side_by_side,
)
from theodolite.seeds import torch_generator

WIDTH, EPOCHS = 6, 4
HOW = {"epochs": EPOCHS, "batch_size": 13, "seed": 2}


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Fifty digits, with true labels and with some that are wrong."""
    splits = [datasets.digits(0, limit=50, label_noise=s, flatten=True) for s in (0.0, 0.4)]
    return splits[0].train[0], torch.stack([split.train[1] for split in splits])


def alone(start: Weights, k: int, order: int, y: torch.Tensor) -> tuple[list[torch.Tensor], ...]:
    """The weights of one network after two epochs and at the end."""
    x, _ = data()
    parameters = [nn.Parameter(w[k].clone()) for w in start]
    optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9)
    seen = []
    for epoch in range(EPOCHS):
        drawn = torch.randperm(len(y), generator=torch_generator(2, "order", order, epoch))
        for i, batch in enumerate(drawn.tensor_split(4)):
            done = (epoch + i / 4) % 2
            optimizer.param_groups[0]["lr"] = 0.1 * (1 + math.cos(math.pi * done / 2)) / 2
            optimizer.zero_grad()
            hidden = (x[batch] @ parameters[0] + parameters[1]).relu()
            out = hidden @ parameters[2] + parameters[3]
            nn.functional.cross_entropy(out, y[batch]).backward()
            optimizer.step()
        seen.append([p.detach().clone() for p in parameters])
    return seen[1], seen[-1]


def test_each_network_is_trained_as_if_alone() -> None:
    # kills: one order for all, labels of another network, labels not in the order of the inputs,
    # momentum left out or begun anew with a cycle, a schedule that does not start again, weights
    # that are kept by reference.
    x, labels = data()
    start = starting_weights(64, WIDTH, 10, 2, 2)
    kept = run_side_by_side(
        start, x, labels, rate=cosine(0.1, 2), orders=own_orders(2), looks=(0, 2), **HOW
    )
    assert list(kept) == [0, 2, EPOCHS]
    for k in range(2):
        for epoch, wanted in zip((2, EPOCHS), alone(start, k, k, labels[k]), strict=True):
            for found, own in zip(kept[epoch], wanted, strict=True):
                assert torch.allclose(found[k], own, atol=1e-5)
    for found, own in zip(kept[0], start, strict=True):
        assert torch.equal(found, own)


def test_copies_are_equal_until_they_part() -> None:
    # kills: an order drawn by place instead of number, momentum begun anew where copies part.
    x, labels = data()
    start = [w.repeat(3, 1, 1) for w in starting_weights(64, WIDTH, 10, 1, 2)]

    def parted(epoch: int) -> tuple[int, ...]:
        return (0, 0 if epoch < 2 else 1, 0)

    kept = run_side_by_side(
        start, x, labels[0], rate=cosine(0.1, 2), orders=parted, looks=(2,), **HOW
    )
    apart = [float((w[0] - w[1]).abs().max()) for w in (kept[2][0], kept[EPOCHS][0])]
    assert apart[0] < 1e-6
    assert apart[1] > 1e-3
    assert all(torch.allclose(w[0], w[2], atol=1e-5) for w in kept[EPOCHS])
    _, ended = alone(start, 0, 0, labels[0])
    for found, own in zip(kept[EPOCHS], ended, strict=True):
        assert torch.allclose(found[0], own, atol=1e-5)


def test_the_start_is_left_alone_and_runs_repeat() -> None:
    x, labels = data()
    start = starting_weights(64, WIDTH, 10, 2, 2)
    before = [w.clone() for w in start]
    how = {"rate": constant(0.1), "orders": own_orders(2), **HOW}
    first, again = (run_side_by_side(start, x, labels[0], **how)[EPOCHS] for _ in range(2))
    other = run_side_by_side(start, x, labels[0], **{**how, "seed": 3})[EPOCHS]
    for w, own, a, b in zip(start, before, first, again, strict=True):
        assert torch.equal(w, own)
        assert torch.equal(a, b)
    assert not torch.equal(first[0], other[0])
    assert bool((each_loss(first, x, labels[0]) < each_loss(start, x, labels[0])).all())


def test_rates() -> None:
    # kills: half a cosine read as a whole one, a cycle that ends above zero.
    falling = cosine(0.2, 10)
    assert [falling(d) for d in (0.0, 5.0, 10.0)] == pytest.approx([0.2, 0.1, 0.2])
    assert falling(9.999) == pytest.approx(0.0, abs=1e-8)
    assert {constant(0.3)(d) for d in (0.0, 7.5)} == {0.3}
