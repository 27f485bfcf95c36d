"""Many perturbed points of one objective, under one guard and one substitution of the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from theodolite.objective import Objective
from theodolite.objective.evaluation import Pass

Result = TypeVar("Result")


def at_points(
    objective: Objective,
    theta: Tensor,
    offsets: Iterable[Tensor],
    read: Callable[[Pass], Result],
) -> list[Result]:
    """``read(pass at theta + offset)`` for every offset; one forward pass (F) each."""
    if objective.data.kept is None:  # read anew: each pass must shuffle as the first one does
        return [read(objective.sample(theta + offset)) for offset in offsets]

    def inside() -> list[Result]:
        point = theta.clone()
        return objective.forward.held(point, lambda renew: body(point, renew))

    def body(point: Tensor, renew: Callable[[], None]) -> list[Result]:
        found = []
        for offset in offsets:
            torch.add(theta, offset, out=point)
            renew()
            found.append(read(objective.sweep()))
        return found

    return objective.guarded(inside)


def loss_of(made: Pass) -> float:
    """The loss of a pass, NaN where it is not finite."""
    loss = made.loss()
    return loss if np.isfinite(loss) else float("nan")


def mean_and_error(
    samples: Float64[np.ndarray, "draw ..."],
) -> tuple[Float64[np.ndarray, ...], Float64[np.ndarray, ...]]:
    """The mean over the first dimension and its standard error; NaN with fewer than two."""
    count = len(samples)
    spread = samples.std(axis=0, ddof=1) if count > 1 else np.full(samples.shape[1:], np.nan)
    return np.asarray(samples.mean(axis=0)), np.asarray(spread / np.sqrt(count))


def weighted_mean_and_error(values: Tensor, weights: Tensor) -> tuple[float, float]:
    """A weighted mean over examples and its standard error, as `Objective.metrics` takes them."""
    made = Pass(values.double(), weights, None, None, 1.0)
    return made.loss(), made.loss_error()


def sequence(values: Sequence[float]) -> Float64[np.ndarray, " value"]:
    """Numbers as a float64 array."""
    return np.asarray(values, dtype=np.float64)
