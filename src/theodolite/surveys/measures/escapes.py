"""How long descent stays at the saddle that a search has found."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr

from theodolite import results
from theodolite.curvature.descents import Descent
from theodolite.curvature.escape_saddles import Saddle, median_prediction, saddle_of
from theodolite.curvature.escapes import escapes_from
from theodolite.errors import InvalidArgument, NotConverged
from theodolite.objective import Objective
from theodolite.objective.arrangement import chunked, separable
from theodolite.surveys.groups import Group, Tell, Unit
from theodolite.surveys.measures.hessians import told_products
from theodolite.surveys.measures.settings import DOUBLE, FIX, PRODUCT, basis_of, count_of
from theodolite.surveys.target import Target

METHODS = ("gradient", "perturbed", "stochastic", "isotropic")
"""Each is a group of its own: plain descent, with jumps, by batches, with noise of equal trace."""

STEP, CURVE = 3.0, 200
"""Forward passes of a step, and steps of a run whose loss is noted: 1 F each."""

EIGENPAIR, COVARIANCE = 150, 600
"""Products for the direction, and forward passes for the noise along it, once for all methods."""

FOUND = "critical_point"
"""The group of the search, whose point an escape of a resumed run takes up."""

BESIDE = 22
"""Vectors in float64 held beside the basis of an eigenpair, measured."""

EVERY = 10
"""Steps between two words on how far a run is."""

Search = Callable[..., xr.Dataset]
"""Finds the point of a target; takes a `Tell` as well."""

Leave = Callable[[Target, xr.Dataset, Tell | None], xr.Dataset]
"""Runs from what a search has found."""

Beginning = Callable[[Target, xr.Dataset, Tell | None], Saddle | str]
"""The saddle that a search has found, or why it is none."""


def escape_groups(
    target: Target, settings: Mapping[str, Any], seed: int, search: Search
) -> tuple[Group, ...]:
    """One group a method; none for no runs. Costs are those of runs that never leave."""
    runs = count_of(settings, "saddles", "escape_runs", least=0)
    most = count_of(settings, "saddles", "escape_steps")
    batch = count_of(settings, "saddles", "escape_batch")
    check_ranges(settings)
    if not runs:
        return ()
    if settings["search"] == "none":
        raise InvalidArgument(
            "escape_runs of saddles needs a search: there is no critical point to leave.",
            fix="pass --search newton-mr as well, or search in the settings of saddles.",
            code="E-H60",
        )
    share = min(1.0, batch / target.objective.examples)
    double = 1.0 if target.objective.start.dtype == torch.float64 else DOUBLE
    leave = partial(escaped, dict(settings), seed, once(partial(saddle_at, dict(settings), seed)))
    known = EIGENPAIR * PRODUCT + COVARIANCE

    def passes(method: str) -> float:
        steps = most * STEP * (share if method == "stochastic" else 1)
        return double * (runs * (steps + min(most, CURVE)) + (known if method == METHODS[0] else 0))

    return tuple(
        Group(
            f"escape_{method}",
            "saddles",
            partial(opening, partial(leave, method), search),
            passes=passes(method),
            vectors=2 * (basis_of(1, target.objective.space.size) + BESIDE),
            after=FOUND,
            resume=partial(resuming, partial(leave, method)),
            told=True,
            bound=True,
        )
        for method in METHODS
    )


def opening(leave: Leave, search: Search, target: Target) -> Unit:
    """Runs of one method from the point of the search, or the reason why there are none."""
    return lambda _, tell=None: leave(target, search(target), tell)


def resuming(leave: Leave, target: Target, found: xr.Dataset) -> Unit:
    """The same from a search that is saved."""
    return lambda _, tell=None: leave(target, found, tell)


def once(make: Beginning) -> Beginning:
    """What is known of the saddle before any run, made once for all methods."""
    made: list[Saddle | str] = []

    def known(target: Target, found: xr.Dataset, tell: Tell | None) -> Saddle | str:
        if not made:
            made.append(make(target, found, tell))
        return made[0]

    return known


def saddle_at(
    settings: Mapping[str, Any],
    seed: int,
    target: Target,
    found: xr.Dataset,
    tell: Tell | None = None,
) -> Saddle | str:
    """The end of a search as a saddle, or the reason why it is none."""
    why = nothing_to_escape(found)
    if why:
        return why
    objective = batched(target.objective, settings["escape_batch"])
    point = torch.from_numpy(found["point"].values.astype(np.float64)).to(objective.device)
    try:
        told = partial(told_products, tell=tell, most=EIGENPAIR)
        return saddle_of(objective, point, radius=settings["radius"], seed=seed, watched=told)
    except NotConverged as error:
        return error.what
    except InvalidArgument as error:
        if error.code != "E-K35":
            raise
        return error.what


def escaped(
    settings: Mapping[str, Any],
    seed: int,
    beginning: Beginning,
    method: str,
    target: Target,
    found: xr.Dataset,
    tell: Tell | None = None,
) -> xr.Dataset:
    """Runs from the end of a search, or the reason why there are none."""
    saddle = beginning(target, found, tell)
    if isinstance(saddle, str):
        return unescaped(method, saddle)
    descent = descent_of(method, settings, float(found.attrs["scale"]))
    how = {"displacement": settings["displacement"], "runs": settings["escape_runs"]}
    try:
        steps = median_prediction(saddle, descent, **how, seed=seed)
        if steps > descent.max_steps:
            return unescaped(method, too_long(saddle, descent, steps, float(found.attrs["scale"])))

        def progress(run: int, step: int) -> None:
            if tell is not None and step % EVERY == 0:
                of = f"{run + 1} of {how['runs']}"
                tell(f"{method} run {of}, step {step:,} of about {steps:,.0f}")

        return escapes_from(saddle, descent, **how, curves=True, seed=seed, progress=progress)
    except InvalidArgument as error:
        if error.code != "E-K33":
            raise
        return unescaped(method, error.what)


def too_long(saddle: Saddle, descent: Descent, steps: float, scale: float) -> str:
    """Why runs that would end before they can have left are not made."""
    if math.isinf(steps):
        return (
            "Without a displacement, and without noise along the direction that leads down, "
            "descent stays at the point for ever: the predicted number of steps is infinite."
        )
    limit = 2 / scale
    return (
        f"At the rate {descent.rate:.3g} the runs are predicted to need about {steps:,.0f} steps "
        f"and would be ended after {descent.max_steps:,}, so none was made: the lowest eigenvalue, "
        f"{saddle.eigenvalue:.3g}, is {100 * abs(saddle.eigenvalue) / scale:.2g} % of the largest "
        f"in size. Raise escape_steps or displacement, or the rate, which is stable below "
        f"{limit:.3g}."
    )


def nothing_to_escape(found: xr.Dataset) -> str:
    """Why the end of a search is nothing to escape from; empty for a saddle."""
    if str(found.attrs.get("accepted")).lower() != "true":
        return f"The search ended at no critical point: {found.attrs['reason']}."
    if "certain_negative" not in found or int(found["certain_negative"].max()) > 0:
        return ""
    first = str(found["verdict"].values[0])
    tau = float(found["tau"].values[0])
    if first == "minimum up to tau":
        return (
            f"The point is a minimum up to tau = {tau:.0e}: no eigenvalue lies below minus that "
            "share of the largest, so no direction leads down and there is nothing to escape from."
        )
    return (
        f"No eigenvalue is surely negative at tau = {tau:.0e} ({first}), so no direction is "
        "certified to lead down."
    )


def batched(objective: Objective, size: int) -> Objective:
    """The objective in batches of at most `size`, where its data can be cut."""
    return chunked(objective, size) if separable(objective) else objective


def descent_of(method: str, settings: Mapping[str, Any], scale: float) -> Descent:
    """The descent; without a rate given it is one over the largest eigenvalue in size."""
    rate = settings["escape_rate"] or 1 / scale
    jump = settings["jump"] if method == "perturbed" else None
    return Descent(method, rate=rate, noise=jump, max_steps=settings["escape_steps"])


def unescaped(method: str, why: str) -> xr.Dataset:
    """A result without runs that says why."""
    return results.dataset(
        "escape_time",
        {
            "steps": (("run",), np.zeros(0), {"long_name": "steps until the radius was reached"}),
            "median_steps": ((), np.nan, {"long_name": "median of the steps"}),
        },
        {"run": np.arange(0)},
        method=method,
        reason=why,
    )


def check_ranges(settings: Mapping[str, Any]) -> None:
    radius, moved = settings["radius"], settings["displacement"]
    for name, least in (("radius", 0.0), ("jump", 0.0), ("displacement", -1.0)):
        value = settings[name]
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        if not plain or not np.isfinite(value) or value < 0 or value <= least:
            raise InvalidArgument(
                f"{name} of saddles must be {'positive' if least == 0 else 'at least 0'}; "
                f"got {value!r}.",
                fix=FIX,
                code="E-S07",
            )
    if moved >= radius:
        raise InvalidArgument(
            f"displacement of saddles must be below radius, {radius}; got {moved!r}.",
            fix="pass a smaller displacement, or a larger radius.",
            code="E-S07",
        )
    rate = settings["escape_rate"]
    if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 <= rate < np.inf:
        raise InvalidArgument(
            "escape_rate of saddles must be positive, or 0 for one over the largest eigenvalue; "
            f"got {rate!r}.",
            fix=FIX,
            code="E-S07",
        )
