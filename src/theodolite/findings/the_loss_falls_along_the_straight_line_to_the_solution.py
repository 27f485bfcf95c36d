"""Claim: on the straight line from initialization to solution, the loss only falls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import xarray as xr
from torch import nn
from torch.nn.utils import parameters_to_vector

from theodolite import datasets, models, results
from theodolite.findings.finding import Finding
from theodolite.findings.matched_training import quiet_training
from theodolite.findings.roughness import largest_rise
from theodolite.findings.verdict import Verdict, at_most, concluded, controlled
from theodolite.intervals.statistics import LEVEL, Estimate, mean_interval, proportion_interval
from theodolite.objective import Objective
from theodolite.surfaces import line
from theodolite.training import Recipe, Run, train

RISE = 1e-3
SHARE = 0.1
CLAIMED = "SGD"
OTHER = "between two solutions"


@dataclass(frozen=True)
class Condition:
    """How networks of one kind are trained."""

    rates: tuple[float, ...]
    optimizer: str = "sgd"
    norm: str | None = None


CONDITIONS = {
    CLAIMED: Condition((0.01, 0.03)),
    "SGD, large rate": Condition((0.1, 0.3)),
    "SGD, BatchNorm": Condition((0.01, 0.03), norm="batch"),
    "Adam": Condition((1e-3, 3e-3), optimizer="adam"),
    "Adam, large rate": Condition((0.03, 0.1), optimizer="adam"),
    "Adam, large rate, BatchNorm": Condition((0.03, 0.1), optimizer="adam", norm="batch"),
}


@dataclass(frozen=True)
class Settings:
    """Networks of one preset: every depth at every rate of every condition."""

    seeds: int = 6
    width: int = 64
    depths: tuple[int, ...] = (1, 2, 3)
    examples: int = 500
    batch_size: int = 50
    epochs: int = 10
    steps: int = 51


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """The loss on the line from start to end of every training, and between two ends."""
    profiles = []
    for condition in CONDITIONS.values():
        runs = _runs(settings, condition, seed)
        profiles.append([profile(_start(run), run, settings.steps) for run in runs])
    runs = _runs(settings, CONDITIONS[CLAIMED], seed)
    others = _runs(settings, CONDITIONS[CLAIMED], seed + 1_000_000, data_seed=seed)
    profiles.append(
        [profile(a.model, b, settings.steps) for a, b in zip(runs, others, strict=True)]
    )
    return results.dataset(
        "finding",
        {
            "loss": (
                ("condition", "network", "alpha"),
                profiles,
                {"long_name": "training loss on the straight line"},
            )
        },
        {
            "condition": [*CONDITIONS, OTHER],
            "network": range(len(runs)),
            "alpha": ("alpha", np.linspace(0, 1, settings.steps), {"long_name": "position"}),
        },
    )


def _runs(
    settings: Settings, condition: Condition, seed: int, data_seed: int | None = None
) -> list[Run]:
    data = datasets.digits(
        seed if data_seed is None else data_seed, limit=settings.examples, flatten=True
    )
    return [
        quiet_training(
            Recipe(
                partial(models.mlp, (64, *[settings.width] * depth, 10), norm=condition.norm),
                data,
                optimizer=condition.optimizer,
                learning_rate=rate,
                batch_size=settings.batch_size,
                epochs=settings.epochs,
                seed=seed,
            )
        )
        for depth in settings.depths
        for rate in condition.rates
    ]


def _start(run: Run) -> nn.Module:
    """The network as it was before training."""
    return train(Recipe(run.recipe.model, run.recipe.data, epochs=0, seed=run.recipe.seed)).model


def profile(start: nn.Module, run: Run, steps: int) -> np.ndarray:
    """The training loss at evenly spaced points from `start` to the end of `run`, in float64.

    BatchNorm's statistics are those of the training set at every point. A network that is not
    finite has none: NaN.
    """
    x, y = run.recipe.data.train
    ends = [parameters_to_vector(m.parameters()).detach().double() for m in (start, run.model)]
    if not bool(torch.isfinite(ends[1]).all()):
        return np.full(steps, np.nan)
    objective = Objective(
        start.double(),
        nn.CrossEntropyLoss(),
        (x.double(), y),
        batch_norm="recompute",
        batch_size=len(y),
    )
    direction = ends[1] - ends[0]
    loss: np.ndarray = line(
        objective, direction, theta=ends[0], span=(0, 1), steps=steps
    ).loss.values
    return loss


def rises(measured: xr.Dataset, condition: str) -> np.ndarray:
    """The largest climb on each line of a condition over its range; trainings that ended finite."""
    lines = measured.loss.sel(condition=condition).transpose("seed", "network", "alpha").values
    flat = lines.reshape(-1, lines.shape[-1])
    return np.array([largest_rise(f) for f in flat if np.isfinite(f).all()])


def climbing(measured: xr.Dataset, condition: str) -> Estimate:
    """The share of lines of a condition that climb, with its exact binomial interval."""
    found = rises(measured, condition)
    return proportion_interval(int((found > RISE).sum()), len(found))


def judge(measured: xr.Dataset) -> Verdict:
    """Lines of SGD at moderate rates, with lines between two solutions as control."""
    return controlled(_judged(measured, CLAIMED), negative=_judged(measured, OTHER))


def _judged(measured: xr.Dataset, condition: str) -> Verdict:
    estimate = climbing(measured, condition)
    which = "start to solution" if condition != OTHER else "solution to another"
    said = (
        f"{round(estimate.value * estimate.count)} of {estimate.count} lines from {which} climb by "
        f"more than {RISE:.1%} of their range (share {estimate.value:.3g} [{estimate.low:.3g}, "
        f"{estimate.high:.3g}]); the largest climb is {rises(measured, condition).max():.2%}."
    )
    if condition == CLAIMED:
        shares = [f"{c} {_share(measured, c)}" for c in CONDITIONS if c != CLAIMED]
        said += f" Share under other conditions: {'; '.join(shares)}."
    outcome = at_most(estimate, maximum=SHARE)
    return concluded(outcome, estimate, seeds=measured.sizes["seed"], explanation=said)


def _share(measured: xr.Dataset, condition: str) -> str:
    if len(rises(measured, condition)) == 0:
        return "none (all diverged)"
    return f"{climbing(measured, condition).value:.0%}"


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """The share of lines that climb and the mean largest climb, under every condition."""
    found = {}
    for condition in [*CONDITIONS, OTHER]:
        climbs = rises(measured, condition)
        if len(climbs):
            found[f"share of lines that climb, {condition}"] = climbing(measured, condition)
            label = f"largest climb over range, mean, {condition}"
            found[label] = mean_interval(climbs)
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "On the straight line from the initialization to the solution that SGD finds, the loss "
        "falls monotonically."
    ),
    reference=(
        "Goodfellow, Vinyals, Saxe (2014), arXiv:1412.6544. Conditions under which it is said to "
        "fail: Lucas, Bae, Zhang, Fort, Zemel, Grosse (2021), arXiv:2104.11044"
    ),
    protocol=(
        "ReLU perceptrons of one to three hidden layers on the digits, trained by SGD with "
        "momentum 0.9 at rates 0.01 and 0.03 with a cosine schedule. The training loss, in "
        "float64, at evenly spaced points from the weights before training to those after. A line "
        f"climbs if the loss somewhere exceeds an earlier value by more than {RISE:.1%} of its "
        "range. Reported under the conditions said to break it: SGD at 0.1 and 0.3, Adam at 0.001 "
        "and 0.003, Adam at 0.03 and 0.1, and BatchNorm (statistics of the training set anew at "
        "every point); trainings that diverged have no line."
    ),
    threshold=(
        "The share of lines that climb, with its exact binomial interval at "
        f"{LEVEL:.0%}. Reproduced if the interval ends by {SHARE}. Not reproduced if it begins "
        f"above {SHARE}. Otherwise inconclusive."
    ),
    negative_control=(
        "Lines from one solution to another, found from another initialization in the same data, "
        "judged by the same rule: they must climb."
    ),
    limits=(
        "Small perceptrons that learn fast; lines of one seed share their data, and the interval "
        "takes them as independent. A curve that only falls between two points says little about "
        "the way taken, nor does its shape tell the error on new data (Vlaar, Frankle 2022, "
        "arXiv:2106.16004)."
    ),
    effect="share of lines on which the loss climbs",
    settings={
        "quick": Settings(),
        "standard": Settings(seeds=10, width=128, examples=1000, epochs=20),
        "thorough": Settings(seeds=20, width=128, depths=(1, 2, 3, 5), examples=1000, epochs=40),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
)
