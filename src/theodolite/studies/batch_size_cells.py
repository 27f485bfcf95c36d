"""The cells of a grid of batch sizes and learning rates: settled, laid out, trained, measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from theodolite.errors import InvalidArgument
from theodolite.studies import settings as shared
from theodolite.studies.ends import end_measures, passes_of
from theodolite.studies.layouts import Layout, members_of
from theodolite.studies.recipes import (
    at_start,
    auto_loss,
    digest,
    recipe_of,
    refuse_other_layout,
    started,
)
from theodolite.studies.units import study_group
from theodolite.surveys.groups import Group
from theodolite.surveys.measures.settings import count_of
from theodolite.surveys.plan import Trial
from theodolite.surveys.target import Target
from theodolite.training import Recipe
from theodolite.training.ensemble_planning import training_manner
from theodolite.training.ensembles import train_together, why_alone
from theodolite.training.until import Stop, Trained, train_until

NAME = "batch_size"
QUANTITY = "batch_size_study"
MANNERS = ("auto", "together", "alone")
BATCHES, RATES = 4, 2
"""Factors between neighboring batch sizes and rates where none are given: with them many cells
share a temperature."""
SMALL = 128
"""An update costs no less than a pass over so many examples."""


def settled(target: Target, settings: Mapping[str, Any], seed: int, trial: Trial) -> dict[str, Any]:
    """The settings with the grid, the loss, the budget and the manner of training named."""
    recipe, made = recipe_of(target), dict(settings)
    if recipe.optimizer == "gd":
        raise InvalidArgument(
            "full-batch descent has no batch size to study; the recipe's optimizer is 'gd'.",
            fix="use another optimizer in the recipe, or theodolite study optimizers.",
            code="E-U14",
        )
    shared.check_shared(made, NAME)
    made["batch_sizes"] = batch_sizes_of(made, recipe)
    rates = made.get("rates") or default_rates(recipe.learning_rate, count_of(made, NAME, "points"))
    made["rates"] = shared.rates_of(made, NAME, rates)
    shared.one_of(made, NAME, "training", MANNERS)
    start = at_start(target, recipe, made, seed)
    refuse_other_layout(target, start)
    made["recipe"] = digest(recipe, start)
    if made["stop_loss"] == "auto":
        made["stop_loss"] = auto_loss(start)
    made["length"] = shared.length_of(made, recipe)
    return made | manner(target, recipe, made, seed, trial)


def batch_sizes_of(settings: Mapping[str, Any], recipe: Recipe) -> list[int]:
    """Batch sizes in ascending order, by factors of 4 around the recipe's where none are given."""
    examples, given = len(recipe.data.train[1]), settings.get("batch_sizes")
    if not given:
        top = min(BATCHES * recipe.batch_size, examples)
        powers = range(count_of(settings, NAME, "points"))
        return sorted({max(1, top // BATCHES**k) for k in powers})
    listed = list(given) if isinstance(given, list | tuple) else [given]
    whole = all(isinstance(b, int) and not isinstance(b, bool) for b in listed)
    if not whole or not all(1 <= b <= examples for b in listed):
        raise shared.wrong(
            NAME, "batch_sizes", f"whole numbers from 1 to the {examples} training examples", given
        )
    return sorted(set(listed))


def default_rates(rate: float, points: int) -> list[float]:
    """Rates by factors of 2, one of them above the recipe's.

    >>> default_rates(0.1, 4)
    [0.025, 0.05, 0.1, 0.2]
    """
    return [float(f"{rate * RATES ** (1 - k):.6g}") for k in range(points)][::-1]


def manner(
    target: Target, recipe: Recipe, settings: Mapping[str, Any], seed: int, trial: Trial
) -> dict[str, Any]:
    """Whether trainings of one batch size are made at once, as tried out now or decided before."""
    if settings["training"] == "auto" and trial.kept.get("training") in MANNERS[1:]:
        return {k: trial.kept[k] for k in ("training", "training_reason") if k in trial.kept}
    runs = ensemble(target, recipe, settings, seed)
    if settings["training"] == "auto":
        if not trial.trying:
            return {}
        if not trial.alone:
            return {"training": "alone", "training_reason": "a shard decides without a clock"}
        found = training_manner(runs)
        way = "together" if found.together else "alone"
        return {"training": way, "training_reason": found.reason}
    reason = why_alone(runs) if settings["training"] == "together" else ""
    if reason:
        raise InvalidArgument(
            f"the recipe's networks cannot be trained together: {reason}.",
            fix='use training="auto" or "alone".',
            code="E-U06",
        )
    return {"training_reason": "asked for"}


def ensemble(
    target: Target, recipe: Recipe, settings: Mapping[str, Any], seed: int
) -> list[Recipe]:
    """The trainings of a batch size in the middle, as many as are made at once."""
    sizes = settings["batch_sizes"]
    cells = layout_of({**settings, "training": "together"})
    unit = cells.units * (len(sizes) // 2) // len(sizes)
    return [cell_recipe(target, recipe, settings, seed, c) for c in cells.of_unit(unit)]


def layout_of(settings: Mapping[str, Any]) -> Layout:
    """All cells of the grid with all seeds; those trained at once share a batch size."""
    seeds = list(range(int(settings["seeds"])))
    runs = len(seeds) * len(settings["rates"])
    axes = {
        "batch_size": settings["batch_sizes"],
        "seed": seeds,
        "learning_rate": settings["rates"],
    }
    return Layout(axes, members_of(runs) if settings["training"] == "together" else 1)


def cell_recipe(
    target: Target, recipe: Recipe, settings: Mapping[str, Any], seed: int, cell: Mapping[str, Any]
) -> Recipe:
    """The recipe of one training, as many epochs long as its budget."""
    made = replace(
        started(target, recipe, settings["start"], seed, cell["seed"]),
        batch_size=cell["batch_size"],
        learning_rate=cell["learning_rate"],
    )
    return replace(made, epochs=math.ceil(updates_of(settings, made) / made.steps_per_epoch))


def updates_of(settings: Mapping[str, Any], recipe: Recipe) -> int:
    """The most updates of a training."""
    length = int(settings["length"])
    return length if settings["budget"] == "updates" else length * recipe.steps_per_epoch


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """One group; a unit is one training, or all that are made at once."""
    layout = layout_of(settings)
    cost = sum(passes(target, settings, size) for size in settings["batch_sizes"])
    return (
        study_group(
            NAME,
            QUANTITY,
            layout,
            partial(rows, settings, layout, seed),
            partial(facts, settings, seed),
            passes=layout.members * cost / len(settings["batch_sizes"]),
        ),
    )


def passes(target: Target, settings: Mapping[str, Any], batch_size: int) -> float:
    """What one training of the whole budget costs, and measuring it, in forward passes."""
    recipe = replace(recipe_of(target), batch_size=batch_size)
    updates = shared.expected(settings, updates_of(settings, recipe))
    share = max(batch_size, SMALL) / len(recipe.data.train[1])
    looks = updates / int(settings["check"]) if settings["stop_loss"] != "none" else 1
    return 3 * recipe.gradients_per_step * updates * share + looks + passes_of(target, settings)


def rows(
    settings: Mapping[str, Any], layout: Layout, seed: int, target: Target, unit: int
) -> list[dict[str, float]]:
    """Train the cells of a unit, at once where there are several, and measure where they end."""
    recipe, cells = recipe_of(target), layout.of_unit(unit)
    runs = [cell_recipe(target, recipe, settings, seed, cell) for cell in cells]
    stop = Stop(
        updates_of(settings, runs[0]), shared.stop_loss_of(settings), int(settings["check"])
    )
    ends: Sequence[Trained]
    ends = [train_until(runs[0], stop)] if len(runs) == 1 else train_together(runs, stop)
    return [end_measures(target, r, e, settings, seed) for r, e in zip(runs, ends, strict=True)]


def facts(settings: Mapping[str, Any], seed: int, target: Target) -> dict[str, Any]:
    """What every unit's result says of the whole study."""
    recipe = recipe_of(target)
    kept = ("budget", "length", "stop_loss", "start", "training", "training_reason", "recipe")
    return {
        **{k: settings[k] for k in kept if k in settings},
        "momentum": recipe.momentum if recipe.descent == "sgd" else 0.0,
        "optimizer": recipe.optimizer,
        "train_examples": len(recipe.data.train[1]),
        "study_seed": seed,
        "objective": target.objective.fingerprint,
    }
