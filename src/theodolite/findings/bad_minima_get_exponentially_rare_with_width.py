"""Claim: bad local minima get exponentially rare as networks get wider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr

from theodolite import results
from theodolite.findings.exponential_decay import Decay, fitted_decay
from theodolite.findings.finding import Finding
from theodolite.findings.statistics import LEVEL, Estimate, mean_interval, proportion_interval
from theodolite.findings.teacher_student import taught
from theodolite.findings.verdict import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
    REPRODUCED,
    Verdict,
    concluded,
    controlled,
)

STUCK = 0.01
FEWEST = 4
LEAST_FIT = 1 - LEVEL
ADVANTAGE = 2.0
LEAST_RATE = 0.1
LAWS = ("exponential", "power law")


@dataclass(frozen=True)
class Settings:
    """A teacher of as many orthogonal units as inputs, and students with so many units more."""

    seeds: int = 4
    teacher: int = 24
    excess: tuple[int, ...] = (1, 2, 3, 4, 5)
    starts: int = 20
    steps: int = 2500
    rate: float = 0.02


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """Where Adam ends from every start, for students of every width."""
    found = [
        taught(
            torch.eye(settings.teacher),
            width=settings.teacher + more,
            starts=settings.starts,
            steps=settings.steps,
            rate=settings.rate,
            seed=seed,
        )
        for more in settings.excess
    ]
    dims = ("excess", "start")
    words = {"long_name": "mean squared error where training ended"}
    gradient = {"long_name": "length of the gradient there"}
    return results.dataset(
        "finding",
        {
            "loss": (dims, [f[0].numpy() for f in found], words),
            "gradient": (dims, [f[1].numpy() for f in found], gradient),
        },
        {
            "excess": ("excess", list(settings.excess), {"long_name": "units beyond the teacher"}),
            "start": range(settings.starts),
        },
    )


def counts(measured: xr.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Units beyond the teacher's, starts stuck, and starts, from narrow to wide.

    A loss that is not a number counts as stuck.
    """
    ordered = measured.sortby("excess")
    stuck = (~(ordered.loss <= STUCK)).sum(("seed", "start")).values
    starts = ordered.sizes["seed"] * ordered.sizes["start"]
    return ordered.excess.values, stuck, np.full(len(stuck), starts)


def judge(measured: xr.Dataset) -> Verdict:
    """The measured counts, with those of the fitted power law and of a halving as controls."""
    excess, stuck, starts = counts(measured)
    seeds = measured.sizes["seed"]
    power = np.rint(np.array(fitted_decay(excess, stuck, starts, law="power law").shares) * starts)
    halving = np.rint(starts * 0.5 ** (1.0 + excess - excess[0]))
    return controlled(
        judged(excess, stuck, starts, seeds=seeds),
        negative=judged(excess, power, starts, seeds=seeds),
        positive=judged(excess, halving, starts, seeds=seeds),
    )


def judged(excess: np.ndarray, stuck: np.ndarray, starts: np.ndarray, *, seeds: int) -> Verdict:
    """The verdict on counts of starts that are stuck."""
    exponential, power = (fitted_decay(excess, stuck, starts, law=law) for law in LAWS)
    ahead = exponential.log_likelihood - power.log_likelihood
    some = int(((stuck > 0) & (stuck < starts)).sum())
    said = (
        "Stuck, by units beyond the teacher's: "
        + ", ".join(f"{x}: {k:.0f}" for x, k in zip(excess, stuck, strict=True))
        + f", of {starts[0]} each. The share falls by a factor of exp({exponential.rate.value:.3g} "
        f"[{exponential.rate.low:.3g}, {exponential.rate.high:.3g}]) a unit; an exponential fits "
        f"with p = {exponential.fit:.2g}, a power law of one plus these units with p = "
        f"{power.fit:.2g}; log-likelihood of the exponential less that of the power law: "
        f"{ahead:.3g}."
    )
    outcome = _outcome(exponential, ahead)
    if some < FEWEST:
        outcome = INCONCLUSIVE
        said += f" Only {some} widths have starts that are stuck and others that are not."
    return concluded(outcome, exponential.rate, seeds=seeds, explanation=said)


def _outcome(exponential: Decay, ahead: float) -> str:
    if exponential.fit < LEAST_FIT or ahead <= -ADVANTAGE or exponential.rate.high < LEAST_RATE:
        return NOT_REPRODUCED
    return REPRODUCED if ahead >= ADVANTAGE and exponential.rate.low > 0 else INCONCLUSIVE


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Shares stuck, losses and gradients by width, and the rates of both laws."""
    excess, stuck, starts = counts(measured)
    found = {}
    for x, k, n in zip(excess, stuck, starts, strict=True):
        share = proportion_interval(int(k), int(n))
        found[f"share of starts stuck above {STUCK:g}, {x} units beyond the teacher's"] = share
    for x in excess:
        loss = measured.loss.sel(excess=x).values.ravel()
        slope = measured.gradient.sel(excess=x).values.ravel()
        for words, which in (("stuck", loss > STUCK), ("not stuck", loss <= STUCK)):
            if which.any():
                found[f"loss where {words}, {x} units more"] = mean_interval(loss[which])
                found[f"length of the gradient where {words}, {x} units more"] = mean_interval(
                    slope[which]
                )
    for law in LAWS:
        found[f"rate of the {law}"] = fitted_decay(excess, stuck, starts, law=law).rate
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "Bad local minima are exponentially rare in overparameterized networks: the share of "
        "starts from which training ends at one falls exponentially with the width."
    ),
    reference=(
        'The article "Optimization Landscape of Neural Networks: Why Deep Learning Works", after '
        "Choromanska, Henaff, Mathieu, Ben Arous, LeCun (2015), AISTATS, arXiv:1412.0233. The "
        "setting: Safran, Shamir (2018), Spurious Local Minima are Common in Two-Layer ReLU Neural "
        "Networks, ICML, arXiv:1712.08968"
    ),
    protocol=(
        "A student, the sum of n rectified units, learns a teacher, the sum of k orthonormal ones "
        "of k inputs, by the mean squared error over all standard normal inputs in closed form. "
        "Adam with a cosine schedule from independent Gaussian starts, for students of several "
        "widths from where stuck starts begin to be the fewer (a trial on another seed chose k and "
        "these widths: for large k, nearly all starts are stuck at n = k). A start is stuck if it "
        f"ends at a loss above {STUCK:g}. Counts over all starts of all seeds are fitted by "
        "maximum likelihood (binomial; the standard preset has as many starts as tell an exact "
        "halving from a power law by four times the log-likelihood asked for) with "
        "exp(-c - r (n - k)), and with the power law exp(-c) (1 + n - k)^-r."
    ),
    threshold=(
        "Reproduced if the exponential fits (its deviance has a probability of at least "
        f"{LEAST_FIT:.2g}), the {LEVEL:.0%} profile interval of r lies above 0, and its "
        f"log-likelihood is at least {ADVANTAGE:g} above the power law's. Not reproduced if it "
        f"does not fit, if the power law's log-likelihood is at least {ADVANTAGE:g} above its own, "
        f"or if the interval of r lies below {LEAST_RATE:g}. Otherwise inconclusive, and always "
        f"with fewer than {FEWEST} widths at which some starts are stuck and others are not."
    ),
    negative_control=(
        "The counts that the fitted power law gives for the same widths and starts, judged by the "
        "same rule: they must not be reproduced, or the starts were too few to tell the laws apart."
    ),
    positive_control=(
        "Counts of a share that is one half at the narrowest student and halves with every unit, "
        "of as many starts, judged by the same rule: they must be reproduced."
    ),
    limits=(
        "A few widths, over which a law can be told only roughly, and not those next to n = k, at "
        "which the share is nearly 1 and falls slowly. What is measured "
        "is how often one start distribution and Adam end at a high loss, not how many bad minima "
        "there are. Where training ends is not proven to be a minimum (the gradient is reported). "
        "Orthonormal teachers, Gaussian inputs, no output weights or biases."
    ),
    effect="rate at which the logarithm of the share stuck falls, a unit more",
    settings={
        "quick": Settings(),
        "standard": Settings(seeds=10, starts=60, teacher=32, excess=tuple(range(2, 9))),
        "thorough": Settings(
            seeds=20, starts=60, teacher=32, excess=tuple(range(2, 9)), steps=5000
        ),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
    disagreement=(
        "Bad minima get rare fast, but by which law these few starts cannot tell: the rule does "
        "not even accept an exact halving (the positive control), and too few widths lie between "
        "all stuck and none. A longer run of 200 starts of students with 34 to 38 units, taught "
        "by 32, had 129, 47, 12, 12 and 9 stuck: the exponential did not fit (p = 0.005), its "
        "log-likelihood was 3.5 below the power law's, and the positive control was open there "
        "too."
    ),
)
