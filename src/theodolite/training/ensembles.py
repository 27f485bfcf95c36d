"""Several trainings of one network at once, each by its own rate, decay, momentum and order."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional

from theodolite.errors import InvalidArgument
from theodolite.training.evaluation import BATCH
from theodolite.training.isolation import isolated
from theodolite.training.loop import bench_of, epoch_batches
from theodolite.training.losses import ExampleLoss, example_loss
from theodolite.training.recipe import Recipe, learning_rate_share
from theodolite.training.until import DIVERGED, Stop, Trained, precision, refuse_averaging

Named = dict[str, Tensor]

OWN = ("model", "learning_rate", "momentum", "weight_decay", "seed", "order_seed")
"""Fields of a recipe in which the members of an ensemble may differ."""

RULES = ("sgd", "gd")

RANDOM = (
    nn.modules.dropout._DropoutNd,
    nn.RReLU,
    nn.MultiheadAttention,
    nn.RNNBase,
)
"""Modules that may draw random numbers, where their ``dropout`` or ``p`` is above 0."""


def why_alone(recipes: Sequence[Recipe]) -> str:
    """Why these trainings cannot be made at once; empty where nothing is known against it.

    Judged by the recipes and the modules of the first network. What only a gradient shows (a loss
    or a layer without a batching rule, random numbers, buffers that change) raises in
    `train_together`, and `training_manner` finds it out.
    """
    first = recipes[0]
    if first.optimizer not in RULES:
        return f"{first.optimizer} has no batched form here"
    if first.averaging != "none":
        return "averages of weights are kept for one network"
    shared = [f.name for f in fields(Recipe) if f.name not in OWN]
    for name in shared:
        if any(getattr(r, name) is not getattr(first, name) for r in recipes) and any(
            getattr(r, name) != getattr(first, name) for r in recipes
        ):
            return f"the recipes differ in {name}"
    model = isolated(precision(first), lambda: bench_of(first).model)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.track_running_stats:
            return f"{type(module).__name__} keeps running statistics"
        random = getattr(module, "p", getattr(module, "dropout", 0.0))
        if isinstance(module, RANDOM) and (isinstance(module, nn.RReLU) or random):
            return f"{type(module).__name__} draws random numbers"
    return ""


def train_together(recipes: Sequence[Recipe], stop: Stop) -> list[Trained]:
    r"""Train by every recipe at once: one batched pass an update for all, each as if alone.

    The recipes may differ in model (of one architecture), ``learning_rate``, ``momentum``,
    ``weight_decay``, ``seed`` and ``order_seed``; the rule is that of "sgd" or "gd", with
    ``nesterov``. A member that diverges, or reaches the loss of `stop`, drops out and leaves the
    others as they are.

    Each ends where `train_until` ends it, to rounding: the same starts, orders, schedule and
    looks at the loss, but sums in another order. In float32 such rounding grows during a long
    training at a large rate; the trainings are then other draws, no worse ones.

    Costs a forward and backward pass of a batch for every member still in training and an
    update, in one call each. Memory: weights, momenta and gradients of all members, and the
    activations of one batch each. Raises `InvalidArgument` with the reason where they cannot be
    trained so (E-U06). Not checked: that a layer of your own treats examples and members apart.

    >>> from theodolite import datasets, models
    >>> data = datasets.digits(limit=50, flatten=True)
    >>> recipe = Recipe(lambda: models.mlp((64, 16, 10)), data, schedule="constant")
    >>> from dataclasses import replace
    >>> both = [replace(recipe, learning_rate=rate) for rate in (0.05, 0.1)]
    >>> [found.updates for found in train_together(both, Stop(updates=3))]
    [3, 3]
    """
    for recipe in recipes:
        refuse_averaging(recipe)
    reason = why_alone(recipes)
    if reason:
        raise InvalidArgument(
            f"these recipes cannot be trained together: {reason}.",
            where="train_together",
            fix="train each by train_until.",
            code="E-U06",
        )
    return isolated(precision(recipes[0]), lambda: _trained(list(recipes), stop))


@dataclass(eq=False)
class _Members:
    """The members still in training: their numbers, weights by name, momenta and settings."""

    number: list[int]
    weights: Named
    rest: Named
    speeds: Named | None
    settings: dict[str, Tensor]
    recipes: list[Recipe]

    def without(self, ended: Sequence[bool]) -> _Members:
        kept = [k for k, gone in enumerate(ended) if not gone]
        device = next(iter(self.weights.values())).device
        index = torch.tensor(kept, dtype=torch.long, device=device)

        def cut(named: Named) -> Named:
            return {n: t[index] for n, t in named.items()}

        return _Members(
            [self.number[k] for k in kept],
            cut(self.weights),
            cut(self.rest),
            None if self.speeds is None else cut(self.speeds),
            cut(self.settings),
            [self.recipes[k] for k in kept],
        )


@dataclass(frozen=True, eq=False)
class _Passes:
    """The batched functions: gradients of a batch's mean loss, and losses of examples.

    The gradients of all members are those of the sum of their losses: half the cost of a batched
    gradient, and a loss that is not finite stays with its member.
    """

    gradient: Callable[[_Members, Tensor, Tensor, bool], tuple[Named, Tensor]]
    losses: Callable[[_Members, Tensor, Tensor], Tensor]


def _trained(recipes: list[Recipe], stop: Stop) -> list[Trained]:
    models = [bench_of(r).model for r in recipes]
    first = recipes[0]
    x, y = (part.to(first.device) for part in first.data.train)
    _refuse_bad_labels(first, models[0], x, y)
    members, passes = _members(recipes, models), _passes(first, models[0])
    found: dict[int, Trained] = {}

    def end(outcomes: Sequence[str], losses: Sequence[float], done: int) -> _Members:
        for k, outcome in enumerate(outcomes):
            if outcome:
                loss = math.nan if outcome == DIVERGED else losses[k]
                network = _network(models[members.number[k]], members, k)
                found[members.number[k]] = Trained(network, loss, done, outcome)
        return members.without([bool(o) for o in outcomes]) if any(outcomes) else members

    done = 0
    for epoch in count():
        orders = _orders(members.recipes, epoch)
        numbers = list(members.number)
        for i in range(first.steps_per_epoch):
            if stop.due(done):
                means = _mean_losses(passes, members, x, y)
                members = end([stop.outcome(done, v) for v in means], means, done)
            if not members.number:
                return [found[k] for k in range(len(recipes))]
            rows = [numbers.index(k) for k in members.number]
            batches, shared = _batch(orders, rows, i)
            slopes, values = passes.gradient(members, x[batches], y[batches], shared)
            finite = values.isfinite().tolist()
            if not all(finite):
                slopes = {n: g[torch.tensor(finite, device=g.device)] for n, g in slopes.items()}
                members = end(["" if f else DIVERGED for f in finite], [math.nan] * len(rows), done)
            if members.number:
                _update(members, slopes, learning_rate_share(first, done), first.nesterov)
            done += 1
    raise AssertionError("epochs never end")


def _members(recipes: list[Recipe], models: list[nn.Module]) -> _Members:
    trained = [n for n, p in models[0].named_parameters() if p.requires_grad]
    every = [dict(m.named_parameters()) | dict(m.named_buffers()) for m in models]
    stacked = {n: torch.stack([e[n].detach() for e in every]) for n in every[0]}
    like = stacked[trained[0]]
    settings = {
        name: torch.tensor([float(getattr(r, name)) for r in recipes], dtype=torch.float64)
        for name in ("learning_rate", "momentum", "weight_decay")
    }
    return _Members(
        list(range(len(recipes))),
        {n: stacked[n] for n in trained},
        {n: t for n, t in stacked.items() if n not in trained},
        None,
        {n: t.to(like.device) for n, t in settings.items()},
        list(recipes),
    )


def _passes(recipe: Recipe, model: nn.Module) -> _Passes:
    moving, still = copy.deepcopy(model).train(), copy.deepcopy(model).eval()
    smoothed, plain = _batched_loss(recipe, recipe.label_smoothing), _batched_loss(recipe, 0)

    def mean(weights: Named, rest: Named, x: Tensor, y: Tensor) -> Tensor:
        return smoothed(functional_call(moving, {**weights, **rest}, (x,)), y).mean()

    def losses(weights: Named, rest: Named, x: Tensor, y: Tensor) -> Tensor:
        return plain(functional_call(still, {**weights, **rest}, (x,)), y)

    def gradient(members: _Members, x: Tensor, y: Tensor, shared: bool) -> tuple[Named, Tensor]:
        data = None if shared else 0
        leaves = {n: w.detach().requires_grad_() for n, w in members.weights.items()}
        values = vmap(mean, in_dims=(0, 0, data, data))(leaves, members.rest, x, y)
        found = torch.autograd.grad(values.sum(), list(leaves.values()), allow_unused=True)
        slopes = {
            n: torch.zeros_like(w) if g is None else g
            for (n, w), g in zip(leaves.items(), found, strict=True)
        }
        return slopes, values.detach()

    def of_examples(members: _Members, x: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            batched = vmap(losses, in_dims=(0, 0, None, None))
            found: Tensor = batched(members.weights, members.rest, x, y)
            return found

    return _Passes(gradient, of_examples)


def _batched_loss(recipe: Recipe, smoothing: float | int) -> ExampleLoss:
    """The loss without its look at the labels' values, which has no batched form."""
    if recipe.loss == "cross_entropy":
        return lambda outputs, targets: functional.cross_entropy(
            outputs, targets, reduction="none", label_smoothing=smoothing
        )
    return example_loss(recipe.loss)


def _refuse_bad_labels(recipe: Recipe, model: nn.Module, x: Tensor, y: Tensor) -> None:
    """Look at all labels once, as every step of a single training does."""
    with torch.no_grad():
        outputs = model.eval()(x[:1])
    example_loss(recipe.loss)(outputs.expand(len(y), *outputs.shape[1:]), y)


def _orders(recipes: Sequence[Recipe], epoch: int) -> list[tuple[Tensor, ...]]:
    """The batches of every member; one tuple for all whose order is the same."""
    known: dict[int, tuple[Tensor, ...]] = {}
    for r in recipes:
        if r.noise_seed not in known:
            known[r.noise_seed] = epoch_batches(r, epoch)
    return [known[r.noise_seed] for r in recipes]


def _batch(orders: list[tuple[Tensor, ...]], rows: Sequence[int], i: int) -> tuple[Tensor, bool]:
    """Batch `i` of the members in `rows`, and whether it is one and the same for all."""
    batches = [orders[k][i] for k in rows]
    shared = all(b is batches[0] for b in batches)
    return (batches[0] if shared else torch.stack(batches)), shared


def _mean_losses(passes: _Passes, members: _Members, x: Tensor, y: Tensor) -> list[float]:
    parts = zip(torch.split(x, BATCH), torch.split(y, BATCH), strict=True)
    losses = torch.cat([passes.losses(members, a, b).double() for a, b in parts], dim=1)
    return [float(v) for v in losses.mean(1)]


def _update(members: _Members, slopes: Named, share: float, nesterov: bool) -> None:
    """One step of every member, as `torch.optim.SGD` makes it."""
    first = members.speeds is None
    speeds: Named = {} if members.speeds is None else members.speeds
    for name, w in members.weights.items():

        def own(setting: str, w: Tensor = w) -> Tensor:
            values = members.settings[setting]
            return values.to(w.dtype).reshape(-1, *[1] * (w.ndim - 1))

        slope = slopes[name] + own("weight_decay") * w
        beta = own("momentum")
        speeds[name] = slope.clone() if first else speeds[name].mul_(beta).add_(slope)
        step = slope + beta * speeds[name] if nesterov else speeds[name]
        rate = (members.settings["learning_rate"] * share).to(w.dtype)
        w.sub_(rate.reshape(-1, *[1] * (w.ndim - 1)) * step)
    members.speeds = speeds


def _network(model: nn.Module, members: _Members, k: int) -> nn.Module:
    """The network of a member with its weights as they are now."""
    own: dict[str, Any] = dict(model.named_parameters())
    with torch.no_grad():
        for name, w in members.weights.items():
            own[name].copy_(w[k])
    return model.eval()
