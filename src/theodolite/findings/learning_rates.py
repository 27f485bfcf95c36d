"""The same network trained at several learning rates, so that each design gets its own best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from theodolite.findings.matched_training import quiet_training
from theodolite.training import Recipe

CHANCE = 0.1
"""Accuracy of a network that diverged: that of guessing one of ten classes."""

SCORES = ("loss", "validation_accuracy", "test_accuracy")


def scores_over_rates(recipe: Recipe, rates: Sequence[float]) -> np.ndarray:
    """Last scores of a training at each rate, shape ``(rate, score)`` in the order of `SCORES`.

    A training that diverged has an infinite loss and the accuracy of guessing. Each starts from
    the same weights and sees the same batches.

    >>> from theodolite import datasets, models
    >>> data = datasets.digits(limit=50, flatten=True)
    >>> recipe = Recipe(lambda: models.mlp((64, 16, 10)), data, epochs=2)
    >>> scores_over_rates(recipe, (0.1, 1e30))[1].tolist()
    [inf, 0.1, 0.1]
    """
    found = np.empty((len(rates), len(SCORES)))
    for i, rate in enumerate(rates):
        run = quiet_training(replace(recipe, learning_rate=rate))
        last = [float(run.history[score][-1]) for score in SCORES]
        whole = run.diverged is None and bool(np.isfinite(last).all())
        found[i] = last if whole else (np.inf, CHANCE, CHANCE)
    return found


def best_test_accuracy(scores: np.ndarray) -> np.ndarray:
    """Test accuracy at the rate of the best validation accuracy, the smaller rate where two tie.

    ``scores`` has shape ``(..., rate, score)``; the result loses both.

    >>> best_test_accuracy(np.array([[1.0, 0.5, 0.4], [2.0, 0.9, 0.8], [0.1, 0.9, 1.0]]))
    array(0.8)
    """
    chosen = scores[..., SCORES.index("validation_accuracy")].argmax(-1)
    test = scores[..., SCORES.index("test_accuracy")]
    picked: np.ndarray = np.take_along_axis(test, chosen[..., None], axis=-1)[..., 0]
    return picked


def lowest_loss(scores: np.ndarray) -> np.ndarray:
    """The lowest training loss over rates; infinite where every rate diverged.

    >>> lowest_loss(np.array([[1.0, 0.5, 0.4], [np.inf, 0.1, 0.1]]))
    array(1.)
    """
    lowest: np.ndarray = np.asarray(scores[..., SCORES.index("loss")].min(-1))
    return lowest
