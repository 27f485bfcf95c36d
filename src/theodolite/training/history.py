"""The scores of a training as a result."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import nn

from theodolite.results import DIVERGED, OK, TODO, Variable, dataset, status_variable
from theodolite.training.evaluation import PREFIX, SCORES
from theodolite.training.recipe import Recipe

AVERAGED = "averaged_"
WORDS = {
    "loss": "mean loss",
    "loss_error": "standard error of the mean loss",
    "accuracy": "share of right answers",
    "accuracy_error": "standard error of the share of right answers",
}


def history_dataset(
    recipe: Recipe, model: nn.Module, rows: list[dict[str, float]], *, diverged: bool
) -> xr.Dataset:
    """One "training" result over ``epoch`` 0 to ``recipe.epochs``.

    ``status`` tells a diverged epoch from one not computed; both may hold NaN.
    """
    epochs = recipe.epochs + 1
    padded = rows + [{}] * (epochs - len(rows))
    status = np.full(epochs, TODO)
    status[: len(rows)] = OK
    if diverged:
        status[len(rows) - 1] = DIVERGED
    variables: dict[str, Variable] = {
        "status": status_variable(("epoch",), status),
        "step": _variable(np.arange(epochs) * recipe.steps_per_epoch, "optimizer steps done"),
        "learning_rate": _column(padded, "learning_rate", "learning rate of the next step"),
    }
    passes = recipe.gradients_per_step
    gradients = np.arange(epochs) * recipe.steps_per_epoch * passes
    variables["gradient_evaluations"] = _variable(gradients, "gradients of a batch taken")
    examples = np.arange(epochs) * len(recipe.data.train[1]) * passes
    variables["example_gradients"] = _variable(examples, "examples gone through backward")
    for average, words in (("", ""), (AVERAGED, ", averaged weights")):
        for part, prefix in PREFIX.items():
            for score in SCORES:
                name = average + prefix + score
                if any(name in row for row in rows):
                    text = f"{WORDS[score]} on the {part} set{words}"
                    variables[name] = _column(padded, name, text)
    return dataset("training", variables, {"epoch": np.arange(epochs)}, **_facts(recipe, model))


def _variable(values: Any, words: str) -> Variable:
    return (("epoch",), values, {"long_name": words})


def _column(rows: list[dict[str, float]], name: str, words: str) -> Variable:
    return _variable([row.get(name, math.nan) for row in rows], words)


def _facts(recipe: Recipe, model: nn.Module) -> dict[str, Any]:
    settings = recipe.settings()
    return {
        **settings,
        "params": sum(p.numel() for p in model.parameters()),
        "trainable": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "steps_per_epoch": recipe.steps_per_epoch,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
