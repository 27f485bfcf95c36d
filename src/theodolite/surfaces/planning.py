"""Which evaluation is fastest for this model on this machine, found by timing the candidates."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from theodolite.objective import Objective
from theodolite.objective.arrangement import separable
from theodolite.surfaces.evaluations import PLAIN, Evaluation
from theodolite.surfaces.evaluators import Evaluator, prepared
from theodolite.surfaces.sweep import scattered_walk, swept

AGREEMENT = 1e-3
"""Relative difference of the loss from the plain evaluation's that a candidate may have."""

WORTH_PLANNING, WORTH_COMPILING = 2.0, 120.0
"""Seconds of work below which nothing else is timed, and nothing is compiled."""

GAIN = 0.95
"""A candidate takes the place of another if it needs at most this share of its time."""

CHUNKS = (128, 64, 32)
PROBES = ((-0.8, 0.9), (0.4, -0.3))
"""Where candidates are compared and then timed, as shares of the spans."""

Change = Callable[[Evaluation], Evaluation]


@dataclass(frozen=True)
class Candidate:
    """One evaluation as it was timed: seconds a point, and its largest relative difference."""

    evaluation: Evaluation
    seconds: float
    difference: float


def planned(
    objective: Objective,
    base: Tensor,
    directions: Tensor,
    reach: tuple[float, float],
    *,
    passes: float,
) -> tuple[Evaluation, list[Candidate]]:
    """The fastest evaluation of a plane whose losses agree with the plain one's.

    Candidates build on each other: a layout of the data, layers computed once, fewer threads,
    bfloat16 where the processor multiplies it, compilation. Each costs a pass to compare and one
    to time (those that keep something, a few more), and is kept if it is faster and its losses
    differ by at most `AGREEMENT`. The choice depends on the clock; its name does not, and says
    how to evaluate the same way again.
    """
    places = [(a * reach[0], b * reach[1]) for a, b in PROBES]
    best = timed(objective, base, directions, places, PLAIN, None)
    tried, truth = [best], losses_at(objective, base, directions, places[:1], None)
    for ladder in ladders(objective, best.seconds * passes):
        for change in ladder:
            wanted = change(best.evaluation)
            made = timed(objective, base, directions, places, wanted, truth)
            tried.append(made)
            if made.seconds > GAIN * best.seconds or made.difference > AGREEMENT:
                break
            best = made
    return best.evaluation, tried


def ladders(objective: Objective, seconds: float) -> Iterator[list[Change]]:
    """Changes to the best evaluation so far; of each list, as many as help one after another."""
    largest = max((b.examples for b in objective.data.kept or ()), default=0)
    if separable(objective):
        yield [partial(replace, chunk=size) for size in CHUNKS if size < largest]
        if any(isinstance(m, nn.Conv2d) for m in objective.model.modules()):
            yield [partial(replace, channels_last=True)]
    yield [partial(replace, first_layer=True)]
    if torch.get_num_threads() > 1 and objective.device.type == "cpu":
        yield [partial(replace, threads=1)]
    if multiplies_bfloat16(objective.device):
        yield [partial(replace, bfloat16=True)]
    if seconds > WORTH_COMPILING and compiles(objective):
        yield [partial(replace, compiled=True, first_layer=False)]


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the processor has instructions for it: without them it is several times slower."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if device.type != "cpu":
        return False
    known = torch.cpu
    return bool(known._is_avx512_bf16_supported() or known._is_amx_tile_supported())


def compiles(objective: Objective) -> bool:
    """Whether a compiler is there, and nothing runs between the layers."""
    there = objective.device.type != "cpu" or shutil.which("g++") or shutil.which("clang++")
    return bool(there) and objective.batch_norm == "frozen"


def timed(
    objective: Objective,
    base: Tensor,
    directions: Tensor,
    places: list[tuple[float, float]],
    evaluation: Evaluation,
    truth: list[float] | None,
) -> Candidate:
    """Seconds of one point after another was compared; what fails takes forever."""
    try:
        evaluator = prepared(objective, base, directions, evaluation)
        found = losses_at(objective, base, directions, places[:1], evaluator)
    except (RuntimeError, TypeError, ValueError, NotImplementedError):
        if evaluation == PLAIN:
            raise
        return Candidate(evaluation, math.inf, math.inf)
    began = time.perf_counter()
    losses_at(objective, base, directions, places[1:], evaluator)
    seconds = time.perf_counter() - began
    gaps = [abs(a - b) / max(abs(b), 1e-12) for a, b in zip(found, truth or found, strict=True)]
    return Candidate(evaluation, seconds, max(math.inf if g != g else g for g in gaps))


def losses_at(
    objective: Objective,
    base: Tensor,
    directions: Tensor,
    places: list[tuple[float, float]],
    evaluator: Evaluator | None,
) -> list[float]:
    """The losses of the plane at `places`."""
    walk = scattered_walk(base, directions, places)
    return swept(objective, base, walk, lambda: None, evaluator)["loss"]
