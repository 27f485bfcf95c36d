"""The trainings of the optimizers: by which rule, at which rates, with which noise."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from theodolite.errors import TheodoliteWarning
from theodolite.noise import batch_noise_factor
from theodolite.studies import settings as shared
from theodolite.studies.ends import end_measures, passes_of
from theodolite.studies.layouts import Layout
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
from theodolite.training.gradient_noise import GradientNoise, takes_noise
from theodolite.training.until import BUDGET, REACHED, Stop, Trained, train_until

NAME = "optimizers"
QUANTITY = "optimizer_study"


@dataclass(frozen=True)
class Rule:
    """An optimizer of the study: the recipe's field, the noise it adds, and the usual rate."""

    optimizer: str
    noise: str | None = None
    rate: float = 0.1


RULES: Mapping[str, Rule] = {
    "sgd": Rule("sgd"),
    "gd": Rule("gd"),
    "gd_batch_noise": Rule("gd", "covariance"),
    "gd_isotropic_noise": Rule("gd", "isotropic"),
    "sam": Rule("sam"),
    "adam": Rule("adam", rate=1e-3),
}
"""By name, in the order in which they are shown; the first is what others are compared with."""

NO_NOISE = (
    "with BatchNorm an example's gradient depends on its batch, so there is no noise of single "
    "examples to add."
)

EXTRA_WORDS = {
    "rate": "learning rate, the best of those tried",
    "example_gradients": "gradients of examples taken, of the training shown",
}


def settled(target: Target, settings: Mapping[str, Any], seed: int, trial: Trial) -> dict[str, Any]:
    """The settings with rules, rates, the loss and the budget named; nothing is tried."""
    recipe, made = recipe_of(target), dict(settings)
    shared.check_shared(made, NAME)
    start = at_start(target, recipe, made, seed)
    made["rules"] = rules_of(made, takes_noise(start.model))
    given = made.get("rates") or {}
    unknown = [k for k in given if k not in RULES]
    if unknown:
        raise shared.wrong(NAME, "rates", f"a table by {', '.join(RULES)}", unknown[0])
    points = count_of(made, NAME, "points")
    made["rates"] = {
        name: shared.rates_of(made, NAME, given.get(name) or default_rates(recipe, name, points))
        for name in made["rules"]
    }
    size = made.get("batch_size") or min(recipe.batch_size, len(recipe.data.train[1]))
    made["batch_size"] = size
    if count_of(made, NAME, "batch_size") > len(recipe.data.train[1]):
        most = f"at most the {len(recipe.data.train[1])} training examples"
        raise shared.wrong(NAME, "batch_size", most, size)
    refuse_other_layout(target, start)
    made["recipe"] = digest(recipe, start)
    if made["stop_loss"] == "auto":
        made["stop_loss"] = auto_loss(start)
    made["length"] = shared.length_of(made, recipe)
    return made


def rules_of(settings: Mapping[str, Any], noisy: bool) -> list[str]:
    """The rules asked for, in the table's order; by default all that the network can have."""
    given = settings.get("rules")
    if not given:
        given = [name for name, rule in RULES.items() if noisy or rule.noise is None]
        left = [name for name in RULES if name not in given]
        if left:
            text = f"{' and '.join(left)} are left out: {NO_NOISE}"
            warnings.warn(text, TheodoliteWarning, stacklevel=2)
    listed = [given] if isinstance(given, str) else list(given)
    strangers = [name for name in listed if name not in RULES]
    if strangers:
        raise shared.wrong(NAME, "rules", f"any of {', '.join(RULES)}", strangers[0])
    return [name for name in RULES if name in listed]


def default_rates(recipe: Recipe, name: str, points: int) -> list[float]:
    """Rates by factors of 3 around the recipe's own, or the rule's usual one."""
    rule = RULES[name]
    same = (recipe.descent == "adam") == (rule.optimizer == "adam")
    middle = recipe.learning_rate if same else rule.rate
    return [float(f"{middle * 3.0 ** (k - points // 2):.3g}") for k in range(points)]


def run_recipe(
    target: Target, recipe: Recipe, settings: Mapping[str, Any], seed: int, cell: Mapping[str, Any]
) -> Recipe:
    """The recipe of one rule and seed, at the recipe's rate still."""
    rule = RULES[cell["optimizer"]]
    own = started(target, recipe, settings["start"], seed, cell["seed"])
    sharp = rule.optimizer == "sam"
    kept = recipe.optimizer == "sam"
    made = replace(
        own,
        optimizer=rule.optimizer,
        batch_size=settings["batch_size"],
        nesterov=recipe.nesterov and rule.optimizer == "sgd",
        rho=recipe.rho if sharp and kept else None,
        micro_batches=recipe.micro_batches if sharp and kept else 1,
        base_optimizer="sgd",
    )
    return replace(made, epochs=math.ceil(updates_of(settings, made) / made.steps_per_epoch))


def updates_of(settings: Mapping[str, Any], recipe: Recipe) -> int:
    """The most updates of a training."""
    length = int(settings["length"])
    return length if settings["budget"] == "updates" else length * recipe.steps_per_epoch


def rows(
    settings: Mapping[str, Any], layout: Layout, seed: int, target: Target, unit: int
) -> list[dict[str, float]]:
    """Train one rule and seed at every rate, and measure the best of these."""
    (cell,) = layout.of_unit(unit)
    recipe = run_recipe(target, recipe_of(target), settings, seed, cell)
    stop = Stop(updates_of(settings, recipe), shared.stop_loss_of(settings), int(settings["check"]))
    kind = RULES[cell["optimizer"]].noise
    noise = None
    if kind is not None:
        examples = len(recipe.data.train[1])
        noise = GradientNoise(batch_noise_factor(int(settings["batch_size"]), examples), kind)
    tried = [
        (rate, train_until(replace(recipe, learning_rate=rate), stop, noise=noise))
        for rate in settings["rates"][cell["optimizer"]]
    ]
    rate, best = min(tried, key=lambda found: preference(found[1]))
    used = len(recipe.data.train[1]) / recipe.steps_per_epoch * recipe.gradients_per_step
    own = {"rate": rate, "example_gradients": best.updates * used}
    return [{**end_measures(target, recipe, best, settings, seed), **own}]


def preference(found: Trained) -> tuple[int, float]:
    """The smaller, the better: at the loss in few updates, else with a low training loss."""
    if found.outcome == REACHED:
        return 0, float(found.updates)
    return (1, found.loss) if found.outcome == BUDGET else (2, 0.0)


def layout_of(settings: Mapping[str, Any]) -> Layout:
    """Every rule with every seed."""
    return Layout({"optimizer": settings["rules"], "seed": list(range(int(settings["seeds"])))})


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """One group; a unit is one rule and seed, at all of its rates."""
    layout = layout_of(settings)
    costs = [passes(target, settings, seed, layout.cell(k)) for k in range(layout.cells)]
    return (
        study_group(
            NAME,
            QUANTITY,
            layout,
            partial(rows, settings, layout, seed),
            partial(facts, settings, seed),
            words=EXTRA_WORDS,
            passes=sum(costs) / len(costs),
        ),
    )


def passes(
    target: Target, settings: Mapping[str, Any], seed: int, cell: Mapping[str, Any]
) -> float:
    """What a unit costs, all its rates and measuring the best, in forward passes."""
    recipe = run_recipe(target, recipe_of(target), settings, seed, cell)
    examples = len(recipe.data.train[1])
    updates = shared.expected(settings, updates_of(settings, recipe))
    rule = RULES[cell["optimizer"]]
    share = max(examples / recipe.steps_per_epoch, 128) / examples
    each = 3 * share * recipe.gradients_per_step + (3 if rule.noise else 0)
    looks = updates / int(settings["check"]) if settings["stop_loss"] != "none" else 1
    trained = len(settings["rates"][cell["optimizer"]]) * (updates * each + looks)
    return trained + passes_of(target, settings)


def facts(settings: Mapping[str, Any], seed: int, target: Target) -> dict[str, Any]:
    """What every unit's result says of the whole study."""
    recipe = recipe_of(target)
    kept = ("budget", "length", "stop_loss", "start", "recipe", "batch_size", "rates")
    return {
        **{k: settings[k] for k in kept},
        "momentum": recipe.momentum,
        "train_examples": len(recipe.data.train[1]),
        "study_seed": seed,
        "objective": target.objective.fingerprint,
    }
