"""Barriers between weights in files: a pair a unit, with BatchNorm as it is and recomputed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import xarray as xr
from torch import Tensor

from theodolite.connectivity import barrier
from theodolite.errors import InvalidArgument
from theodolite.objective import Objective
from theodolite.seeds import child_seed
from theodolite.surveys.groups import Group, Unit
from theodolite.surveys.measures.settings import count_of, flag_of, share_of
from theodolite.surveys.measures.start import ratio
from theodolite.surveys.measures.variants import variant_names, variants
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target
from theodolite.training import load_state

OWN = "target"
"""The name of the surveyed weights, which are the first point where one file is named."""

End = Mapping[str, Tensor] | Tensor


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """One group a pair of points, and one more for it with statistics recomputed.

    Nothing where no file is named, unless one is required.
    """
    steps = count_of(settings, "connectivity", "steps", 3)
    refine = count_of(settings, "connectivity", "refine", 0)
    count_of(settings, "connectivity", "resamples")
    share_of(settings, "connectivity", "level")
    names = names_of(settings)
    kinds = variant_names(target, settings)
    if not names:
        return ()
    passes = (steps + 2 * refine * (1 + (target.test is not None))) * ratio(target)
    pairs = list(combinations(range(len(names)), 2))
    return tuple(
        Group(
            ("barrier" if len(pairs) == 1 else f"barrier_{i}_{j}") + kind,
            "connectivity",
            partial(opening, settings, seed, (i, j), kind),
            passes=passes,
            bound=refine > 0,
            vectors=5,
        )
        for i, j in pairs
        for kind in kinds
    )


def names_of(settings: Mapping[str, Any]) -> list[str]:
    """The points by name: files, told apart by their folders, after the target if it is one."""
    files = settings["files"]
    if not isinstance(files, list | tuple) or not all(isinstance(f, str) for f in files):
        raise InvalidArgument(
            f"files of connectivity must be a list of paths; got {files!r}.", code="E-A06"
        )
    if not files and flag_of(settings, "connectivity", "required"):
        raise InvalidArgument(
            "connect needs a file of weights: two or more, or one to connect the target with.",
            fix="theodolite connect TARGET a.safetensors b.safetensors",
            code="E-A06",
        )
    paths = [Path(f) for f in files]
    names = next(
        (made for made in (_named(paths, k) for k in range(3)) if len(set(made)) == len(made)),
        [f"{p.stem} [{k}]" for k, p in enumerate(paths)],
    )
    return [OWN, *names] if len(names) == 1 else names


def _named(paths: list[Path], way: int) -> list[str]:
    """The files by what their names begin with, by their names, or with their folders as well."""
    return [(p.stem, p.name, f"{p.parent.name}/{p.name}")[way] for p in paths]


def opening(
    settings: Mapping[str, Any], seed: int, pair: tuple[int, int], kind: str, target: Target
) -> Unit:
    """Read both ends; the whole segment is one unit."""
    chosen = dict(variants(target, settings))[kind]
    names = names_of(settings)
    ends = [_end(chosen.objective, settings["files"], names, k) for k in pair]

    def unit(_: int) -> xr.Dataset:
        found = barrier(
            chosen.objective,
            *ends,
            test=chosen.test,
            steps=settings["steps"],
            refine=settings["refine"],
            level=float(settings["level"]),
            resamples=settings["resamples"],
            seed=child_seed(seed, "barrier", *pair),
        )
        first, second = (names[k] for k in pair)
        return found.assign_attrs(first=first, second=second, points=names, pair=list(pair))

    return unit


def _end(objective: Objective, files: list[str], names: list[str], place: int) -> End:
    """The weights at a place in the list of names; nothing in a file is run."""
    if names[0] == OWN and len(files) == 1:
        if place == 0:
            return objective.start
        place = 0
    state = load_state(files[place])
    try:
        objective.space.flatten(state)
    except InvalidArgument as error:
        raise InvalidArgument(
            f"{Path(files[place]).name} does not fit the model: {error.what}",
            where=files[place],
            fix="name weights of the target's own model.",
            code="E-A07",
        ) from error
    return state


def settings(steps: int, resamples: int) -> dict[str, Any]:
    return {
        "files": [],
        "steps": steps,
        "refine": 8,
        "level": 0.95,
        "resamples": resamples,
        "batch_norm": "both",
        "required": False,
    }


CONNECTIVITY = Measure(
    "connectivity",
    "how high the loss rises between weights in files, on the straight line from one to another",
    {
        "quick": settings(25, 1000),
        "standard": settings(31, 2000),
        "thorough": settings(51, 5000),
    },
    groups,
)
