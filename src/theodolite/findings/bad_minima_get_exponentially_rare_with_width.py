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
from theodolite.findings.teacher_student import taught
from theodolite.findings.verdict import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
    REPRODUCED,
    Verdict,
    concluded,
    controlled,
)
from theodolite.intervals.statistics import LEVEL, Estimate, mean_interval, proportion_interval

STUCK = 0.01
SETTLED = 1e-4
MOST_MOVING = 0.02
FEWEST = 4
LEAST_FIT = 1 - LEVEL
ADVANTAGE = 2.0
LEAST_RATE = 0.1
LAWS = ("exponential", "power law")


@dataclass(frozen=True)
class Settings:
    """A teacher of as many orthogonal units as inputs, and students with so many units more."""

    seeds: int = 4
    teacher: int = 16
    excess: tuple[int, ...] = (0, 1, 2, 3)
    starts: int = 20
    steps: int = 4000
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

    A start with a high loss whose gradient has not vanished was still on its way: it counts as
    one that is not stuck. A loss that is not a number counts as stuck.
    """
    ordered = measured.sortby("excess")
    high = ~(ordered.loss <= STUCK)
    stuck = (high & ~(ordered.gradient > SETTLED)).sum(("seed", "start")).values
    starts = ordered.sizes["seed"] * ordered.sizes["start"]
    return ordered.excess.values, stuck, np.full(len(stuck), starts)


def moving(measured: xr.Dataset) -> float:
    """The largest share, over widths, of starts whose loss is high and gradient not yet small."""
    still = (measured.loss > STUCK) & (measured.gradient > SETTLED)
    return float(still.mean(("seed", "start")).max())


def judge(measured: xr.Dataset) -> Verdict:
    """The measured counts, with those of the fitted power law and of a halving as controls."""
    excess, stuck, starts = counts(measured)
    seeds = measured.sizes["seed"]
    power = np.rint(np.array(fitted_decay(excess, stuck, starts, law="power law").shares) * starts)
    halving = np.rint(starts * 0.5 ** (1.0 + excess - excess[0]))
    late = moving(measured)
    return controlled(
        judged(excess, stuck, starts, seeds=seeds, late=late),
        negative=judged(excess, power, starts, seeds=seeds),
        positive=judged(excess, halving, starts, seeds=seeds),
    )


def judged(
    excess: np.ndarray, stuck: np.ndarray, starts: np.ndarray, *, seeds: int, late: float = 0.0
) -> Verdict:
    """The verdict on counts of starts that are stuck, `late` the share that had not settled."""
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
    if late > MOST_MOVING:
        outcome = INCONCLUSIVE
        said += f" Training was too short: {late:.2g} of the starts of one width had not settled."
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
        here = measured.sel(excess=x)
        on = int(((here.loss > STUCK) & (here.gradient > SETTLED)).sum())
        found[f"share not yet settled there, {x} units more"] = proportion_interval(on, int(n))
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
        "widths. A start is stuck if it "
        f"ends at a loss above {STUCK:g} where the gradient is at most {SETTLED:g} long. Counts "
        "over all starts of all seeds are fitted by maximum likelihood (binomial) with "
        "exp(-c - r (n - k)), and with the power law exp(-c) (1 + n - k)^-r."
    ),
    threshold=(
        "Reproduced if the exponential fits (its deviance has a probability of at least "
        f"{LEAST_FIT:.2g}), the {LEVEL:.0%} profile interval of r lies above 0, and its "
        f"log-likelihood is at least {ADVANTAGE:g} above the power law's. Not reproduced if it "
        f"does not fit, if the power law's log-likelihood is at least {ADVANTAGE:g} above its own, "
        f"or if the interval of r lies below {LEAST_RATE:g}. Otherwise inconclusive, and always "
        f"with fewer than {FEWEST} widths at which some starts are stuck and others are not, or "
        f"where more than {MOST_MOVING:.0%} of the starts of a width had not settled."
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
        "The gradient was added to the rule after a first run without it, of 600 starts a width, "
        "2,500 steps, a teacher of 32 units and students of 34 to 40: 350, 146, 54, 24, 23, 33 and "
        "32 ended above the threshold, which refused the exponential (p = 1e-22) as well as the "
        "power law, and the gradients there (0.007 to 0.014) had not vanished; with 10,000 steps, "
        "none of 60 starts of students of 35 and of 39 units ended there. What was counted was "
        "slow training. "
        "How often one start distribution and Adam end at a high loss is not how many bad minima "
        "there are, and a vanishing gradient does not tell a minimum from a saddle. "
        "Orthonormal teachers, Gaussian inputs, no output weights or biases."
    ),
    effect="rate at which the logarithm of the share stuck falls, a unit more",
    settings={
        "quick": Settings(),
        "standard": Settings(seeds=5, starts=40, teacher=24, excess=(0, 1, 2, 3, 4), steps=6000),
        "thorough": Settings(
            seeds=10, starts=60, teacher=48, excess=(0, 1, 2, 3, 4, 5), steps=15000
        ),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
    disagreement=(
        "Where training is given time to settle, bad minima do not thin out over several widths: "
        "they are gone. Two units beyond the teacher's none is left, so that no law of decay can "
        "be fitted to the widths in between."
    ),
)
