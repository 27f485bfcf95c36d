"""The units of work that connect one pair: a line, answers, a matching, a curve."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import xarray as xr
from torch import Tensor

from theodolite import results
from theodolite.connectivity import barrier, curve, function_distance
from theodolite.connectivity.ends import recomputed
from theodolite.connectivity.matched import Units, usable_units
from theodolite.connectivity.matches import moved_to, unit_matching
from theodolite.connectivity.relations import apart, end_losses, idle_loss
from theodolite.connectivity.segments import Advance
from theodolite.intervals.verdicts import threshold_of
from theodolite.objective import Objective
from theodolite.objective.arrangement import separable
from theodolite.seeds import child_seed
from theodolite.surveys.groups import Tell, Unit
from theodolite.surveys.measures.connectivity_weights import weights_of
from theodolite.surveys.measures.escapes import batched
from theodolite.surveys.measures.variants import variants
from theodolite.surveys.target import Target

End = Mapping[str, Tensor] | Tensor

Shared = Callable[[Objective], Units]
"""The units of a model, traced once for all pairs of a process."""

UNMEASURED = "not_measured"


@dataclass(frozen=True)
class Pair:
    """Two of the points, by their places in the names, and how their results end."""

    settings: Mapping[str, Any]
    seed: int
    names: tuple[str, ...]
    places: tuple[int, int]
    suffix: str

    def own(self, what: str) -> int:
        """The seed of one part of the pair."""
        return child_seed(self.seed, what, *self.places)

    def marked(self, found: xr.Dataset, **more: Any) -> xr.Dataset:
        """A result with the names of its ends."""
        first, second = (self.names[k] for k in self.places)
        return found.assign_attrs(
            first=first, second=second, points=list(self.names), pair=list(self.places), **more
        )


def shared_units() -> Shared:
    """Traces a model when it is first asked for its units, and remembers them."""
    made: list[Units] = []

    def units(objective: Objective) -> Units:
        if not made:
            made.append(usable_units(objective))
        return made[0]

    return units


def ends_of(objective: Objective, pair: Pair) -> tuple[End, End]:
    """The weights at both places; nothing in a file is run."""
    first, second = (point_at(objective, pair, place) for place in pair.places)
    return first, second


def point_at(objective: Objective, pair: Pair, place: int) -> End:
    """The weights of one of the points: of a file, or the target's own."""
    files = pair.settings["files"]
    if len(files) == 1 and place == 0:
        return objective.start
    return weights_of(objective, files[0 if len(files) == 1 else place])


def opening_line(pair: Pair, kind: str, target: Target) -> Unit:
    """The barrier on the segment, with the threshold it is judged by."""
    chosen = dict(variants(target, pair.settings))[kind]
    ends = ends_of(chosen.objective, pair)

    def unit(_: int, tell: Tell | None = None) -> xr.Dataset:
        found = _line(chosen, pair, ends, tell)
        tau, origin = threshold_of(
            end_losses(found), idle_loss(chosen.objective), pair.settings["threshold"]
        )
        return pair.marked(found, threshold=tau, threshold_from=origin)

    return unit


def _line(target: Target, pair: Pair, ends: tuple[End, End], tell: Tell | None) -> xr.Dataset:
    return barrier(
        target.objective,
        *ends,
        test=target.test,
        seed=pair.own("barrier"),
        progress=advance(tell),
        **_measured(pair.settings),
    )


def _measured(settings: Mapping[str, Any], steps: str = "steps") -> dict[str, Any]:
    """How a path is measured; ``steps`` under the name it has there."""
    return {
        steps: settings["steps"],
        "refine": settings["refine"],
        "level": float(settings["level"]),
        "resamples": settings["resamples"],
    }


def advance(tell: Tell | None) -> Advance | None:
    """Tells counts in words."""
    if tell is None:
        return None
    return lambda what, done, most: tell(f"{what} {done} of {most}")


def opening_answers(pair: Pair, target: Target) -> Unit:
    """How the answers differ, on test data where there are any."""
    own = target.objective if target.test is None else target.test
    ends = ends_of(own, pair)
    level, resamples = float(pair.settings["level"]), pair.settings["resamples"]
    split = "training" if target.test is None else "test"

    def unit(_: int) -> xr.Dataset:
        seed = pair.own("functions")
        found = function_distance(own, *ends, level=level, resamples=resamples, seed=seed)
        return pair.marked(found, split=split)

    return unit


def opening_matching(pair: Pair, shared: Shared, target: Target) -> Unit:
    """The permutations of the second that bring it beside the first."""
    own = target.objective

    def unit(_: int) -> xr.Dataset:
        return pair.marked(_matching(own, pair, shared))

    return unit


def _matching(objective: Objective, pair: Pair, shared: Shared) -> xr.Dataset:
    method, seed = pair.settings["align"], pair.own("matching")
    ends = ends_of(objective, pair)
    return unit_matching(objective, shared(objective), *ends, method=method, seed=seed)


def opening_aligned_line(pair: Pair, kind: str, shared: Shared, target: Target) -> Unit:
    """The same line to the permuted weights, from a matching made now."""
    return resuming_aligned_line(pair, kind, shared, target, None)


def resuming_aligned_line(
    pair: Pair, kind: str, shared: Shared, target: Target, matching: xr.Dataset | None
) -> Unit:
    """The line to the permuted weights of a matching that is saved."""
    chosen = dict(variants(target, pair.settings))[kind]

    def unit(_: int, tell: Tell | None = None) -> xr.Dataset:
        ends, why = _aligned(chosen.objective, target, pair, shared, matching)
        if ends is None:
            return _unmeasured("barrier", pair, why)
        found = _line(chosen, pair, ends, tell)
        return pair.marked(found, align=pair.settings["align"])

    return unit


def _aligned(
    objective: Objective,
    target: Target,
    pair: Pair,
    shared: Shared,
    matching: xr.Dataset | None,
) -> tuple[tuple[End, End] | None, str]:
    """The first end and the permuted second, or None and why."""
    found = _matching(target.objective, pair, shared) if matching is None else matching
    if UNMEASURED in found.attrs:
        return None, str(found.attrs[UNMEASURED])
    first, second = ends_of(objective, pair)
    return (first, moved_to(objective, shared(target.objective), found, second)), ""


def _unmeasured(quantity: str, pair: Pair, why: str) -> xr.Dataset:
    """Stands for a path that there is none of, and says why."""
    told = {"long_name": "whether it could be measured"}
    return pair.marked(results.dataset(quantity, {"measured": ((), 0, told)}, not_measured=why))


def opening_curve(pair: Pair, kind: str, target: Target) -> Unit:
    """A curve between the ends as they are."""

    def unit(_: int, tell: Tell | None = None) -> xr.Dataset:
        return _bent(target, pair, kind, ends_of(target.objective, pair), tell)

    return unit


def opening_aligned_curve(pair: Pair, kind: str, shared: Shared, target: Target) -> Unit:
    """A curve to the permuted weights, from a matching made now."""
    return resuming_aligned_curve(pair, kind, shared, target, None)


def resuming_aligned_curve(
    pair: Pair, kind: str, shared: Shared, target: Target, matching: xr.Dataset | None
) -> Unit:
    """A curve to the permuted weights of a matching that is saved."""

    def unit(_: int, tell: Tell | None = None) -> xr.Dataset:
        own = recomputed(target.objective)
        ends, why = _aligned(own, target, pair, shared, matching)
        if ends is None:
            return _unmeasured("curve", pair, why)
        return _bent(target, pair, kind, ends, tell, align=pair.settings["align"])

    return unit


def _bent(
    target: Target, pair: Pair, kind: str, ends: tuple[End, End], tell: Tell | None, **more: Any
) -> xr.Dataset:
    own, settings = target.objective, pair.settings
    if not apart(own, *ends):
        return _unmeasured("curve", pair, "the two ends are one point")
    made = curve(
        batched(own, settings["curve_batch"]),
        *ends,
        kind=kind,
        steps=settings["curve_steps"],
        learning_rate=settings["curve_rate"] or "auto",
        test=target.test,
        seed=pair.own("curve"),
        progress=advance(tell),
        **_measured(settings, "places"),
    )
    return pair.marked(made, **more)


def batches_of(objective: Objective, size: int) -> int:
    """How many batches that are."""
    if separable(objective):
        return -(-objective.examples // size)
    kept = objective.data.kept
    return len(kept) if kept is not None else max(1, objective.examples // size)
