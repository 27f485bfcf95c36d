"""Planes from few evaluations: a smooth fit of the log of the loss, and its held-out error."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from theodolite.objective import Objective
from theodolite.seeds import numpy_generator
from theodolite.surfaces.completion import completed
from theodolite.surfaces.evaluators import Evaluator
from theodolite.surfaces.fitting import (
    Fit,
    chosen,
    heights,
    interpolated,
    spread_nodes,
    through,
)
from theodolite.surfaces.scouting import Scout, scouted
from theodolite.surfaces.sheet import Sheet, blank, measure, survey_divergence

BATCH, HELD_OUT = 12, 24
NEAR_LOWEST, CLOSE = 8, 0.12
"""So many of the points held out lie this close to the lowest, in sides of the grid: fits of the
log of a loss are worst around its tip."""

MOST = 0.5
"""Share of the grid beyond which measuring all of it is as good."""

SMALL = 225
"""Grids of at most so many points are measured whole."""

LARGE = 250_000
"""Grids of more points do not fit into memory together with a fit; they are measured whole."""

FLATTEST = 1e-3
"""Ranges of the log of the loss below this count as this: rounding has no shape."""


@dataclass(frozen=True, eq=False)
class Adapted:
    """A plane: arrays over (alpha, beta), what was held out, and how it went."""

    values: dict[str, Float[np.ndarray, "alpha beta"]]
    held_out: dict[str, Float[np.ndarray, " held_out"]] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def adapted(
    objective: Objective,
    base: Tensor,
    directions: Tensor,
    alphas: Float[np.ndarray, " alpha"],
    betas: Float[np.ndarray, " beta"],
    *,
    tolerance: float,
    seed: int,
    ticked: Callable[[float], None],
    evaluator: Evaluator | None = None,
) -> Adapted:
    """The plane within `tolerance`, the largest held-out error as a share of the fit's range.

    Nodes spread over the grid, then batches where five fits that each miss some nodes disagree
    most, until a batch is predicted within half the tolerance; then points drawn at random that
    no fit has seen. If one of those is further off than the tolerance they become nodes and
    work goes on. Past half of the grid, and for small grids, all of it is measured.
    """
    sheet = blank(
        objective,
        base,
        directions,
        alphas,
        betas,
        ticked=lambda: ticked(1.0),
        evaluator=evaluator,
    )
    if sheet.status.size <= SMALL or min(sheet.shape) < 8:
        return _dense(sheet, None, "the grid is small")
    if sheet.status.size > LARGE:
        return _dense(sheet, None, "the grid is large")
    scout = scouted(objective, base, directions, alphas, betas, seed=seed, ticked=ticked)
    measure(sheet, [*spread_nodes(*sheet.shape), _nearest(sheet, 0.0, 0.0)])
    rounds, held, worst = 0, 0, math.inf
    while True:
        survey_divergence(sheet)
        if sheet.taken.mean() > MOST or len(sheet.usable) < 3 * BATCH:
            return _dense(sheet, scout, f"not within {tolerance:g} on half of the grid")
        fit, log = _fit(sheet, scout)
        if rounds > 1 and worst <= tolerance / 2:
            tested = _held_out(sheet, fit, log, seed, held)
            if tested["error"].max(initial=0.0) <= tolerance:
                return _finished(sheet, scout, fit, log, tested, rounds)
            held += 1
            fit, log = _fit(sheet, scout)
        new = _cusp(sheet, fit) if rounds == 0 else _doubtful(sheet, scout, fit, log)
        new = measure(sheet, new)
        worst = float(_errors(sheet, fit, log, new).max(initial=0.0))
        rounds += 1


def _fit(sheet: Sheet, scout: Scout | None) -> tuple[Fit, bool]:
    nodes = sheet.usable
    losses = sheet.values["loss"]
    log = bool((losses[nodes] > 0).all())
    drifts = {"smooth": np.zeros(losses.size)}
    ground = _ground(scout, log)
    if ground is not None:
        drifts["scout"] = ground
    return through(sheet.points, nodes, heights(losses[nodes], log), drifts), log


def _ground(scout: Scout | None, log: bool) -> Float[np.ndarray, " point"] | None:
    """The scout's heights; the highest where it diverged, None where it cannot serve."""
    if scout is None:
        return None
    loss = scout.loss.reshape(-1)
    finite = np.isfinite(loss)
    if not finite.any() or (log and not (loss[finite] > 0).all()):
        return None
    raised = heights(np.where(finite, loss, loss[finite].max()), log)
    return np.asarray(raised)


def _doubtful(sheet: Sheet, scout: Scout | None, fit: Fit, log: bool) -> list[int]:
    """Where the fits disagree, or the same nodes would get the scout itself wrong."""
    doubt = fit.spread
    ground = _ground(scout, log)
    if ground is not None and fit.model == "smooth":
        nodes = sheet.usable
        doubt = np.maximum(doubt, np.abs(interpolated(sheet.points, nodes, ground[nodes]) - ground))
    count = max(BATCH, len(sheet.usable) // 6)  # fits grow dear: fewer rounds where many are needed
    return chosen(sheet.points, doubt, sheet.taken, count)


def _cusp(sheet: Sheet, fit: Fit) -> list[int]:
    """The lowest point and others around it: the log of a loss near zero has a sharp tip there.

    They lie 1, 2, 4, 8, ... steps away, along axes and diagonals in turn, out to where the
    spread nodes are as close.
    """
    row, column = divmod(int(np.argmin(fit.values)), sheet.shape[1])
    near, step, reach = [(0, 0)], 1, 0.6 * (min(sheet.shape) - 1) / 6
    ways = [(1, 0), (-1, 0), (0, 1), (0, -1)], [(1, 1), (1, -1), (-1, 1), (-1, -1)]
    while step <= max(2.0, reach):
        near += [(step * i, step * j) for i, j in ways[(step.bit_length() - 1) % 2]]
        step *= 2
    places = [(row + i, column + j) for i, j in near]
    inside = [(i, j) for i, j in places if 0 <= i < sheet.shape[0] and 0 <= j < sheet.shape[1]]
    return [i * sheet.shape[1] + j for i, j in inside]


def _errors(sheet: Sheet, fit: Fit, log: bool, new: list[int]) -> Float[np.ndarray, " new"]:
    """How far the fit was off at points measured after it, as a share of the range.

    A loss that diverged where a finite one was predicted counts as the whole range; one that is
    not positive where all others were, as well.
    """
    nodes = sheet.usable
    known = heights(sheet.values["loss"][nodes], log)
    known = known[np.isfinite(known)]
    extent = max(float(known.max() - known.min()), _flattest(known, log))
    found = heights(sheet.values["loss"][new], log)
    gaps = np.abs(found - fit.values[new]) / extent
    return np.where(np.isfinite(gaps), gaps, 1.0)


def _flattest(known: np.ndarray, log: bool) -> float:
    return FLATTEST if log else FLATTEST * float(np.abs(known).max(initial=0.0)) or 1.0


def _held_out(sheet: Sheet, fit: Fit, log: bool, seed: int, turn: int) -> dict[str, np.ndarray]:
    """Points drawn at random from those not measured, measured now, and the fit's errors there.

    The first are drawn from those around the lowest point, the others from all that are left.
    """
    generator, free = numpy_generator(seed, "held out", turn), np.flatnonzero(~sheet.taken)
    lowest = sheet.points[int(np.argmin(fit.values))]
    close = np.linalg.norm(sheet.points[free] - lowest, axis=1) <= CLOSE
    first = generator.permutation(free[close])[:NEAR_LOWEST]
    others = generator.permutation(np.setdiff1d(free, first))
    draw = np.concatenate([first, others[: HELD_OUT - len(first)]])
    new = np.array(measure(sheet, draw.tolist()), dtype=np.int64)
    return {"place": new, "error": _errors(sheet, fit, log, new.tolist())}


def _nearest(sheet: Sheet, alpha: float, beta: float) -> int:
    row, column = np.abs(sheet.alphas - alpha).argmin(), np.abs(sheet.betas - beta).argmin()
    return int(row) * sheet.shape[1] + int(column)


def _dense(sheet: Sheet, scout: Scout | None, why: str) -> Adapted:
    """Every point measured."""
    measure(sheet, range(sheet.status.size))
    facts = {"method": "dense", "fallback": why, **_cost(sheet, scout)}
    return Adapted({n: v.reshape(sheet.shape) for n, v in sheet.values.items()}, {}, facts)


def _cost(sheet: Sheet, scout: Scout | None) -> dict[str, Any]:
    evaluations = int(sheet.taken.sum())
    extra = 0.0 if scout is None else scout.passes
    return {
        "evaluations": evaluations,
        "scout_examples": 0 if scout is None else scout.examples,
        "scout_points": 0 if scout is None else scout.points,
        "passes": round(evaluations + extra, 1),
    }


def _finished(
    sheet: Sheet,
    scout: Scout | None,
    fit: Fit,
    log: bool,
    tested: dict[str, np.ndarray],
    rounds: int,
) -> Adapted:
    """The fit where nothing was measured, and what it says about itself."""
    values, held_out = completed(sheet, scout, fit, log=log, place=tested["place"])
    held_out["error"] = tested["error"]
    accuracy = held_out.pop("accuracy_error", None)
    facts = {
        "method": "adaptive",
        "fallback": "",
        "fit_scale": "log" if log else "linear",
        "fit_model": fit.model,
        "fit_rounds": rounds,
        "held_out_error": float(tested["error"].max(initial=0.0)),
        "held_out_rms": math.sqrt(float((tested["error"] ** 2).mean())),
        "held_out_points": len(tested["error"]),
        **({} if accuracy is None else {"held_out_accuracy_error": float(np.abs(accuracy).max())}),
        **_cost(sheet, scout),
    }
    return Adapted(values, held_out, facts)
