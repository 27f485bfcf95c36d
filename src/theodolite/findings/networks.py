"""The trained networks that findings look at: small perceptrons on the digits, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from theodolite import datasets, models
from theodolite.objective import Objective
from theodolite.training import Recipe, train


def trained_perceptron(
    sizes: Sequence[int], *, activation: str, examples: int, epochs: int, seed: int
) -> tuple[nn.Module, tuple[Tensor, Tensor]]:
    """A perceptron trained on the digits by SGD with momentum, and its data, both in float64.

    Rate 0.05, momentum 0.9, batches of 32, cosine schedule; initialization, split and order of
    the data all follow from `seed`.
    """
    data = datasets.digits(seed, limit=examples, flatten=True)
    recipe = Recipe(
        partial(models.mlp, tuple(sizes), activation=activation),
        data,
        learning_rate=0.05,
        batch_size=32,
        epochs=epochs,
        seed=seed,
    )
    x, y = data.train
    return train(recipe).model.double(), (x.double(), y)


def cross_entropy(network: nn.Module, data: tuple[Tensor, Tensor]) -> Objective:
    """The mean cross-entropy of `network` over `data`, in one batch."""
    return Objective(network, nn.CrossEntropyLoss(), data, batch_size=len(data[1]))
