"""Networks guessed until one fits, beside networks trained to the same loss, on a few examples."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from theodolite import datasets
from theodolite.findings.many_recipes import trained_together
from theodolite.findings.many_starts import Weights, each_loss, starting_weights
from theodolite.seeds import child_seed, torch_generator

AT_ONCE = 5000


@dataclass(frozen=True)
class Few:
    """Two digits to be told apart from few examples, and the training loss that counts as fit."""

    classes: tuple[int, int] = (4, 9)
    examples: int = 8
    width: int = 8
    target: float = 0.5
    guesses: int = 20_000
    trained: int = 20
    rate: float = 0.01


Pair = tuple[Tensor, Tensor]


def two_digits(few: Few, seed: int) -> tuple[Pair, Pair]:
    """A training set with as many examples of each of two digits, and all other images of them."""
    split = datasets.digits(seed, flatten=True)
    x, y = (torch.cat(part) for part in zip(*split.parts().values(), strict=True))
    order = torch.randperm(len(y), generator=torch_generator(seed, "two digits"))
    x, y = x[order], y[order]
    found = [(y == c).nonzero()[:, 0] for c in few.classes]
    half = few.examples // 2
    train, new = (
        torch.cat([rows[part] for rows in found]) for part in (slice(half), slice(half, None))
    )
    labels = (y == few.classes[1]).long()
    return (x[train], labels[train]), (x[new], labels[new])


def each_error(weights: Weights, pair: Pair) -> Tensor:
    """The share of wrong answers of each network."""
    first, bias, second, last = weights
    outputs = (pair[0] @ first + bias).relu() @ second + last
    return (outputs.argmax(2) != pair[1]).double().mean(1)


def guessed(few: Few, seed: int) -> tuple[float, int]:
    """Mean error on new data of random networks that fit the training set, and how many did.

    Weights are drawn as for an initialization until `guesses` networks have been looked at; those
    with a training loss of at most `target` are kept. NaN where there are none. Source: Chiang et
    al. (2023), Loss Landscapes are All You Need, ICLR.
    """
    train, new = two_digits(few, seed)
    found = []
    for first in range(0, few.guesses, AT_ONCE):
        many = min(AT_ONCE, few.guesses - first)
        drawn = child_seed(seed, "guesses", first)
        weights = starting_weights(train[0].shape[1], few.width, 2, many, drawn)
        fit = each_loss(weights, *train) <= few.target
        if bool(fit.any()):
            found.append(each_error([w[fit] for w in weights], new))
    errors = torch.cat(found) if found else torch.empty(0, dtype=torch.float64)
    return float(errors.mean()), len(errors)


def trained(few: Few, seed: int, *, batch_size: int) -> float:
    """Mean error on new data of networks trained on the same examples to the same loss."""
    train, new = two_digits(few, seed)
    ends = trained_together(
        train[0],
        train[1].expand(few.trained, -1),
        width=few.width,
        rates=[few.rate] * few.trained,
        decays=[0.0] * few.trained,
        batch_size=batch_size,
        target=few.target,
        epochs=2000,
        seed=seed,
    )
    return float(each_error([w[ends.reached] for w in ends.weights], new).mean())
