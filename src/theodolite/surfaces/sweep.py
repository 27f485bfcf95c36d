"""Many points of one slice, evaluated under one guard and one substitution of the weights."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from theodolite.objective import Objective
from theodolite.objective.evaluation import Pass
from theodolite.results import DIVERGED, OK

Walk = Callable[[Tensor], Iterator[None]]
"""Writes one point after another into the vector it is given."""

Row = dict[str, float]


def line_walk(base: Tensor, direction: Tensor, alphas: list[float]) -> Walk:
    """The points ``base + alpha * direction``, each from `base` itself."""

    def walk(point: Tensor) -> Iterator[None]:
        for alpha in alphas:
            step(base, direction, alpha, out=point)
            yield

    return walk


def plane_walk(base: Tensor, directions: Tensor, alphas: list[float], betas: list[float]) -> Walk:
    """The points ``(base + alpha * first) + beta * second``, all betas for each alpha."""

    def walk(point: Tensor) -> Iterator[None]:
        row = torch.empty_like(point)
        for alpha in alphas:
            step(base, directions[0], alpha, out=row)
            for beta in betas:
                step(row, directions[1], beta, out=point)
                yield

    return walk


def step(start: Tensor, direction: Tensor, distance: float, *, out: Tensor) -> None:
    """``out = start + distance * direction``, in the dtype of points; exactly `start` at 0."""
    if distance == 0:
        out.copy_(start)
        return
    largest = torch.finfo(start.dtype).max
    if abs(distance) > largest:
        distance = math.copysign(math.inf, distance)
    torch.add(start, direction, alpha=distance, out=out)


def swept(
    objective: Objective, base: Tensor, walk: Walk, ticked: Callable[[], None]
) -> dict[str, list[float]]:
    """Loss, errors and accuracy at every point of `walk`, in its order.

    Every point starts from the state in which the first one starts: buffers, attributes of the
    model, and, for data read anew, the random generators that shuffle them.
    """
    rewind = generators_kept() if objective.data.kept is None else None
    accuracy = objective.start_pass.hits is not None

    def inside() -> list[Row]:
        point = base.clone()  # made under the guard: an inference tensor could not be written to
        return objective.forward.held(point, lambda renew: body(point, renew))

    def body(point: Tensor, renew: Callable[[], None]) -> list[Row]:
        found = []
        for _ in walk(point):
            if rewind is not None:
                rewind()
            renew()
            found.append(summary(objective.sweep(), accuracy=accuracy))
            ticked()
        return found

    rows: list[Row] = objective.guarded(inside)
    return {name: [row[name] for row in rows] for name in summary_names(accuracy)}


def summary_names(accuracy: bool) -> tuple[str, ...]:
    """What `summary` holds."""
    known = ("accuracy", "accuracy_error") if accuracy else ()
    return ("loss", "loss_error", *known, "status")


def summary(made: Pass, *, accuracy: bool) -> Row:
    """One point in numbers; where the loss is not finite nothing else has a meaning."""
    loss = made.loss()
    if not math.isfinite(loss):
        return {**dict.fromkeys(summary_names(accuracy), math.nan), "status": DIVERGED}
    found = {"loss": loss, "loss_error": made.loss_error(), "status": OK}
    if accuracy:
        found |= {"accuracy": made.accuracy(), "accuracy_error": made.accuracy_error()}
    return found


def generators_kept() -> Callable[[], None]:
    """A function that puts the process's random generators back to where they are now."""
    states = (torch.get_rng_state(), np.random.get_state(), random.getstate())

    def rewind() -> None:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])

    return rewind
