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
from theodolite.surfaces.evaluators import Evaluator, sampler, started

Walk = Callable[[Tensor], Iterator[tuple[float, ...]]]
"""Writes one point after another into the vector it is given, and yields its coordinates."""

Row = dict[str, float]

LARGE = 1 << 24
"""Parameters of a model whose vectors are not copied without need."""


def line_walk(base: Tensor, direction: Tensor, alphas: list[float]) -> Walk:
    """The points ``base + alpha * direction``, each from `base` itself."""

    def walk(point: Tensor) -> Iterator[tuple[float, ...]]:
        for alpha in alphas:
            step(base, direction, alpha, out=point)
            yield (alpha,)

    return walk


def plane_walk(base: Tensor, directions: Tensor, alphas: list[float], betas: list[float]) -> Walk:
    """The points ``(base + alpha * first) + beta * second``, all betas for each alpha."""
    return scattered_walk(base, directions, [(a, b) for a in alphas for b in betas])


def scattered_walk(base: Tensor, directions: Tensor, places: list[tuple[float, float]]) -> Walk:
    """The points of a plane at `places`, each with the bits it has in any other walk.

    A vector is kept for the row they lie on, which saves one addition a point; not for models of
    over `LARGE` parameters, where a copy more is dear and an addition next to nothing.
    """

    def walk(point: Tensor) -> Iterator[tuple[float, ...]]:
        row = torch.empty_like(point) if len(point) <= LARGE else point
        at = math.nan
        for alpha, beta in places:
            if alpha != at or row is point:
                step(base, directions[0], alpha, out=row)
                at = alpha
            step(row, directions[1], beta, out=point)
            yield alpha, beta

    return walk


def step(start: Tensor, direction: Tensor, distance: float, *, out: Tensor) -> None:
    """``out = start + distance * direction``, in the dtype of points; exactly `start` at 0."""
    if distance == 0:
        if out is not start:
            out.copy_(start)
        return
    largest = torch.finfo(start.dtype).max
    if abs(distance) > largest:
        distance = math.copysign(math.inf, distance)
    torch.add(start, direction, alpha=distance, out=out)


def swept(
    objective: Objective,
    base: Tensor,
    walk: Walk,
    ticked: Callable[[], None],
    evaluator: Evaluator | None = None,
) -> dict[str, list[float]]:
    """Loss, errors and accuracy at every point of `walk`, in its order.

    `evaluator` is `objective` as something else evaluates it; by default, plainly.

    Every point starts from the state in which the first one starts: buffers, attributes of the
    model, and, for data read anew, the random generators that shuffle them.
    """
    used = objective if evaluator is None else evaluator.objective
    rewind = generators_kept() if used.data.kept is None else None
    accuracy = objective.start_pass.hits is not None

    def inside() -> list[Row]:
        point = base.clone()  # made under the guard: an inference tensor could not be written to
        if evaluator is not None:
            started(evaluator)
        return used.forward.held(point, lambda renew: body(point, renew))

    def body(point: Tensor, renew: Callable[[], None]) -> list[Row]:
        found = []
        sample = None if evaluator is None else sampler(evaluator)
        for place in walk(point):
            if rewind is not None:
                rewind()
            renew()
            if evaluator is not None:
                evaluator.place.at = place
            found.append(summary(used.sweep(sample), accuracy=accuracy))
            ticked()
        return found

    rows: list[Row] = used.guarded(inside)
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
