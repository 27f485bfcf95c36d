"""Trainings of equal length: by updates, by gradients or by examples."""

from __future__ import annotations

from dataclasses import replace

from theodolite.errors import InvalidArgument
from theodolite.training.recipe import Recipe


def lasting(
    recipe: Recipe,
    *,
    updates: int | None = None,
    gradient_evaluations: int | None = None,
    example_gradients: int | None = None,
) -> Recipe:
    r"""The recipe with as many epochs as a budget pays for; exactly one must be given.

    With ``s`` steps an epoch, ``c`` gradients a step (2 for SAM) and ``N`` training examples an
    epoch takes ``s`` updates, ``s c`` gradients of a batch, and ``N c`` gradients of examples.
    Equal updates favor SAM, whose update costs two; equal gradient evaluations give it half the
    updates. Of full-batch gradient descent one evaluation is a whole pass over the data: compare
    it by examples. A budget that is no whole number of epochs is refused (`InvalidArgument`,
    E-W22); the schedule stretches with the epochs.

    >>> from theodolite import datasets, models
    >>> data = datasets.digits(limit=100, flatten=True)
    >>> sam = Recipe(lambda: models.mlp((64, 10)), data, batch_size=25, optimizer="sam")
    >>> sgd = Recipe(lambda: models.mlp((64, 10)), data, batch_size=25)
    >>> [lasting(r, gradient_evaluations=40).epochs for r in (sam, sgd)]
    [5, 10]
    """
    passes = recipe.gradients_per_step
    prices = {
        "updates": recipe.steps_per_epoch,
        "gradient_evaluations": recipe.steps_per_epoch * passes,
        "example_gradients": len(recipe.data.train[1]) * passes,
    }
    budgets = {
        "updates": updates,
        "gradient_evaluations": gradient_evaluations,
        "example_gradients": example_gradients,
    }
    given = {name: value for name, value in budgets.items() if value is not None}
    if len(given) != 1:
        raise InvalidArgument(
            f"give one of {', '.join(budgets)}; got {len(given)}.", where="lasting", code="E-W22"
        )
    ((name, value),) = given.items()
    price = prices[name]
    if value < 0 or value % price:
        raise InvalidArgument(
            f"{name} must be a multiple of {price}, what an epoch takes; got {value}.",
            where="lasting",
            fix=f"use {max(value // price, 0) * price} or {max(value // price + 1, 1) * price}.",
            code="E-W22",
        )
    return replace(recipe, epochs=value // price)
