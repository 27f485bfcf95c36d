"""The average or the greedy soup of weights in files, as one unit."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr

from theodolite.averaging import average, soup
from theodolite.errors import InvalidArgument
from theodolite.seeds import child_seed
from theodolite.surveys.groups import Group, Unit
from theodolite.surveys.identity import existing
from theodolite.surveys.measures.connectivity import LOADING, OWN, TRACE, names_of
from theodolite.surveys.measures.connectivity_weights import weights_of
from theodolite.surveys.measures.settings import count_of, flag_of, share_of
from theodolite.surveys.measures.start import ratio
from theodolite.surveys.measures.variants import variant_names
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target

KINDS = ("uniform", "greedy")
ALIGNS = ("none", "weights", "activations", "straight-through")


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """One group of one unit; nothing where no file is named, unless one is required.

    Every file is read and compared with the model here, before anything runs.
    """
    steps = count_of(settings, "averaging", "steps", 3)
    refine = count_of(settings, "averaging", "refine", 0)
    count_of(settings, "averaging", "resamples")
    share_of(settings, "averaging", "level")
    names = members(settings)
    check_choices(target, settings)
    if not names:
        return ()
    for path in settings["files"]:
        weights_of(target.objective, existing(Path(path), "averaging.files"), told=True)
    times = 1 if settings["align"] == "none" else 2
    pairs = len(names) * (len(names) - 1) // 2
    double = 1 if len(variant_names(target, {"batch_norm": "both"})) == 1 else 2
    passes = times * double * pairs * (steps + 2 * refine) + (2 * len(names) + 1) * ratio(target)
    return (
        Group(
            "average",
            "averaging",
            partial(opening, settings, seed),
            passes=passes,
            seconds=LOADING + (TRACE if times == 2 else 0.0),
            bound=True,
            vectors=2 * len(names) + 2,
        ),
    )


def members(settings: Mapping[str, Any]) -> list[str]:
    """The networks by name, the target's own first where a single file is named."""
    files = settings["files"]
    if not isinstance(files, list | tuple) or not all(isinstance(f, str) for f in files):
        raise InvalidArgument(
            f"files of averaging must be a list of paths; got {files!r}.", code="E-A98"
        )
    if not files and flag_of(settings, "averaging", "required"):
        raise InvalidArgument(
            "average needs a file of weights: two or more, or one to average with the target's.",
            fix="theodolite average TARGET a.safetensors b.safetensors",
            code="E-A98",
        )
    return names_of({"files": files, "required": False})


def check_choices(target: Target, settings: Mapping[str, Any]) -> None:
    """Raise for a kind or an alignment that is none, or that do not go together."""
    for name, allowed in (("kind", KINDS), ("align", ALIGNS)):
        if settings[name] not in allowed:
            raise InvalidArgument(
                f"{name} of averaging must be one of {', '.join(allowed)}; got {settings[name]!r}.",
                code="E-A98",
            )
    flag_of(settings, "averaging", "repair")
    if settings["kind"] == "greedy" and (settings["align"] != "none" or settings["repair"]):
        raise InvalidArgument(
            "a greedy soup leaves out what lies across a barrier; it aligns and repairs nothing.",
            fix="use --kind uniform with --align and --repair, or --kind greedy alone.",
            code="E-A98",
        )
    if settings["files"] and settings["kind"] == "greedy" and target.test is None:
        raise InvalidArgument(
            "a greedy soup is chosen by the target's test data, and it has none.",
            fix="give the target a test objective of held-out data.",
            code="E-A98",
        )


def opening(settings: Mapping[str, Any], seed: int, target: Target) -> Unit:
    """Read the files; all of the work is one unit."""
    names = members(settings)
    states: list[Any] = [weights_of(target.objective, file) for file in settings["files"]]
    if names[0] == OWN and len(states) == 1:
        own = {k: v.detach().clone() for k, v in target.objective.model.state_dict().items()}
        states = [own, *states]
    how: dict[str, Any] = {
        "names": names,
        "threshold": settings["threshold"],
        "steps": settings["steps"],
        "refine": settings["refine"],
        "level": float(settings["level"]),
        "resamples": settings["resamples"],
        "seed": child_seed(seed, "averaging"),
    }

    def unit(_: int) -> xr.Dataset:
        if settings["kind"] == "greedy":
            return soup(target.objective, states, validation=target.test, **how)
        align = None if settings["align"] == "none" else settings["align"]
        try:
            also: dict[str, Any] = {"repair": settings["repair"], "test": target.test}
            return average(target.objective, states, align=align, **also, **how)
        except InvalidArgument as error:
            if error.code != "E-A85" or align is not None:
                raise
            raise InvalidArgument(
                f"{error.what} Permute the units first: --align weights.",
                why=error.why,
                fix=error.fix,
                code=error.code,
            ) from error

    return unit


def settings(steps: int, resamples: int) -> dict[str, Any]:
    return {
        "files": [],
        "kind": "uniform",
        "align": "none",
        "repair": False,
        "threshold": None,
        "steps": steps,
        "refine": 8,
        "level": 0.95,
        "resamples": resamples,
        "required": False,
    }


AVERAGING = Measure(
    "averaging",
    "the average of weights in files, or their greedy soup, beside the weights and their ensemble",
    {
        "quick": settings(25, 1000),
        "standard": settings(31, 2000),
        "thorough": settings(51, 5000),
    },
    groups,
)
