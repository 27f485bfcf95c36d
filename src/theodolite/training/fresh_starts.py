"""Weights before training: those a recipe begins with, or layers drawn anew."""

from __future__ import annotations

import copy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from theodolite.errors import InvalidArgument, UnsupportedModel
from theodolite.objective import Objective
from theodolite.seeds import child_seed
from theodolite.training.isolation import isolated, seed_streams
from theodolite.training.recipe import Recipe


def fresh_start(objective: Objective, *, seed: int, recipe: Any = None) -> Float[Tensor, " params"]:
    """A point of freshly initialized weights, shape ``(params,)``; the model is not touched.

    With a `Recipe` whose ``model`` is a function these are the weights that
    ``train(replace(recipe, seed=seed))`` begins with. Else every layer of a copy of the model
    draws its parameters anew by its own ``reset_parameters``. Buffers and frozen parameters stay
    those of the objective. Nothing is evaluated; one copy of the model.

    Raises `InvalidArgument` where the recipe builds other parameters (E-U44), `UnsupportedModel`
    where a layer cannot be drawn anew (E-U45).

    >>> model = nn.Linear(2, 1)
    >>> objective = Objective(model, nn.MSELoss(), (torch.ones(3, 2), torch.zeros(3, 1)))
    >>> a, b = (fresh_start(objective, seed=s) for s in (1, 2))
    >>> a.shape, bool((a == b).any()), bool((a == fresh_start(objective, seed=1)).all())
    (torch.Size([3]), False, True)
    """
    builds = isinstance(recipe, Recipe) and not isinstance(recipe.model, nn.Module)

    def made() -> nn.Module:
        seed_streams(child_seed(seed, "initialization"), "cpu")
        return recipe.model() if builds else _redrawn(objective.model)

    model = isolated(_precision(objective, recipe if builds else None), made)
    named = dict(model.named_parameters(remove_duplicate=False))
    shapes = {
        e.name: tuple(named[e.name].shape) for e in objective.space.entries if e.name in named
    }
    if shapes != {e.name: e.shape for e in objective.space.entries}:
        raise InvalidArgument(
            "the recipe's model has other parameters than the objective's; names or shapes differ.",
            fix="let both come from the same function, or begin at the target's own weights.",
            code="E-U44",
        )
    with torch.no_grad():
        return objective.space.flatten(named).to(objective.start)


def _precision(objective: Objective, recipe: Recipe | None) -> torch.dtype:
    """The precision weights are drawn in, as training draws them."""
    if recipe is None:
        return objective.start.dtype
    x = recipe.data.train[0]
    return x.dtype if x.is_floating_point() else torch.float32


def _redrawn(given: nn.Module) -> nn.Module:
    """A copy whose layers have drawn their parameters anew."""
    model = copy.deepcopy(given)
    for name, module in model.named_modules():
        if not any(p.requires_grad for p in module.parameters(recurse=False)):
            continue
        draw = getattr(module, "reset_parameters", None) or getattr(
            module, "_reset_parameters", None
        )
        if draw is None:
            raise UnsupportedModel(
                "a fresh start needs layers that can draw their parameters anew; "
                f"{name or 'the model'} ({type(module).__name__}) has no reset_parameters.",
                fix="give the target a Recipe whose model is a function, or begin at its own "
                "weights.",
                code="E-U45",
            )
        draw()
    return model
