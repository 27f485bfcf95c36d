"""The recipe of a target as a study trains by it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

import torch

from theodolite.errors import InvalidArgument, InvalidType
from theodolite.seeds import child_seed
from theodolite.surveys.target import Target
from theodolite.training import Recipe
from theodolite.training.until import Stop, Trained, train_until

STARTS = ("own", "target")

AUTO_SHARE = 20
"""Without a loss given, trainings are compared at the loss of the start by so much."""


def recipe_of(target: Target) -> Recipe:
    """The target's recipe, called for where it is a function; raises where there is none (E-U10)
    or something else (E-U11)."""
    found = target.recipe
    if found is None:
        raise InvalidArgument(
            f"the target {target.title} has no recipe, and a study trains by it.",
            why="an objective says what the loss is, not how its weights are found.",
            fix="return td.Target(objective, recipe=td.training.Recipe(model, data, ...)), where "
            "model builds the network and data is a td.datasets split; see docs/studies.md.",
            code="E-U10",
        )
    recipe = found if isinstance(found, Recipe) else found()
    if not isinstance(recipe, Recipe):
        raise InvalidType(
            f"recipe must be a td.training.Recipe or return one; got {type(recipe).__name__}.",
            fix="return td.Target(objective, recipe=td.training.Recipe(model, data, ...)).",
            code="E-U11",
        )
    return recipe


def started(target: Target, recipe: Recipe, start: str, seed: int, number: int) -> Recipe:
    """The recipe of the study's seed `number`: from a start of its own, or from the target's.

    Runs of one seed share the start, and with one batch size the order of the data.
    """
    own = child_seed(seed, "study", number)
    model = recipe.model if start == "own" else target.objective.model
    return replace(
        recipe, model=model, seed=own, order_seed=None, schedule="constant", averaging="none"
    )


def at_start(target: Target, recipe: Recipe, settings: Any, seed: int) -> Trained:
    """The network and the training loss before any training, of the first seed."""
    return train_until(started(target, recipe, settings["start"], seed, 0), Stop(0))


def auto_loss(trained: Trained) -> float:
    """A twentieth of the loss at the start, to two digits."""
    return float(f"{trained.loss / AUTO_SHARE:.2g}")


def digest(recipe: Recipe, start: Trained) -> str:
    """What of a recipe decides the numbers: its settings, its data, and the first start."""
    made = hashlib.blake2b(json.dumps(recipe.settings(), default=str).encode(), digest_size=8)
    for name, value in sorted(start.model.state_dict().items()):
        if isinstance(value, torch.Tensor):
            made.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
            flat = value.detach().cpu().contiguous().reshape(-1)
            made.update(flat.view(torch.uint8).numpy().tobytes())
    return made.hexdigest()


def refuse_other_layout(target: Target, start: Trained) -> None:
    """Raise where the recipe trains another network than the objective measures (E-U12)."""
    wanted = {e.name: tuple(e.shape) for e in target.objective.space.entries}
    found = {n: tuple(p.shape) for n, p in start.model.named_parameters() if p.requires_grad}
    if wanted == found:
        return
    names = [n for n in {**wanted, **found} if wanted.get(n) != found.get(n)]
    raise InvalidArgument(
        "the recipe trains another network than the target's objective measures.",
        where=f"{names[0]}: {found.get(names[0], 'absent')} in the recipe's model, "
        f"{wanted.get(names[0], 'absent')} in the objective's",
        fix="build both from the same function.",
        code="E-U12",
    )
