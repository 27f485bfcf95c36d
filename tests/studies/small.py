"""A target of a few hundred parameters with a recipe, for every test of a study."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

import theodolite as td
from theodolite import datasets, models
from theodolite.training import Recipe


def normalized() -> td.Target:
    """The same with BatchNorm."""
    return build(norm="batch")


def build(
    examples: int = 60, dtype: torch.dtype = torch.float32, norm: str | None = None, **changes: Any
) -> td.Target:
    """A perceptron with 8 hidden units on 60 digits, at its start."""
    data = datasets.digits(limit=examples, flatten=True)
    data = data.changed(lambda x, y: (x[:120].to(dtype), y[:120]))
    how: dict[str, Any] = {"batch_size": 15, "epochs": 3, "learning_rate": 0.1, **changes}
    recipe = Recipe(partial(models.mlp, (64, 8, 10), activation="tanh", norm=norm), data, **how)
    torch.manual_seed(0)
    model = recipe.model().to(dtype)
    loss = torch.nn.CrossEntropyLoss()
    test = td.Objective(model, loss, data.test)
    return td.Target(td.Objective(model, loss, data.train), test=test, recipe=recipe)


QUICK: dict[str, Any] = {
    "batch_sizes": [5, 20],
    "rates": [0.05, 0.1],
    "seeds": 2,
    "length": 40,
    "stop_loss": 1.5,
    "check": 4,
    "products": 32,
}
"""A grid that takes seconds."""
