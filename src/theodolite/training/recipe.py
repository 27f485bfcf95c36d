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
from theodolite.training.averaging import EMA, SWA, WeightAverage
from theodolite.training.cycles import CYCLES, check_cycles, cycle_share
from theodolite.training.losses import ExampleLoss, example_loss
from theodolite.training.sharpness_aware import ASAM, SAM

OPTIMIZERS = ("sgd", "gd", "adam", "sam", "asam")
BASES = ("sgd", "adam")
AVERAGES = ("none", "swa", "ema")
RADIUS = {"sam": 0.05, "asam": 0.5}
SCHEDULES = ("constant", "cosine", "step", *CYCLES)
DEVICES = ("cpu", "cuda")


@dataclass(frozen=True, eq=False)
class Recipe:
    """How to train one network: the same recipe gives the same weights, bit for bit.

    ``model`` builds the network and may draw from the global generators of torch, NumPy and
    ``random``, which are seeded for the call; or it is a module, which is copied and trained
    from where it stands. ``loss`` is "cross_entropy", "mse" or a function of outputs and
    targets that returns ``(example,)``. ``optimizer`` is "sgd" (with ``momentum``, and
    ``nesterov``), "gd" (the same over the whole training set at once, whatever ``batch_size``),
    "adam", or "sam" and "asam" around ``base_optimizer`` with radius ``rho`` (None: 0.05, for
    "asam" 0.5), ``eta`` for "asam", and one step uphill for each of ``micro_batches`` parts of a
    batch. ``weight_decay`` acts on every parameter, for "adam" as an L2 penalty. ``schedule``
    is "constant", "cosine" (to zero), "step" (divided by 10 at 1/2 and 3/4 of the training), or
    one of ``cycles`` equal cycles down to the share ``lowest`` of the rate: "triangular" (down and
    up again: FGE) or "restarts" (cosines: snapshot ensembles), collected with `Snapshots`,
    after ``warmup`` epochs that rise linearly from zero. An epoch sees every example once, in
    nearly equal batches of at most ``batch_size``.

    ``seed`` decides the initialization and, unless ``order_seed`` is given, the order of the
    data and the noise of training (dropout): two recipes that differ in ``order_seed`` start
    from the same weights.

    ``averaging`` is "none", "swa" (the weights after each epoch) or "ema" (after each step, with
    ``averaging_decay``), from ``averaging_start`` on, a share of the training. The schedule is
    not changed for it, and one that falls to zero leaves "swa" little to average.

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
    rho: float | int | None = None
    eta: float | int = 0.01
    base_optimizer: str = "sgd"
    micro_batches: int = 1
    averaging: str = "none"
    averaging_start: float | int = 0.5
    averaging_decay: float | int = 0.999
    cycles: int = 1
    lowest: float | int = 0.0

    def __post_init__(self) -> None:
        self._check_counts()
        for name, allowed in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("device", DEVICES),
            ("base_optimizer", BASES),
            ("averaging", AVERAGES),
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
            ("rho", 0, math.inf),
            ("eta", 0, math.inf),
            ("averaging_start", 0, 1),
            ("averaging_decay", 0, 1),
            ("lowest", 0, 1),
        ):
            if getattr(self, name) is None:
                continue
            if not low <= getattr(self, name) <= high or not math.isfinite(getattr(self, name)):
                raise InvalidArgument(
                    f"{name} must lie between {low} and {high}; got {getattr(self, name)}.",
                    where="Recipe",
                    code="E-T46",
                )
        example_loss(self.loss, smoothing=self.label_smoothing)
        check_cycles(self.schedule, self.cycles, self.lowest, self.cycled_steps)

    def _check_counts(self) -> None:
        if self.batch_size < 1 or self.epochs < 0:
            raise InvalidArgument(
                "batch_size must be at least 1 and epochs at least 0; "
                f"got {self.batch_size} and {self.epochs}.",
                where="Recipe",
                code="E-T46",
            )
        if self.nesterov and (self.descent != "sgd" or self.momentum == 0):
            raise InvalidArgument(
                "nesterov needs optimizer='sgd' and a momentum above 0.", code="E-T47"
            )
        sharp = self.optimizer in RADIUS
        if not sharp and (self.rho is not None or self.micro_batches != 1):
            raise InvalidArgument(
                "rho and micro_batches need optimizer='sam' or 'asam'; "
                f"got optimizer={self.optimizer!r}, rho={self.rho}, "
                f"micro_batches={self.micro_batches}.",
                where="Recipe",
                code="E-W20",
            )
        smallest = len(self.data.train[1]) // self.steps_per_epoch if len(self.data.train[1]) else 1
        if not 1 <= self.micro_batches <= smallest:
            raise InvalidArgument(
                f"micro_batches must lie between 1 and the {smallest} examples of the smallest "
                f"batch; got {self.micro_batches}.",
                where="Recipe",
                code="E-W20",
            )
        if not len(self.data.train[1]):
            raise InvalidData(
                "the training set is empty.", where=f"data set {self.data.name!r}", code="E-T48"
            )

    @property
    def descent(self) -> str:
        """The rule that moves the weights: "sgd" or "adam", also inside "gd", "sam" and "asam"."""
        rule = {"gd": "sgd", "adam": "adam", "sgd": "sgd"}
        return rule.get(self.optimizer, self.base_optimizer)

    @property
    def radius(self) -> float | None:
        """The ``rho`` of "sam" and "asam"; None for others."""
        if self.optimizer not in RADIUS:
            return None
        return RADIUS[self.optimizer] if self.rho is None else float(self.rho)

    @property
    def gradients_per_step(self) -> int:
        """Gradients of a batch that an optimizer step takes: 2 for "sam" and "asam", else 1."""
        return 2 if self.optimizer in RADIUS else 1

    @property
    def noise_seed(self) -> int:
        """What decides the order of the data and dropout: ``order_seed``, or else ``seed``."""
        return self.seed if self.order_seed is None else self.order_seed

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch: examples over ``batch_size``, rounded up; 1 for "gd"."""
        if self.optimizer == "gd":
            return 1
        return math.ceil(len(self.data.train[1]) / self.batch_size)

    @property
    def warmup_steps(self) -> int:
        """Optimizer steps of ``warmup``."""
        return round(self.warmup * self.steps_per_epoch)

    @property
    def cycled_steps(self) -> int:
        """Optimizer steps after ``warmup``."""
        return self.epochs * self.steps_per_epoch - self.warmup_steps

    def settings(self) -> dict[str, Any]:
        """Every field as numbers and words, with the data's own facts and fingerprint."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "data"}
        plain |= {"model": described(self.model), "loss": described(self.loss)}
        plain["rho"] = self.radius
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
    base = _base_optimizer(recipe, [p for p in model.parameters() if p.requires_grad])
    rho = recipe.radius
    if rho is None:
        return base
    if recipe.optimizer == "asam":
        return ASAM(base, model, rho=rho, eta=recipe.eta)
    return SAM(base, model, rho=rho)


def _base_optimizer(recipe: Recipe, trained: list[nn.Parameter]) -> torch.optim.Optimizer:
    if recipe.descent == "adam":
        return torch.optim.Adam(trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    return torch.optim.SGD(
        trained,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        weight_decay=recipe.weight_decay,
    )


def average_of(recipe: Recipe, model: nn.Module) -> WeightAverage | None:
    """The average of the weights that `recipe` asks for.

    With T steps in all it begins at the first step from ``averaging_start * T`` on, which for
    "swa" is the first end of an epoch; the last point is always one of its own.
    """
    per_epoch = recipe.steps_per_epoch
    total = recipe.epochs * per_epoch
    first = math.ceil(round(recipe.averaging_start * total, 6))  # 0.14 * 50 is 7, not above it
    if recipe.averaging == "swa":
        return SWA(model, start=math.ceil(first / per_epoch) * per_epoch, every=per_epoch)
    if recipe.averaging == "ema":
        return EMA(model, decay=recipe.averaging_decay, start=first)
    return None


def learning_rate_share(recipe: Recipe, step: int) -> float:
    """The share of the full learning rate used by the optimizer step after `step` others.

    With T steps in all and W of warmup: ``(step + 1) / W`` before W, then 1, or
    ``(1 + cos(pi u)) / 2`` with ``u = (step - W) / (T - W)``, or 0.1 per passed mark, or
    `cycle_share`.
    """
    total = recipe.epochs * recipe.steps_per_epoch
    warmup = recipe.warmup_steps
    if step < warmup:
        return (step + 1) / warmup
    if recipe.schedule in CYCLES:
        last = min(step, total - 1) - warmup  # the scheduler asks once more after the last step
        return cycle_share(recipe.schedule, last, total - warmup, recipe.cycles, recipe.lowest)
    if recipe.schedule == "cosine":
        done = (step - warmup) / max(total - warmup, 1)
        return 0.5 * (1 + math.cos(math.pi * min(done, 1)))
    if recipe.schedule == "step":
        return float(0.1 ** sum(step >= share * total for share in (0.5, 0.75)))
    return 1.0
