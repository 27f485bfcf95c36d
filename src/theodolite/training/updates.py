"""One update of the weights from one batch, by one gradient or by two."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from theodolite.seeds import child_seed
from theodolite.training.isolation import seed_streams
from theodolite.training.losses import ExampleLoss
from theodolite.training.recipe import Recipe
from theodolite.training.sharpness_aware import SharpnessAware


class LossNotFinite(ArithmeticError):
    """Ends a training; never reaches the user."""


@dataclass(frozen=True, eq=False)
class Update:
    """What an update needs besides the batch."""

    recipe: Recipe
    model: nn.Module
    optimizer: torch.optim.Optimizer
    loss: ExampleLoss
    order_seed: int

    def __call__(self, x: Tensor, y: Tensor, step: int) -> None:
        """Move the weights by the batch; raises `LossNotFinite` where a loss is none.

        Both passes of "sam" draw the same dropout, so they see one function.
        """
        if not isinstance(self.optimizer, SharpnessAware):
            self.optimizer.zero_grad(set_to_none=True)
            self._gradient(x, y, (step,), 1.0)()
            self.optimizer.step()
            return
        pieces = self.recipe.micro_batches
        if pieces == 1:
            self.optimizer.step(self._gradient(x, y, (step,), 1.0))
            return
        parts = zip(x.tensor_split(pieces), y.tensor_split(pieces), strict=True)
        self.optimizer.step(
            [self._gradient(a, b, (step, k), len(b) / len(y)) for k, (a, b) in enumerate(parts)]
        )

    def _gradient(
        self, x: Tensor, y: Tensor, names: tuple[int, ...], share: float
    ) -> Callable[[], Tensor]:
        """What adds the gradient of ``share`` times the mean loss, with noise of its own seed."""

        def closure() -> Tensor:
            seed_streams(child_seed(self.order_seed, "step", *names), self.recipe.device)
            value = self.loss(self.model(x), y).mean()
            if not math.isfinite(value.item()):
                raise LossNotFinite
            torch.autograd.backward(value if share == 1.0 else share * value)
            return value.detach()

        return closure
