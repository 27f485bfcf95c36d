"""Training for a number of updates or to a training loss, whichever comes first."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor, nn

from theodolite.errors import InvalidArgument
from theodolite.training.evaluation import scores
from theodolite.training.gradient_noise import GradientNoise, inject
from theodolite.training.isolation import isolated
from theodolite.training.loop import Bench, bench_of, epoch_batches
from theodolite.training.losses import example_loss
from theodolite.training.recipe import Recipe
from theodolite.training.updates import LossNotFinite, Update

REACHED, BUDGET, DIVERGED = "reached", "budget", "diverged"


@dataclass(frozen=True)
class Stop:
    """When a training ends: after so many updates, or where the training loss is low enough.

    The loss over the whole training set, in eval mode and without label smoothing, is looked at
    every ``check`` updates and at the end. Raises `InvalidArgument` (E-U01).
    """

    updates: int
    loss: float | int | None = None
    check: int = 5

    def __post_init__(self) -> None:
        loss_is_wrong = self.loss is not None and not math.isfinite(self.loss)
        if self.updates < 0 or self.check < 1 or loss_is_wrong:
            raise InvalidArgument(
                "updates must be at least 0, check at least 1 and loss finite; "
                f"got {self.updates}, {self.check} and {self.loss}.",
                where="Stop",
                code="E-U01",
            )

    def outcome(self, updates: int, loss: float) -> str:
        """What a training loss looked at after `updates` ends the training by; "" for nothing."""
        if not math.isfinite(loss):
            return DIVERGED
        if self.loss is not None and loss <= self.loss:
            return REACHED
        return BUDGET if updates == self.updates else ""

    def due(self, updates: int) -> bool:
        """Whether the loss is looked at after so many updates."""
        regular = self.loss is not None and updates > 0 and updates % self.check == 0
        return regular or updates == self.updates


@dataclass(frozen=True, eq=False)
class Trained:
    """Where a training ended: the network in eval mode, its training loss, and why it ended.

    ``outcome`` is "reached" (the loss asked for), "budget" (all updates made) or "diverged"
    (a loss that is not finite; ``loss`` is then NaN and the weights are those before that step).
    """

    model: nn.Module
    loss: float
    updates: int
    outcome: str


def train_until(recipe: Recipe, stop: Stop, *, noise: GradientNoise | None = None) -> Trained:
    """Train by `recipe` until `stop` says so.

    Start, order, updates and schedule are those of `train`: stopped after whole epochs, the
    weights are the same bits. Not scored after every epoch, no folder, no callbacks. ``noise`` is
    added to every gradient of full-batch descent. ``epochs`` of the recipe is only what its
    schedule stretches over.

    Costs a forward and a backward pass of a batch an update (two for "sam" and "asam"), and a
    forward pass over the training set for every look at the loss. Raises `InvalidArgument` for a
    recipe with an averaging (E-U02), and as `train` for models that cannot be trained.

    >>> from theodolite import datasets, models
    >>> data = datasets.digits(limit=50, flatten=True)
    >>> recipe = Recipe(lambda: models.mlp((64, 32, 10)), data, schedule="constant")
    >>> found = train_until(recipe, Stop(updates=500, loss=0.1))
    >>> found.outcome, found.loss <= 0.1
    ('reached', True)
    """
    refuse_averaging(recipe)
    return isolated(precision(recipe), lambda: _trained(recipe, stop, noise))


def precision(recipe: Recipe) -> torch.dtype:
    """The dtype a network is built in: that of the inputs where they are numbers with fractions."""
    x = recipe.data.train[0]
    return x.dtype if x.is_floating_point() else torch.float32


def refuse_averaging(recipe: Recipe) -> None:
    """Raise for a recipe whose result would not be the last weights."""
    if recipe.averaging != "none":
        raise InvalidArgument(
            f"a training to a stop ends with its last weights; averaging is {recipe.averaging!r}.",
            fix='use averaging="none", or train.',
            code="E-U02",
        )


def _trained(recipe: Recipe, stop: Stop, noise: GradientNoise | None) -> Trained:
    bench = bench_of(recipe)
    x, y = (part.to(recipe.device) for part in recipe.data.train)
    loss = example_loss(recipe.loss, smoothing=recipe.label_smoothing)
    update = Update(recipe, bench.model, bench.optimizer, loss, recipe.noise_seed)
    remove = inject(recipe, bench, loss, (x, y), noise) if noise is not None else None
    try:
        for done, batch in enumerate(_batches(recipe)):
            if stop.due(done):
                value = scores(bench.model, example_loss(recipe.loss), (x, y))["loss"]
                outcome = stop.outcome(done, value)
                if outcome:
                    return _ended(bench, value, done, outcome)
            bench.model.train()
            try:
                update(x[batch], y[batch], done)
            except LossNotFinite:
                return _ended(bench, math.nan, done, DIVERGED)
            bench.scheduler.step()
    finally:
        if remove is not None:
            remove()
    raise AssertionError("batches never end")


def _batches(recipe: Recipe) -> Iterator[Tensor]:
    """The batches of epoch after epoch, without end."""
    for epoch in count():
        yield from epoch_batches(recipe, epoch)


def _ended(bench: Bench, loss: float, updates: int, outcome: str) -> Trained:
    bench.model.zero_grad(set_to_none=True)
    kept = math.nan if outcome == DIVERGED else loss
    return Trained(bench.model.eval(), kept, updates, outcome)
