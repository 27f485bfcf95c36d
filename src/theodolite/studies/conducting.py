"""From the arguments of a study to its tree, by the machinery of surveys."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import xarray as xr

from theodolite.errors import TheodoliteError
from theodolite.surveys.plan import Measure
from theodolite.surveys.surveying import survey


def conducted(
    target: Any,
    measure: Measure,
    settings: Mapping[str, Any],
    *,
    preset: str,
    seed: int,
    out: str | Path | None,
    fresh: bool,
    time_budget: float | int | None,
    n_jobs: int,
    progress: Callable[[int, int], None] | None,
) -> xr.DataTree:
    """The tree of a survey that is one study; None among `settings` leaves the preset's."""
    given = {k: v for k, v in settings.items() if v is not None}
    return survey(
        target,
        measures=[measure.name],
        settings={measure.name: given},
        preset=preset,
        seed=seed,
        out=out,
        fresh=fresh,
        time_budget=time_budget,
        n_jobs=n_jobs,
        progress=progress,
    )


def stored_of(tree: xr.DataTree, quantity: str) -> xr.Dataset:
    """The study in a tree; raises `TheodoliteError` with the first reason where no unit of it has
    numbers (E-U16)."""
    if quantity in tree.children:
        return tree[quantity].to_dataset()
    lost = json.loads(str(tree.attrs.get("failures", "{}"))).get(quantity, {})
    raise TheodoliteError(
        "no training of the study could be measured.",
        where=f"{len(lost)} units failed" if lost else "no unit was computed",
        why=next(iter(lost.values()), "there was no time for one."),
        fix="correct what is named there and run the same command again with fresh=True.",
        code="E-U16",
    )
