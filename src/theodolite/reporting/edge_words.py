"""What a report says of gradient descent at several rates, in computed sentences."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import xarray as xr

from theodolite.plots import plain
from theodolite.reporting.explanations import Explanation
from theodolite.reporting.numbers import Number
from theodolite.reporting.sentences import Cited, Sentence

NEAR, ABOVE = 0.9, 1.15
"""A late mean of the sharpness over its threshold between these is called at the edge."""

FELL = 0.7
"""A late mean below this share of the peak counts as fallen from it."""

MOST = 8
"""Runs that have a sentence of their own."""

Standing = Literal["diverged", "at the edge", "left the edge", "below the edge", "above", "unknown"]

EXPLANATION = Explanation(
    "The largest eigenvalue of the Hessian along gradient descent over all the data, against the "
    "threshold (thin line) above which the update rule is unstable on a quadratic, and the loss of "
    "the same runs.",
    "Descent here is that of the loss as it is evaluated: no dropout, no augmentation, BatchNorm "
    "frozen. The threshold is that of a quadratic; swings of finite size let the eigenvalue stand "
    "some percent above it. With cross-entropy the sharpness falls again once the loss is near "
    "zero, and a rate so small that training ends before the crossing shows nothing of the edge.",
    "trained-loss",
)


def standing(run: xr.Dataset) -> Standing:
    """Where one run of an "edge_of_stability" result ended, by its late mean and its peak."""
    mean, peak = float(run["late_mean"]), float(run["peak"])
    if math.isfinite(float(run["diverged"])):
        return "diverged"
    if not math.isfinite(mean):
        return "unknown"
    if mean > ABOVE:
        return "above"
    if mean >= NEAR:
        return "at the edge"
    return "left the edge" if peak >= NEAR else "below the edge"


def edge_sentences(found: xr.Dataset) -> tuple[Sentence, ...]:
    """One sentence a run, and one on the loss after the crossing."""
    runs = [found.isel(run=k) for k in range(found.sizes["run"])]
    made = [r for r in runs if math.isfinite(float(r["rate"]))]
    said = [run_sentence(r) for r in made[:MOST]]
    return (*said, *swings(made))


def run_sentence(run: xr.Dataset) -> Sentence:
    """How sharpness and threshold stand at the end of a run, and how it came there."""
    steps = int(run["step"].values[-1])
    head = f"Rate {short(float(run['rate']))}{start_words(run)}: "
    where = standing(run)
    if where == "diverged":
        at = int(run["diverged"])
        return (head, f"the loss was no longer finite after {at:,} steps.")
    if where == "unknown":
        return (head, "too few steps for a late mean.")
    late = int(run.attrs["late"])
    cited = Cited(f"late_sharpness_{int(run['run'])}", late_number(run))
    tail: Sentence = (head, f"over the last {late:,} of {steps:,} steps the sharpness is ", cited)
    tail = (*tail, " of the threshold")
    crossing = float(run["first_crossing"])
    since = f", first reached after {crossing:,.0f} steps" if crossing > 0 else ""
    since = ", where it began" if crossing == 0 else since
    if where == "at the edge":
        return (*tail, f": it stays at the edge of stability{since}.")
    peak = float(run["peak"])
    if where == "left the edge" or float(run["late_mean"]) < FELL * peak:
        came = f"it came to {short(peak)} of it{since}, and fell again{_fall_of_loss(run)}"
        never = "" if where == "left the edge" else ", never near the edge of stability"
        return (*tail, f": {came}{never}.")
    if where == "above":
        return (*tail, f": it stays above{since}, where a quadratic would diverge.")
    return (*tail, ": training ended before the edge of stability.")


def _fall_of_loss(run: xr.Dataset) -> str:
    """How far the loss fell from where the sharpness was largest to the end."""
    relative = run["eigenvalue"].values[:, 0]
    at = int(run["time"].values[int(np.nanargmax(relative))])
    loss = run["loss"].values
    before, after = float(loss[min(at, len(loss) - 1)]), float(loss[-1])
    return f" while the loss went from {short(before)} to {short(after)}"


def swings(runs: list[xr.Dataset]) -> tuple[Sentence, ...]:
    """How the loss moved after the crossing, over one step and over long times."""
    crossed = [r for r in runs if np.isfinite([float(r[n]) for n in SWING]).all()]
    if not crossed:
        return ()
    before, after, falls = (
        [float(r[n]) for r in crossed if math.isfinite(float(r[n]))] for n in SWING
    )
    return (
        (
            f"The loss rises in {_range(after)} of single steps after the crossing "
            f"({_range(before)} before), and still falls from one fortieth of that time to the "
            f"next in {_range(falls)} of cases.",
        ),
    )


SWING = ("rising_before", "rising_after", "falling_windows")


def _range(shares: list[float]) -> str:
    low, high = round(100 * min(shares)), round(100 * max(shares))
    return f"{low} %" if low == high else f"{low} to {high} %"


def late_number(run: xr.Dataset) -> Number:
    """The late mean of the sharpness over its threshold, with its standard error."""
    error = float(run["late_error"])
    return Number(float(run["late_mean"]), error if math.isfinite(error) else None)


def start_words(run: xr.Dataset) -> str:
    """Which start, where it was drawn."""
    seed = float(run["fresh_start"])
    return f", fresh start {int(seed)}" if math.isfinite(seed) else ""


def short(value: float) -> str:
    return plain(float(f"{value:.3g}"))


def edge_record(found: xr.Dataset) -> list[dict[str, Any]]:
    """The numbers of every run as plain values; None for what there is not."""
    names = [str(n) for n, v in found.data_vars.items() if v.dims == ("run",)]
    rows: list[dict[str, Any]] = []
    for k in range(found.sizes["run"]):
        run = found.isel(run=k)
        row: dict[str, Any] = {n: _finite(float(run[n])) for n in sorted(names)}
        made = row["rate"] is not None
        rows.append({"run": k, "standing": standing(run) if made else "not made", **row})
    return rows


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
