"""One training looked at several times: its networks and their losses after given epochs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from theodolite import datasets, models
from theodolite.findings.networks import cross_entropy
from theodolite.objective import Objective
from theodolite.training import Recipe, train

INPUTS, CLASSES = 64, 10
RATE, BATCH_SIZE = 0.1, 32


def digits_recipe(*, width: int, examples: int, seed: int) -> Recipe:
    """A tanh perceptron of one hidden layer on the digits, by plain SGD at a constant rate.

    Rate 0.1, no momentum, batches of 32; initialization, split and order of the data all follow
    from `seed`.
    """
    return Recipe(
        partial(models.mlp, (INPUTS, width, CLASSES), activation="tanh"),
        datasets.digits(seed, limit=examples, flatten=True),
        learning_rate=RATE,
        momentum=0.0,
        batch_size=BATCH_SIZE,
        schedule="constant",
        seed=seed,
    )


def objectives_at(recipe: Recipe, epochs: Sequence[int]) -> Iterator[Objective]:
    """The mean cross-entropy over the training set, at the weights after so many epochs each.

    Made anew in float64 for each, from a training that starts over: as the rate is constant,
    the shorter trainings are the beginnings of the longer ones.

    >>> recipe = digits_recipe(width=4, examples=50, seed=0)
    >>> start, later = objectives_at(recipe, (0, 20))
    >>> bool(later.value() < start.value())
    True
    """
    x, y = recipe.data.train
    for count in epochs:
        network = train(replace(recipe, epochs=count)).model
        yield cross_entropy(network.double(), (x.double(), y))
