"""Claim: training is stuck at a high loss less often, the wider the network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from scipy import stats

from theodolite import results
from theodolite.findings.finding import Finding
from theodolite.findings.teacher_student import taught
from theodolite.findings.verdict import INCONCLUSIVE, Verdict, at_least, concluded, controlled
from theodolite.intervals.statistics import (
    LEVEL,
    Estimate,
    mean_interval,
    proportion_interval,
    simultaneous,
)

STUCK = 0.02
LEAST = 0.05
FEWEST = 4


@dataclass(frozen=True)
class Settings:
    """A teacher of as many orthogonal units as inputs; students of several widths.

    ``narrow`` are two widths below the teacher's: students that cannot reach zero.
    """

    seeds: int = 4
    teacher: int = 8
    widths: tuple[int, ...] = (8, 9, 10, 16)
    narrow: tuple[int, int] = (4, 6)
    starts: int = 50
    steps: int = 2500
    rate: float = 0.02


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """Where Adam ends from every start, for students of every width."""
    widths = [*settings.narrow, *settings.widths]
    found = [
        taught(
            torch.eye(settings.teacher),
            width=width,
            starts=settings.starts,
            steps=settings.steps,
            rate=settings.rate,
            seed=seed,
        )
        for width in widths
    ]
    dims = ("width", "start")
    words = {"long_name": "mean squared error where training ended"}
    gradient = {"long_name": "length of the gradient there"}
    return results.dataset(
        "finding",
        {
            "loss": (dims, [f[0].numpy() for f in found], words),
            "gradient": (dims, [f[1].numpy() for f in found], gradient),
            "teacher": ((), settings.teacher, {"long_name": "units of the teacher"}),
        },
        {
            "width": ("width", widths, {"long_name": "units of the student"}),
            "start": range(settings.starts),
        },
    )


def able(measured: xr.Dataset) -> list[int]:
    """Widths at which the teacher can be met, from narrow to wide."""
    teacher = int(measured.teacher.max())
    return sorted(int(w) for w in measured.width.values if w >= teacher)


def unable(measured: xr.Dataset) -> list[int]:
    """Widths below the teacher's, from narrow to wide."""
    teacher = int(measured.teacher.max())
    return sorted(int(w) for w in measured.width.values if w < teacher)


def stuck(measured: xr.Dataset, width: int, *, level: float = LEVEL) -> Estimate:
    """Share of all starts that end above `STUCK`, with its exact interval.

    A loss that is not a number counts as stuck.
    """
    losses = measured.loss.sel(width=width).values
    return proportion_interval(int((~(losses <= STUCK)).sum()), losses.size, level=level)


def fall(measured: xr.Dataset, narrow: int, wide: int) -> Estimate:
    """Share stuck at one width minus that at another, by the worst ends of both intervals."""
    level = simultaneous(LEVEL, 2)
    a, b = (stuck(measured, width, level=level) for width in (narrow, wide))
    return Estimate(
        a.value - b.value, a.low - b.high, a.high - b.low, LEVEL, a.count, "exact binomial"
    )


def exponential_fit(measured: xr.Dataset) -> tuple[Estimate, float] | None:
    """Slope of the logarithm of the share stuck by width, and how well a line fits it.

    Weighted least squares over the widths, from the teacher's on, at which some starts are stuck
    and others are not; the second number is the probability of a chi-square as large by chance.
    None with fewer than `FEWEST` such widths: the logarithm of zero cannot be fitted.
    """
    shares = {w: stuck(measured, w) for w in able(measured)}
    fitted = {w: e for w, e in shares.items() if 0 < e.value < 1}
    if len(fitted) < FEWEST:
        return None
    width = np.array(list(fitted), dtype=float)
    share = np.array([e.value for e in fitted.values()])
    error = np.sqrt((1 - share) / (share * np.array([e.count for e in fitted.values()])))
    line, covariance = np.polyfit(width, np.log(share), 1, w=1 / error, cov="unscaled")
    square = float((((np.log(share) - np.polyval(line, width)) / error) ** 2).sum())
    half = float(stats.norm.ppf((1 + LEVEL) / 2)) * math.sqrt(covariance[0, 0])
    slope = float(line[0])
    estimate = Estimate(
        slope, slope - half, slope + half, LEVEL, len(fitted), "weighted least squares"
    )
    return estimate, float(stats.chi2.sf(square, len(fitted) - 2))


def judge(measured: xr.Dataset) -> Verdict:
    """From the narrowest student that can meet the teacher to the widest; narrower as control."""
    return controlled(
        _judged(measured, able(measured)), negative=_judged(measured, unable(measured))
    )


def _judged(measured: xr.Dataset, widths: list[int]) -> Verdict:
    narrow, wide = widths[0], widths[-1]
    estimate = fall(measured, narrow, wide)
    outcome = at_least(estimate, minimum=LEAST)
    shares = {w: stuck(measured, w) for w in widths}
    said = f"A teacher of {int(measured.teacher.max())} units; share of starts stuck: " + ", ".join(
        f"{w} units {e.value:.3g} [{e.low:.3g}, {e.high:.3g}]" for w, e in shares.items()
    )
    said += f" of {shares[narrow].count} each."
    if widths == able(measured):
        said += f" {_exponentially(measured)}"
        if shares[narrow].value == 0:
            outcome = INCONCLUSIVE
            said += " No start is stuck at the narrowest: nothing could get rarer."
    return concluded(outcome, estimate, seeds=measured.sizes["seed"], explanation=said)


def _exponentially(measured: xr.Dataset) -> str:
    """What can be said of the word."""
    fit = exponential_fit(measured)
    if fit is None:
        return (
            f"'Exponentially' is not tested: fewer than {FEWEST} widths have starts that are stuck "
            "and others that are not."
        )
    slope, chance = fit
    said = (
        f"The logarithm of the share changes by {slope.value:.3g} [{slope.low:.3g}, "
        f"{slope.high:.3g}] a unit; a line fits it with p = {chance:.2g}: "
    )
    if slope.high < 0 and chance > 1 - LEVEL:
        return said + "consistent with 'exponentially'."
    return said + "not exponential." if chance <= 1 - LEVEL else said + "no fall is seen."


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Shares stuck and losses by width, and the decay of the share where it can be fitted."""
    found = {}
    for width in [*unable(measured), *able(measured)]:
        found[f"share of starts stuck above a loss of {STUCK:g}, {width} units"] = stuck(
            measured, width
        )
    for width in [*unable(measured), *able(measured)]:
        losses = measured.loss.sel(width=width).values.ravel()
        caught = losses[losses > STUCK]
        if len(caught):
            found[f"loss of those that are stuck, {width} units"] = mean_interval(caught)
        if len(caught) < np.isfinite(losses).sum():
            others = losses[losses <= STUCK]
            found[f"loss of the others, {width} units"] = mean_interval(others)
        slopes = measured.gradient.sel(width=width).values.ravel()
        found[f"length of the final gradient, {width} units"] = mean_interval(
            slopes[np.isfinite(slopes)]
        )
    fit = exponential_fit(measured)
    if fit is not None:
        found["change of the logarithm of the share stuck, a unit more"] = fit[0]
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "Bad local minima (high loss) are rare in overparameterized networks: the wider a student "
        "network, the smaller the share of starts from which training ends at one."
    ),
    reference=(
        'The article "Optimization Landscape of Neural Networks: Why Deep Learning Works" '
        '("exponentially rare"), after Choromanska, Henaff, Mathieu, Ben Arous, LeCun (2015), '
        "AISTATS. The setting and the counterexamples: Safran, Shamir (2018), Spurious Local "
        "Minima are Common in Two-Layer ReLU Neural Networks, ICML, arXiv:1712.08968"
    ),
    protocol=(
        "A student, the sum of n rectified units, learns a teacher, the sum of k orthonormal ones "
        "of k inputs. The loss is the mean squared error over all standard normal inputs, in "
        "closed form, so that there is neither a sample nor noise. Adam with a cosine schedule "
        "from independent Gaussian starts, for several n from k on. A start is stuck if it ends "
        f"at a loss above {STUCK:g} (the teacher is at 0). The share stuck at n = k minus that at "
        "the largest n, over all starts of all seeds."
    ),
    threshold=(
        f"Reproduced if the share falls by at least {LEAST:g} and the interval of the fall (the "
        f"worst ends of two exact binomial intervals that hold together at {LEVEL:.0%}) lies above "
        f"0. Not reproduced if the interval lies below {LEAST:g}. Otherwise inconclusive, as when "
        f"no start is stuck at n = k. 'Exponentially' is judged apart, by a line through the "
        f"logarithm of the share, and is not tested unless at least {FEWEST} widths have starts "
        "that are stuck and others that are not."
    ),
    negative_control=(
        "Students of two widths below k, none of which can reach zero, judged by the same rule: "
        "the share stuck must not be seen to fall."
    ),
    limits=(
        "Rare, not absent: at n = k bad minima are met from a fixed share of starts, and more "
        "often for larger k. Where training ends is not proven to be a minimum (the gradient is "
        "reported). Orthonormal teachers, Gaussian inputs, no output weights or biases; shares "
        "are those of one start distribution and of Adam, and say nothing of how many bad minima "
        "there are."
    ),
    effect="fall of the share of starts that are stuck, from n = k to the widest",
    settings={
        "quick": Settings(),
        "standard": Settings(seeds=10, widths=(8, 9, 10, 12, 16)),
        "thorough": Settings(
            seeds=10, teacher=16, widths=(16, 17, 18, 19, 20, 32), narrow=(8, 12), steps=10_000
        ),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
)
