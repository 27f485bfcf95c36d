"""Training that stops at a given training loss, and what is measured where it stopped."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from theodolite.directions import random_directions
from theodolite.errors import TheodoliteWarning
from theodolite.objective import Objective
from theodolite.seeds import torch_generator
from theodolite.surfaces import line
from theodolite.training import Recipe, Run, train
from theodolite.training.recipe import optimizer_of

CHECK = 5
RISE_AT = 0.5


@dataclass(frozen=True, eq=False)
class Matched:
    """A network in eval mode, its training loss, the steps it took, and whether it got there."""

    network: nn.Module
    loss: float
    steps: int
    reached: bool


def quiet_training(recipe: Recipe) -> Run:
    """`train` without the warning of a training that diverges: some are meant to."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TheodoliteWarning)
        return train(recipe)


def trained_to_loss(recipe: Recipe, target: float, *, check: int = CHECK) -> Matched:
    """Train until the cross-entropy over the whole training set is at most `target`.

    Optimizer with its settings, batch size, seed and the most epochs are those of `recipe`; its
    schedule, loss, averaging and micro-batches are not used: the rate is constant. The loss is
    looked at every `check` steps, in eval mode, and training stops at the first one that is low
    enough, or not finite. Starts from the weights `train` starts from. The caller's generators
    are not touched; not checked is that the network draws nothing from them.

    >>> from theodolite import datasets, models
    >>> data = datasets.digits(limit=50, flatten=True)
    >>> found = trained_to_loss(Recipe(lambda: models.mlp((64, 32, 10)), data, epochs=50), 0.1)
    >>> found.reached, found.loss <= 0.1
    (True, True)
    """
    network = train(replace(recipe, epochs=0)).model
    x, y = recipe.data.train
    rule = nn.CrossEntropyLoss()
    optimizer = optimizer_of(recipe, network)
    steps = 0
    for epoch in range(recipe.epochs):
        order = torch.randperm(len(y), generator=torch_generator(recipe.seed, "order", epoch))
        for batch in order.tensor_split(recipe.steps_per_epoch):
            network.train()
            optimizer.step(partial(_gradient, network, rule, optimizer, (x[batch], y[batch])))
            steps += 1
            if steps % check == 0:
                loss = _loss(network, rule, x, y)
                if loss <= target or not math.isfinite(loss):
                    return Matched(network.eval(), loss, steps, loss <= target)
    return Matched(network.eval(), _loss(network, rule, x, y), steps, False)


def _gradient(
    network: nn.Module,
    rule: Callable[[Tensor, Tensor], Tensor],
    optimizer: torch.optim.Optimizer,
    batch: tuple[Tensor, Tensor],
) -> float:
    """Leave the gradient of a batch in the parameters: what an optimizer calls at each point."""
    optimizer.zero_grad(set_to_none=True)
    loss = rule(network(batch[0]), batch[1])
    torch.autograd.backward(loss)
    return float(loss.detach())


def _loss(
    network: nn.Module, rule: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor
) -> float:
    with torch.no_grad():
        return float(rule(network.eval()(x), y))


def error_share(network: nn.Module, pair: tuple[Tensor, Tensor]) -> float:
    """The share of wrong answers.

    >>> error_share(nn.Identity(), (torch.eye(2), torch.tensor([0, 0])))
    0.5
    """
    with torch.no_grad():
        return float((network(pair[0]).argmax(1) != pair[1]).double().mean())


def loss_rise(
    objective: Objective, *, directions: int, seed: int, distance: float = RISE_AT
) -> float:
    r"""The mean rise of the loss along filter-normalized random directions, to both sides.

    .. math:: \tfrac12 \bigl(L(\theta + a d) + L(\theta - a d)\bigr) - L(\theta)

    averaged over `directions`; costs ``3 * directions`` passes.
    """
    drawn = random_directions(objective, count=directions, seed=seed)
    rises = []
    for d in drawn:
        loss = line(objective, d, span=(-distance, distance), steps=3).loss.values
        rises.append((loss[0] + loss[2]) / 2 - loss[1])
    return float(np.mean(rises))
