"""What connects weights in files: lines, matched units, curves and answers, pair by pair."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from theodolite.connectivity.families import KINDS
from theodolite.connectivity.matched import NONE, check_alignment
from theodolite.errors import InvalidArgument
from theodolite.surveys.groups import Group
from theodolite.surveys.identity import existing
from theodolite.surveys.measures import connectivity_units as units
from theodolite.surveys.measures.connectivity_graph import graph, pairs_of
from theodolite.surveys.measures.connectivity_units import Pair, batches_of
from theodolite.surveys.measures.connectivity_weights import weights_of
from theodolite.surveys.measures.settings import count_of, flag_of, share_of
from theodolite.surveys.measures.start import ratio
from theodolite.surveys.measures.variants import RECOMPUTED, variant_names
from theodolite.surveys.plan import Measure
from theodolite.surveys.target import Target

OWN = "target"
"""The name of the surveyed weights, which are the first point where one file is named."""

AUTO = "auto"
CURVES = (*KINDS, NONE)
"""Kinds of curves; "auto" is a Bezier curve for few points and none for many."""

FEW = 3
"""Points up to which curves are trained unless it is said otherwise: three pairs."""

GRADIENT, MATCHING = 3.0, 6.0
"""What a gradient of a batch costs in passes over it; and a trace with its trials, in passes."""

STEP, TRACE, LOADING = 1.5e-3, 1.0, 0.1
"""Seconds beside the passes, on one thread of a laptop of 2020: of a step on a small batch, a
trace of a model, and what is loaded first."""

DRAW, PRODUCT = 2e-8, 5e-10
"""Seconds of the intervals, for each example and resample: drawing it, and each place's mean."""

LEARNED = 100
"""Steps of straight-through matching, each a gradient of a batch and a matching."""

LINES, ANSWERS, MATCHED, BENT = "connectivity", "functions", "alignment", "curves"
"""The parts of the plan, as it names them."""


def groups(target: Target, settings: Mapping[str, Any], seed: int) -> tuple[Group, ...]:
    """Lines of all pairs, then answers, matchings with their lines, and curves.

    Nothing where no file is named, unless one is required. Every file is read and compared with
    the model here, before anything runs.
    """
    _check(settings)
    names, kinds = names_of(settings), variant_names(target, settings)
    if not names:
        return ()
    for path in settings["files"]:
        file = existing(Path(path), "connectivity.files")
        weights_of(target.objective, file, told=True)
    each = pairs_of(settings, seed, names)
    found = [g for p in each for g in _lines(target, p, kinds)]
    if target.objective.start_pass.hits is not None:
        found += [_answers(target, p) for p in each]
    aligned = settings["align"] != NONE
    if aligned:
        shared = units.shared_units()
        found += [g for p in each for g in _matched(target, p, kinds, shared)]
    kind = curve_kind(settings, len(names))
    if kind != NONE:
        found += [_curve(target, p, kind) for p in each]
        if aligned:
            found += [_curve(target, p, kind, shared) for p in each]
    steps, places = _curve_costs(target, settings)
    measured = (_places(target, settings) + 1, places)
    return (*found, *graph(target, each, kind, measured=measured, gradients=steps))


def curve_kind(settings: Mapping[str, Any], points: int) -> str:
    """The kind of curves that are trained between so many points."""
    kind = settings["curve"]
    if kind == AUTO:
        return KINDS[0] if points <= FEW else NONE
    return str(kind)


def _check(settings: Mapping[str, Any]) -> None:
    for name, least in (("steps", 3), ("refine", 0), ("resamples", 1), ("curve_steps", 1)):
        count_of(settings, "connectivity", name, least)
    count_of(settings, "connectivity", "curve_batch")
    flag_of(settings, "connectivity", "bands")
    share_of(settings, "connectivity", "level")
    check_alignment(settings["align"], "align of connectivity")
    if settings["curve"] not in (AUTO, *CURVES):
        raise InvalidArgument(
            f"curve of connectivity must be one of {', '.join(CURVES)}; got {settings['curve']!r}.",
            code="E-S49",
        )
    for name in ("curve_rate", "threshold"):
        value = settings.get(name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and 0 < value < math.inf):
            raise InvalidArgument(
                f"{name} of connectivity must be a positive number; got {value!r}.",
                code="E-S50",
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


def _places(target: Target, settings: Mapping[str, Any]) -> float:
    """Passes over one path: its places, and at most those around its maxima."""
    test = target.test is not None
    return float((settings["steps"] + 2 * settings["refine"] * (1 + test)) * ratio(target))


def _lines(target: Target, pair: Pair, kinds: tuple[str, ...]) -> list[Group]:
    """The line as the weights are, and one more for it with statistics recomputed."""
    return [
        Group(
            f"barrier{pair.suffix}{kind}",
            LINES,
            partial(units.opening_line, pair, kind),
            passes=(_double(target) if kind else 1.0) * _places(target, pair.settings) + 1,
            seconds=_beside(target, pair.settings),
            bound=pair.settings["refine"] > 0,
            vectors=5,
            told=True,
        )
        for kind in kinds
    ]


def _answers(target: Target, pair: Pair) -> Group:
    extra = target.test.examples / target.objective.examples if target.test else 1.0
    return Group(
        f"functions{pair.suffix}",
        ANSWERS,
        partial(units.opening_answers, pair),
        passes=2.0 * extra,
        seconds=LOADING,
        vectors=4,
    )


def _matched(
    target: Target, pair: Pair, kinds: tuple[str, ...], shared: units.Shared
) -> list[Group]:
    """The matching, and the line to the permuted weights: recomputed where it can be."""
    matching = f"matching{pair.suffix}"
    learned = LEARNED if pair.settings["align"] == "straight-through" else 0
    return [
        Group(
            matching,
            MATCHED,
            partial(units.opening_matching, pair, shared),
            passes=MATCHING + learned * GRADIENT / target.objective.data.whole,
            seconds=TRACE + learned * 10 * STEP,
            vectors=12,
        ),
        Group(
            f"aligned_barrier{pair.suffix}",
            MATCHED,
            partial(units.opening_aligned_line, pair, kinds[-1], shared),
            passes=_double(target) * _places(target, pair.settings) + 2,
            seconds=_beside(target, pair.settings),
            bound=pair.settings["refine"] > 0,
            vectors=7,
            after=matching,
            resume=partial(units.resuming_aligned_line, pair, kinds[-1], shared),
            told=True,
        ),
    ]


def _curve(target: Target, pair: Pair, kind: str, shared: units.Shared | None = None) -> Group:
    """A curve between the ends as they are or, with `shared` units, to the permuted end."""
    steps, places = _curve_costs(target, pair.settings)
    how = {
        "measure": BENT,
        "passes": steps + places,
        "seconds": STEP * pair.settings["curve_steps"] + _beside(target, pair.settings),
        "bound": True,
        "vectors": 12,
        "told": True,
    }
    if shared is None:
        return Group(f"curve{pair.suffix}", open=partial(units.opening_curve, pair, kind), **how)
    return Group(
        f"aligned_curve{pair.suffix}",
        open=partial(units.opening_aligned_curve, pair, kind, shared),
        after=f"matching{pair.suffix}",
        resume=partial(units.resuming_aligned_curve, pair, kind, shared),
        **how,
    )


def _curve_costs(target: Target, settings: Mapping[str, Any]) -> tuple[float, float]:
    """Passes of the steps of a curve, and of its places with the way of its answers."""
    own = target.objective
    steps = GRADIENT * settings["curve_steps"] / batches_of(own, settings["curve_batch"])
    answers = float(settings["steps"]) if own.start_pass.hits is not None else 0.0
    return steps, _double(target) * (_places(target, settings) + answers)


def _double(target: Target) -> float:
    """Passes of a place whose BatchNorm statistics are recomputed, if they are."""
    return 2.0 if variant_names(target, {"batch_norm": "both"})[-1] == RECOMPUTED else 1.0


def _beside(target: Target, settings: Mapping[str, Any]) -> float:
    """Seconds of the intervals of a path."""
    examples = target.objective.examples + (target.test.examples if target.test else 0)
    kinds = 1 if target.objective.start_pass.hits is None else 2
    places = int(settings["steps"] + 2 * settings["refine"])
    count = int(settings["resamples"])
    return LOADING + kinds * count * examples * (DRAW + places * PRODUCT)


def settings(steps: int, resamples: int, curve_steps: int) -> dict[str, Any]:
    return {
        "files": [],
        "steps": steps,
        "refine": 8,
        "level": 0.95,
        "resamples": resamples,
        "batch_norm": "both",
        "align": "weights",
        "curve": AUTO,
        "curve_steps": curve_steps,
        "curve_rate": None,
        "curve_batch": 128,
        "bands": False,
        "threshold": None,
        "required": False,
    }


CONNECTIVITY = Measure(
    "connectivity",
    "what connects weights in files: lines, matched units, curves, and how their answers differ",
    {
        "quick": settings(25, 1000, 600),
        "standard": settings(31, 2000, 1200),
        "thorough": settings(51, 5000, 3000),
    },
    groups,
)
