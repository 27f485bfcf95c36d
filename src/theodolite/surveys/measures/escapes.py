"""How long descent stays at the saddle that a search has found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr

from theodolite import results
from theodolite.curvature import Descent, escape_time
from theodolite.errors import InvalidArgument, NotConverged
from theodolite.linalg.precision import without_autocast
from theodolite.linalg.thick_restart import ritz_pairs
from theodolite.objective import Objective
from theodolite.objective.arrangement import chunked, separable
from theodolite.operators import hessian
from theodolite.surveys.groups import Group, Unit
from theodolite.surveys.measures.settings import FIX, HOLDS, PRODUCT, count_of
from theodolite.surveys.target import Target

METHODS = ("gradient", "perturbed", "stochastic", "isotropic")
"""Each is a group of its own: plain descent, with jumps, by batches, with noise of equal trace."""

STEP, LOSS = 3.0, 1.0
"""Forward passes of a step, and of the loss noted after it."""

POINT = 2
"""Vectors in float64 count twice in a float32 network."""

FOUND = "critical_point"
"""The group of the search, whose point an escape of a resumed run takes up."""

Search = Callable[[Target], xr.Dataset]


def escape_groups(
    target: Target, settings: Mapping[str, Any], seed: int, search: Search
) -> tuple[Group, ...]:
    """One group a method; none for no runs. Costs are those of runs that never leave."""
    runs = count_of(settings, "saddles", "escape_runs", least=0)
    most = count_of(settings, "saddles", "escape_steps")
    count_of(settings, "saddles", "escape_batch")
    _check(settings)
    if not runs:
        return ()
    if settings["search"] == "none":
        raise InvalidArgument(
            "escape_runs of saddles needs a search: there is no critical point to leave.",
            fix="pass --search newton-mr as well, or search in the settings of saddles.",
            code="E-H60",
        )
    return tuple(
        Group(
            f"escape_{method}",
            "saddles",
            partial(opening, method, dict(settings), seed, search),
            passes=runs * most * (STEP + LOSS) + 60 * PRODUCT,
            vectors=POINT * 60 + HOLDS,
            after=FOUND,
            resume=partial(resuming, method, dict(settings), seed),
        )
        for method in METHODS
    )


def opening(
    method: str, settings: Mapping[str, Any], seed: int, search: Search, target: Target
) -> Unit:
    """Runs of one method from the point of the search, or the reason why there are none."""

    def unit(_: int) -> xr.Dataset:
        return escaped(search(target), method, settings, seed, target)

    return unit


def resuming(
    method: str, settings: Mapping[str, Any], seed: int, target: Target, found: xr.Dataset
) -> Unit:
    """The same from a search that is saved."""
    return lambda _: escaped(found, method, settings, seed, target)


def escaped(
    found: xr.Dataset, method: str, settings: Mapping[str, Any], seed: int, target: Target
) -> xr.Dataset:
    """Runs from the end of a search, or the reason why there are none."""
    why = nothing_to_escape(found)
    if why:
        return unescaped(method, why)
    objective = batched(target.objective, settings["escape_batch"])
    point = torch.from_numpy(found["point"].values.astype(np.float64))
    try:
        return escape_time(
            objective,
            point.to(objective.device),
            descent=descent_of(objective, point, method, settings, seed),
            displacement=settings["displacement"],
            radius=settings["radius"],
            runs=settings["escape_runs"],
            curves=True,
            seed=seed,
        )
    except InvalidArgument as error:
        if error.code not in ("E-K33", "E-K35"):
            raise
        return unescaped(method, error.what)


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


def descent_of(
    objective: Objective,
    point: torch.Tensor,
    method: str,
    settings: Mapping[str, Any],
    seed: int,
) -> Descent:
    """The descent; without a rate given it is one over the largest eigenvalue at the point."""
    rate = settings["escape_rate"] or 1 / _largest(objective, point, seed)
    jump = settings["jump"] if method == "perturbed" else None
    return Descent(method, rate=rate, noise=jump, max_steps=settings["escape_steps"])


def _largest(objective: Objective, point: torch.Tensor, seed: int) -> float:
    double = objective.converted(torch.float64)
    operator = hessian(double, point.to(double.device), engine="kept")
    try:
        pairs: Any = without_autocast(ritz_pairs)(
            operator, count=1, which="magnitude", tolerance=1e-2, miss_probability=1.0, seed=seed
        )
    except NotConverged as error:
        pairs = error.result
    return abs(float(pairs.values[0]))


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


def _check(settings: Mapping[str, Any]) -> None:
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
