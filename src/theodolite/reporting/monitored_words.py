"""What a report says about a monitored training, in computed sentences."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from theodolite.plots import plain
from theodolite.reporting.contents import Contents
from theodolite.reporting.numbers import Number
from theodolite.reporting.sentences import Cited, Sentence
from theodolite.reporting.words import MOST
from theodolite.results import FAILED

EDGE = 0.9
"""From this share of the threshold on, training counts as at the edge of stability."""
OVER = 2.0
"""Beyond this multiple of the threshold another reason is likely than the edge."""


def with_monitor(words: Sequence[Sentence], contents: Contents) -> tuple[Sentence, ...]:
    """The words of a survey and, where there is room, the first on its monitored training."""
    if contents.monitor is None or not watched(contents):
        return tuple(words)
    return (*words, *monitor_sentences(contents.monitor)[:1])[:MOST]


def watched(contents: Contents) -> bool:
    """Whether a training was monitored and anything measured."""
    return contents.monitor is not None and contents.monitor.sizes["time"] > 0


def monitor_sentences(history: xr.Dataset) -> tuple[Sentence, ...]:
    """Where the training stood against its threshold, what batches saw, and what failed."""
    found = (
        _against_threshold(history),
        _batches(history),
        noise_growth(history),
        _unsettled(history),
        _failed(history),
    )
    return tuple(s for s in found if s is not None)


def _against_threshold(history: xr.Dataset) -> Sentence | None:
    place = _last(history, "relative_sharpness")
    if place is None:
        return None
    at = history.isel(time=place)
    value, error = float(at["relative_sharpness"]), float(at["relative_residual"])
    rule = str(history.attrs.get("rule") or "the optimizer")
    relative = history["relative_sharpness"].values
    near = np.flatnonzero(relative >= EDGE)
    head: Sentence = (
        f"After {int(at['time']):,} steps the sharpness is ",
        Cited("relative_sharpness", Number(value, error)),
        f" times the largest at which {rule} is stable",
    )
    if value > OVER:
        return (
            *head,
            ": so far above it that training would not go on; the objective may not be the loss "
            "trained on (evaluation mode, other data, another scale).",
        )
    if value < EDGE or not len(near):
        return (*head, ": training is not at the edge of stability.")
    since = int(history["time"].values[near[0]])
    return (*head, f": it is at the edge of stability, first seen after {since:,} steps.")


def _batches(history: xr.Dataset) -> Sentence | None:
    place = _last(history, "batch_sharpness")
    if place is None:
        return None
    at = history.isel(time=place)
    mean = Number(float(at["batch_sharpness"]), finite_or_none(at["batch_sharpness_error"]))
    size = history.attrs.get("batch_size")
    return (
        f"Batches of {size} have a mean curvature of ",
        Cited("batch_sharpness", mean),
        " along their own gradients.",
    )


def noise_growth(history: xr.Dataset) -> Sentence | None:
    """The noise scale at the first and the last measurement that have it, and how much it grew.

    It counts as grown or fallen where the two intervals are apart.
    """
    place = _last(history, "noise_scale")
    if place is None:
        return None
    seen = np.flatnonzero(np.isfinite(history["noise_scale"].values))
    ends = [history.isel(time=int(k)) for k in (seen[0], place)]
    first, last = (float(at["noise_scale"]) for at in ends)
    head: Sentence = (
        f"After {int(ends[1]['time']):,} steps the noise scale is ",
        Cited("noise_scale_monitored", Number(float(f"{last:.2g}"), None)),
        f" examples ({_ends(ends[1])})",
    )
    begun = f"step {int(ends[0]['time']):,}"
    if len(seen) == 1 or not first > 0:
        return (*head, ".")
    (low0, high0), (low1, high1) = (_interval(at) for at in ends)
    if low1 > high0:
        return (*head, f": it grew {last / first:.2g} times since {begun}.")
    if low0 > high1:
        return (*head, f": it fell to {last / first:.2g} of that at {begun}.")
    return (*head, f"; its interval meets that at {begun}.")


def _interval(at: xr.Dataset) -> tuple[float, float]:
    """The ends of a noise scale's interval; a missing upper end is infinite."""
    low, high = (float(at[f"noise_scale_{end}"]) for end in ("low", "high"))
    return low, high if math.isfinite(high) else math.inf


def _ends(at: xr.Dataset) -> str:
    """The interval of a noise scale in words."""
    low, high = _interval(at)
    return f"at least {_two(low)}" if math.isinf(high) else f"{_two(low)} to {_two(high)}"


def _two(value: float) -> str:
    """Two digits, without an exponent."""
    return plain(float(f"{value:.2g}"))


def _unsettled(history: xr.Dataset) -> Sentence | None:
    notes = [n for n in json.loads(history.attrs.get("notes", "[]")) if "converged" in n]
    if not notes:
        return None
    count = len(notes)
    return (
        f"In {count} case{'s' if count > 1 else ''} eigenvalues did not settle to the tolerance; "
        "their residuals say how far they may be off.",
    )


def _failed(history: xr.Dataset) -> Sentence | None:
    marks = history["status"].values == FAILED
    if not marks.any():
        return None
    names = [str(n) for n, bad in zip(history["measure"].values, marks.any(0), strict=True) if bad]
    reasons: Mapping[str, Mapping[str, str]] = json.loads(history.attrs.get("failures", "{}"))
    first = next((r[n] for r in reasons.values() for n in names if n in r), "no reason was kept")
    return (
        f"Not measured in {int(marks.any(1).sum()):,} of {len(marks):,} measurements: "
        f"{', '.join(names)} ({first}).",
    )


def finite_or_none(value: Any) -> float | None:
    """A number, None where it is NaN or infinite."""
    found = float(value)
    return found if math.isfinite(found) else None


def known(history: xr.Dataset, name: str) -> bool:
    """Whether any measurement has this value."""
    return name in history and bool(np.isfinite(history[name].values).any())


def _last(history: xr.Dataset, name: str) -> int | None:
    """The place of the last measurement that has this value."""
    if not known(history, name):
        return None
    return int(np.flatnonzero(np.isfinite(history[name].values))[-1])
