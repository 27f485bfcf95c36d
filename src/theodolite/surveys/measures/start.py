"""Where a survey stands: loss and accuracy at the surveyed point, and how it was trained."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr

from theodolite.objective.same_space import check_same_space
from theodolite.results import Variable, dataset
from theodolite.surveys.groups import Group
from theodolite.surveys.target import Target

WORDS = {
    "loss": "loss",
    "loss_error": "standard error of the loss over examples",
    "accuracy": "share of right answers",
    "accuracy_error": "standard error of the accuracy over examples",
}


def start(target: Target) -> xr.Dataset:
    """Loss and accuracy with their standard errors at the start, dimension ``split``."""
    objectives = {"train": target.objective, "test": target.test}
    found = {k: o.metrics() for k, o in objectives.items() if o is not None}
    variables: dict[str, Variable] = {
        name: (
            ("split",),
            np.array([m.get(name, np.nan) for m in found.values()]),
            {"long_name": w},
        )
        for name, w in WORDS.items()
        if any(name in m for m in found.values())
    }
    return dataset("start", variables, {"split": list(found)}, **target.objective.facts())


def background(target: Target) -> tuple[Group, ...]:
    """The groups every survey has: the start, and the history of the training if there is one.

    Raises `InvalidArgument` where the test objective is another function: its numbers would
    stand beside those of this one.
    """
    if target.test is not None:
        check_same_space(target.objective, target.test, moved=False)
    groups = [Group("start", "start", lambda t: lambda _: start(t), passes=ratio(target))]
    if target.training is not None:
        groups.append(Group("training", "training", history, passes=0.0))
    return tuple(groups)


def history(target: Target) -> Callable[[int], xr.Dataset]:
    """The training's history, copied as it is."""
    kept = xr.Dataset() if target.training is None else target.training
    return lambda _: kept


def ratio(target: Target) -> float:
    """Passes over training and test examples together, in passes over the training examples."""
    extra = target.test.examples if target.test is not None else 0
    return 1.0 + extra / target.objective.examples
