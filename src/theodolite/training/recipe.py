"""Everything that decides how a network is trained, as one value."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import nn

from theodolite.datasets import Split
from theodolite.errors import InvalidArgument, InvalidData
from theodolite.training.losses import ExampleLoss, example_loss

OPTIMIZERS = ("sgd", "adam")
SCHEDULES = ("constant", "cosine", "step")
DEVICES = ("cpu", "cuda")


@dataclass(frozen=True, eq=False)
class Recipe:
    """How to train one network: the same recipe gives the same weights, bit for bit.

    ``model`` builds the network and may draw from the global generators of torch, NumPy and
    ``random``, which are seeded for the call; or it is a module, which is copied and trained
    from where it stands. ``loss`` is "cross_entropy", "mse" or a function of outputs and
    targets that returns ``(example,)``. ``optimizer`` is "sgd" (with ``momentum``, and
    ``nesterov``) or "adam"; ``weight_decay`` acts on every parameter, for "adam" as an L2
    penalty. ``schedule`` is "constant", "cosine" (to zero) or "step" (divided by 10 at 1/2
    and 3/4 of the training), after ``warmup`` epochs that rise linearly from zero. An epoch
    sees every example once, in nearly equal batches of at most ``batch_size``.

    ``seed`` decides the initialization and, unless ``order_seed`` is given, the order of the
    data and the noise of training (dropout): two recipes that differ in ``order_seed`` start
    from the same weights.

    Raises `InvalidArgument` naming the field, `InvalidData` for an empty training set. What
    ``model`` returns is checked only by `train`.

    >>> from theodolite import datasets, models
    >>> Recipe(lambda: models.mlp((64, 16, 10)), datasets.digits(), epochs=3).steps_per_epoch
    9
    """

    model: nn.Module | Callable[[], nn.Module]
    data: Split
    loss: str | ExampleLoss = "cross_entropy"
    optimizer: str = "sgd"
    learning_rate: float | int = 0.1
    momentum: float | int = 0.9
    nesterov: bool = False
    weight_decay: float | int = 0.0
    batch_size: int = 128
    epochs: int = 10
    schedule: str = "cosine"
    warmup: float | int = 0.0
    label_smoothing: float | int = 0.0
    seed: int = 0
    order_seed: int | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        self._check_counts()
        for name, allowed in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("device", DEVICES),
        ):
            if getattr(self, name) not in allowed:
                raise InvalidArgument(
                    f"{name} must be one of {', '.join(allowed)}; got {getattr(self, name)!r}.",
                    where="Recipe",
                    code="E-T45",
                )
        for name, low, high in (
            ("learning_rate", 0, math.inf),
            ("momentum", 0, 1),
            ("weight_decay", 0, math.inf),
            ("label_smoothing", 0, 1),
            ("warmup", 0, self.epochs),
        ):
            if not low <= getattr(self, name) <= high or not math.isfinite(getattr(self, name)):
                raise InvalidArgument(
                    f"{name} must lie between {low} and {high}; got {getattr(self, name)}.",
                    where="Recipe",
                    code="E-T46",
                )
        example_loss(self.loss, smoothing=self.label_smoothing)

    def _check_counts(self) -> None:
        if self.batch_size < 1 or self.epochs < 0:
            raise InvalidArgument(
                "batch_size must be at least 1 and epochs at least 0; "
                f"got {self.batch_size} and {self.epochs}.",
                where="Recipe",
                code="E-T46",
            )
        if self.nesterov and (self.optimizer != "sgd" or self.momentum == 0):
            raise InvalidArgument(
                "nesterov needs optimizer='sgd' and a momentum above 0.", code="E-T47"
            )
        if not len(self.data.train[1]):
            raise InvalidData(
                "the training set is empty.", where=f"data set {self.data.name!r}", code="E-T48"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch: examples over ``batch_size``, rounded up."""
        return math.ceil(len(self.data.train[1]) / self.batch_size)

    def settings(self) -> dict[str, Any]:
        """Every field as numbers and words, with the data's own facts and fingerprint."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "data"}
        plain |= {"model": described(self.model), "loss": described(self.loss)}
        data = {"name": self.data.name, "fingerprint": self.data.fingerprint}
        return {**plain, "data": data | self.data.sizes | dict(self.data.facts)}


def described(value: Any) -> str:
    """A callable as one would write the call: ``resnet(20, skip=False)``."""
    if isinstance(value, str):
        return value
    if isinstance(value, functools.partial):
        words = [*map(repr, value.args), *(f"{k}={v!r}" for k, v in value.keywords.items())]
        return f"{described(value.func)}({', '.join(words)})"
    if isinstance(value, nn.Module):
        return type(value).__name__
    return str(getattr(value, "__qualname__", type(value).__name__))


def optimizer_of(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer over the parameters of `model` that require a gradient."""
    trained = [p for p in model.parameters() if p.requires_grad]
    if recipe.optimizer == "adam":
        return torch.optim.Adam(trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    return torch.optim.SGD(
        trained,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
    )


def learning_rate_share(recipe: Recipe, step: int) -> float:
    """The share of the full learning rate used by the optimizer step after `step` others.

    With T steps in all and W of warmup: ``(step + 1) / W`` before W, then 1, or
    ``(1 + cos(pi u)) / 2`` with ``u = (step - W) / (T - W)``, or 0.1 per passed mark.
    """
    total = recipe.epochs * recipe.steps_per_epoch
    warmup = round(recipe.warmup * recipe.steps_per_epoch)
    if step < warmup:
        return (step + 1) / warmup
    if recipe.schedule == "cosine":
        done = (step - warmup) / max(total - warmup, 1)
        return 0.5 * (1 + math.cos(math.pi * min(done, 1)))
    if recipe.schedule == "step":
        return float(0.1 ** sum(step >= share * total for share in (0.5, 0.75)))
    return 1.0
