"""Claim: critical points at high loss are saddles, and their index rises with the loss."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
import xarray as xr
from scipy import stats
from torch import Tensor

from theodolite import results
from theodolite.curvature.critical_points import Method, critical_point
from theodolite.curvature.saddle_indices import saddle_index
from theodolite.errors import NotConverged
from theodolite.findings.finding import Finding
from theodolite.findings.small_landscape import landscape, near_descent
from theodolite.findings.verdict import (
    INCONCLUSIVE,
    REPRODUCED,
    Verdict,
    all_of,
    at_least,
    concluded,
    controlled,
)
from theodolite.intervals.rank_correlation import (
    FEWEST as FEWEST_PAIRS,
)
from theodolite.intervals.rank_correlation import shuffled_spearman, spearman_interval
from theodolite.intervals.statistics import LEVEL, Estimate, mean_interval, proportion_interval
from theodolite.objective import Objective
from theodolite.operators import hessian
from theodolite.seeds import torch_generator

TAU = 1e-3
TAUS = (1e-6, 1e-4, TAU, 1e-2)
LEAST = 0.5
FEWEST, ENOUGH = 15, 20
MOST, HALF = 0.9, 0.5
METHOD: Method = "newton-mr"
ALIKE = 1e-6
"""Two points are one where their losses agree to this share: symmetric copies do."""


@dataclass(frozen=True)
class Settings:
    """Starts of the search: so many steps of descent, then so much noise, each so many times."""

    seeds: int = 3
    starts: int = 1
    steps: tuple[int, ...] = (0, 30, 300)
    noises: tuple[float, ...] = (0.0, 0.1, 0.3, 1.0)
    examples: int = 100
    decay: float = 0.01
    max_products: int = 1000
    tolerance: float = 1e-14


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """A search from every start: whether it was accepted, its loss and its index."""
    objective = landscape(settings.examples, decay=settings.decay)
    kinds = list(product(settings.steps, settings.noises, range(settings.starts)))
    ends = []
    for number, (steps, noise, _) in enumerate(kinds):
        generator = torch_generator(seed, "start", number)
        start = near_descent(objective, steps=steps, noise=noise, generator=generator)
        ends.append(_end(objective, start, settings, seed))
    words = {
        "converged": "1 where the gradient became as small as asked",
        "accepted": "1 where that is a critical point too",
        "flat": "1 where the gradient is flat: near the kernel of the Hessian",
        "loss": "loss where the search ended",
        "gradient_norm": "norm of the gradient there",
    }
    kept = {
        name: (("start",), [e[name] for e in ends], {"long_name": w}) for name, w in words.items()
    }
    below = {"long_name": "eigenvalues surely below -tau times the largest in size"}
    return results.dataset(
        "finding",
        {
            **kept,
            "steps": (("start",), [k[0] for k in kinds], {"long_name": "steps of descent"}),
            "noise": (("start",), [k[1] for k in kinds], {"long_name": "noise added"}),
            "negative": (("start", "tau"), [e["negative"] for e in ends], below),
        },
        {"start": np.arange(len(kinds)), "tau": ("tau", list(TAUS), {"long_name": "threshold"})},
        parameters=objective.start.numel(),
    )


def _end(objective: Objective, start: Tensor, settings: Settings, seed: int) -> dict[str, Any]:
    """Where the search from `start` ended, refused or not, and the signs of the curvature there."""
    try:
        found = critical_point(
            objective,
            start,
            method=METHOD,
            tolerance=settings.tolerance,
            max_products=settings.max_products,
            index=False,
            seed=seed,
        )
    except NotConverged as refused:
        if not isinstance(refused.result, xr.Dataset):
            raise
        found = refused.result
    point = torch.from_numpy(found.point.values)
    curve = saddle_index(hessian(objective, point), thresholds=TAUS, seed=seed)
    return {
        "converged": float(json.loads(found.attrs["converged"])),
        "accepted": float(json.loads(found.attrs["accepted"])),
        "flat": float("flat" in found.attrs["reason"]),
        "loss": float(found.loss[-1]),
        "gradient_norm": float(found.gradient_norm[-1]),
        "negative": curve.certain_negative.values,
    }


def points(measured: xr.Dataset, *, accepted: bool = True) -> xr.Dataset:
    """The ends that were accepted, or those refused, over all seeds, by ascending loss.

    Of several with one loss the first stays: a permutation or a change of signs of the units
    makes another copy of a point, which would count as evidence twice.
    """
    flat = measured.stack(point=("seed", "start")).transpose("point", ...)
    kept = flat.isel(point=np.flatnonzero((flat.accepted.values > 0) == accepted))
    kept = kept.isel(point=np.argsort(kept.loss.values, kind="stable"))
    loss = kept.loss.values
    fresh = np.diff(loss, prepend=-np.inf) > ALIKE * np.abs(loss)
    return kept.isel(point=np.flatnonzero(fresh))


def judge(measured: xr.Dataset) -> Verdict:
    """Accepted points, and the same with the losses exchanged among them."""
    found = points(measured)
    loss, negative = found.loss.values, found.negative.sel(tau=TAU).values
    said, seeds = _counted(measured, found), measured.sizes["seed"]
    if len(loss) < FEWEST:
        said += f" Fewer than {FEWEST} points say nothing."
        few = concluded(INCONCLUSIVE, _unknown(len(loss)), seeds=seeds, explanation=said)
        return controlled(few, negative=few)
    rises, saddles = spearman_interval(loss, negative), higher_saddles(negative)
    outcome = all_of(
        at_least(rises, minimum=LEAST),
        at_least(saddles, minimum=MOST, null=HALF, fails_below=HALF),
    )
    said += (
        f" {_correlated(rises)} Of the {saddles.count} points of higher loss, "
        f"{saddles.value:.0%} are saddles [{saddles.low:.0%}, {saddles.high:.0%}]."
    )
    if len(loss) < ENOUGH and outcome == REPRODUCED:
        outcome = INCONCLUSIVE
        said += f" Fewer than {ENOUGH} points are not enough to reproduce it."
    exchanged = _around(shuffled_spearman(loss, negative, seed=0), len(loss))
    return controlled(
        concluded(outcome, rises, seeds=seeds, explanation=said),
        negative=concluded(
            at_least(exchanged, minimum=LEAST),
            exchanged,
            seeds=seeds,
            explanation=f"Losses exchanged among the points: {_correlated(exchanged)}",
        ),
    )


def higher_saddles(negative: np.ndarray) -> Estimate:
    """The share of saddles among the half of points, by ascending loss, that has the higher one."""
    upper = negative[len(negative) // 2 :] > 0
    return proportion_interval(int(upper.sum()), len(upper))


def _around(rho: float, count: int) -> Estimate:
    """A rank correlation with the interval `spearman_interval` would give it."""
    half = stats.norm.ppf((1 + LEVEL) / 2) * math.sqrt((1 + rho**2 / 2) / (count - 3))
    low, high = (math.tanh(math.atanh(rho) + s * half) for s in (-1, 1))
    return Estimate(rho, low, high, LEVEL, count, "mean over shuffles")


def _unknown(count: int) -> Estimate:
    return Estimate(np.nan, -1.0, 1.0, LEVEL, count, "none")


def _correlated(rises: Estimate) -> str:
    return (
        f"Index and loss have a rank correlation of {rises.value:.3f} "
        f"[{rises.low:.3f}, {rises.high:.3f}]."
    )


def _counted(measured: xr.Dataset, found: xr.Dataset) -> str:
    """How many starts were accepted, and how many points that makes."""
    starts, accepted = measured.accepted.size, int(measured.accepted.sum())
    flat = int(((measured.accepted == 0) & (measured.flat > 0)).sum())
    return (
        f"Of {starts} starts, {accepted} were accepted ({accepted / starts:.0%}), {flat} ended "
        f"where the gradient is flat and {starts - accepted - flat} did not converge; without "
        f"copies, {found.sizes['point']} points."
    )


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """The acceptance rate, and the correlation at other thresholds and where it was refused."""
    starts, accepted = measured.accepted.size, int(measured.accepted.sum())
    found = {"starts accepted": proportion_interval(accepted, starts)}
    for words, chosen in (("accepted", points(measured)), ("refused", _refused(measured))):
        if chosen.sizes["point"] < FEWEST_PAIRS:
            continue
        for tau in TAUS:
            negative = chosen.negative.sel(tau=tau).values
            label = f"rank correlation of index and loss, {words} ends, tau = {tau:g}"
            found[label] = spearman_interval(chosen.loss.values, negative)
        size = measured.attrs.get("parameters", 1)
        index = chosen.negative.sel(tau=TAU).values / size
        found[f"index, {words} ends, tau = {TAU:g}"] = mean_interval(index)
        found[f"loss, {words} ends"] = mean_interval(chosen.loss.values)
    kept = points(measured)
    minima = int((kept.negative.sel(tau=TAU) == 0).sum())
    if kept.sizes["point"]:
        found["points without a negative direction"] = proportion_interval(
            minima, kept.sizes["point"]
        )
    return found


def _refused(measured: xr.Dataset) -> xr.Dataset:
    return points(measured, accepted=False)


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "Critical points at high loss are saddles, and their index, the share of directions that "
        "curve down, rises with the loss."
    ),
    reference=(
        "Dauphin, Pascanu, Gulcehre, Cho, Ganguli, Bengio (2014), NeurIPS, arXiv:1406.2572. "
        "Against the method: Frye, Simon, Wadia, Ligeralde, DeWeese, Bouchard (2021), Neural "
        "Computation 33, who find most ends of such searches gradient-flat"
    ),
    protocol=(
        "A tanh network of 69 parameters with squared error and a weight decay of 0.01 on 100 "
        "digits of four classes, one landscape for all repetitions. Starts: random weights, 0 to "
        "300 steps of descent, then "
        "Gaussian noise of standard deviation 0 to 1. From each, a search for a critical point in "
        f"float64 (`critical_point`, method {METHOD!r}), accepted if the squared gradient norm is "
        "at most 1e-14 and the gradient is not flat. Its index: Hessian eigenvalues surely below "
        f"-{TAU:g} times the largest in size. Points whose losses agree to {ALIKE:g} are one: "
        "symmetric copies. Spearman's correlation of index and loss over the points left; the "
        "share of saddles among the half of higher loss. The acceptance rate is always stated."
    ),
    threshold=(
        f"Reproduced if, over at least {ENOUGH} points, the correlation is at least {LEAST} with a "
        f"{LEVEL:.0%} interval above 0, and of the points of higher loss at least {MOST:.0%} are "
        f"saddles, with an exact interval above {HALF:.0%}. Not reproduced if the interval of the "
        f"correlation lies below {LEAST} or that of the share below {HALF:.0%}. Otherwise "
        f"inconclusive, and always with fewer than {FEWEST} points."
    ),
    negative_control=(
        "The same points with the losses exchanged among them (mean over 200 shuffles), judged by "
        "the same rule for the correlation: it must not be reproduced."
    ),
    limits=(
        "One tiny network on one small data set: at this size the whole spectrum is known, and "
        "large networks are not like it. The points are those that one search reaches, no sample "
        "of all critical points, and the many searches that are refused may end where the claim "
        "is wrong (their ends are reported for comparison). The weight decay is what lets searches "
        "converge: without it, eight of eight in a trial did not. The index counts no eigenvalue "
        "nearer to zero than its threshold."
    ),
    effect="rank correlation of index and loss over the accepted critical points",
    settings={
        "quick": Settings(),
        "standard": Settings(seeds=6, max_products=1500),
        "thorough": Settings(seeds=20, starts=2, max_products=5000),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
)
