"""Claim: SGD escapes saddle points through its gradient noise."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from theodolite import results
from theodolite.curvature.descents import Descent
from theodolite.curvature.escapes import escape_time
from theodolite.findings.finding import Finding
from theodolite.findings.noisy_saddles import (
    GROWTH,
    Saddle,
    duplicated_units,
    valley,
    zero_network,
)
from theodolite.findings.verdict import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
    Verdict,
    all_of,
    at_least,
    concluded,
    controlled,
    within,
)
from theodolite.intervals.statistics import (
    LEVEL,
    Estimate,
    mean_interval,
    proportion_interval,
    simultaneous,
)

VALLEY, ACROSS = "valley", "valley with noise across"
ZEROS, DUPLICATES = "two layers of zeros", "duplicated units"
SADDLES = (VALLEY, ACROSS, ZEROS, DUPLICATES)
AT, NUDGED, BESIDE = "at the saddle", "nudged", "beside it"
STARTS, PLACES = (AT, NUDGED), (AT, BESIDE)
NUDGE, ASIDE, RADIUS = 1e-6, 1e-2, 0.1
SIZES = (1e-9, 1e-7, 1e-5, 1e-3)
SIZE = 1e-3
MOST, HALF = 0.9, 0.5
SLOPE = (0.9, 1.1)


@dataclass(frozen=True)
class Settings:
    """Runs from every saddle, and the e-foldings of linear growth after which one is given up."""

    seeds: int = 5
    runs: int = 2
    foldings: float = 25.0
    examples: int = 100
    units: int = 2


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """Escapes from four saddles, from the point itself and nudged; steps over sizes of noise."""
    made = {
        VALLEY: valley(noise=SIZE, seed=seed),
        ACROSS: valley(noise=SIZE, across=True, seed=seed),
        ZEROS: zero_network(examples=settings.examples, units=settings.units, seed=seed),
        DUPLICATES: duplicated_units(),
    }
    runs = [[_left(settings, made[k], d, seed) for d in (0.0, NUDGE)] for k in SADDLES]
    still = _left(settings, made[VALLEY], 0.0, seed, method="gradient")
    aside = torch.tensor([0.0, ASIDE], dtype=torch.float64)
    noisy = [
        [_left(settings, valley(noise=s, seed=seed), d, seed) for s in SIZES] for d in (0.0, aside)
    ]
    over, sizes = ("saddle", "start"), ("place", "size")
    along = [float(pair[0].noise_share) for pair in runs]
    return results.dataset(
        "finding",
        {
            "escaped": (over, _all(runs, "escapes"), {"long_name": "runs that escaped"}),
            "steps": (over, _all(runs, "median_steps"), {"long_name": "median steps to escape"}),
            "noise_share": (("saddle",), along, {"long_name": "share of the noise along the fall"}),
            "still_escaped": ((), float(still.escapes), {"long_name": "escapes without noise"}),
            "runs": ((), settings.runs, {"long_name": "runs from every place"}),
            "size_escaped": (sizes, _all(noisy, "escapes"), {"long_name": "runs that escaped"}),
            "size_steps": (sizes, _all(noisy, "median_steps"), {"long_name": "median steps"}),
        },
        {
            "saddle": list(SADDLES),
            "start": list(STARTS),
            "place": list(PLACES),
            "size": ("size", list(SIZES), {"long_name": "size s of the noise"}),
        },
    )


def _left(
    settings: Settings,
    saddle: Saddle,
    displacement: float | Tensor,
    seed: int,
    *,
    method: str = "stochastic",
) -> xr.Dataset:
    """Runs from a saddle, the number of them that escaped, and where its noise points."""
    patience = math.ceil(settings.foldings / math.log(saddle.growth))
    found = escape_time(
        saddle.objective,
        descent=Descent(method, rate=saddle.rate, max_steps=patience),
        displacement=displacement,
        radius=RADIUS,
        runs=settings.runs,
        seed=seed,
    )
    whole = float(found.batch_noise_mean) * saddle.objective.start.numel()
    share = float(found.batch_noise_along) / whole
    escapes = int((found.outcome == "escaped").sum())
    return found.assign(noise_share=((), share), escapes=((), escapes))


def _all(runs: Sequence[Sequence[xr.Dataset]], name: str) -> np.ndarray:
    return np.array([[float(one[name]) for one in row] for row in runs])


def judge(measured: xr.Dataset) -> Verdict:
    """Every saddle with its noise; what holds is the law of the steps, and escape by a nudge."""
    return controlled(
        _escaping(measured, _shares(measured, SADDLES, AT)),
        negative=_escaping(measured, {f"{VALLEY}, no noise": _share(measured, "still_escaped")}),
        positive=_escaping(measured, _shares(measured, (VALLEY,), AT)),
        corrected=controlled(_logarithmic(measured, AT), negative=_logarithmic(measured, BESIDE)),
    )


def _share(measured: xr.Dataset, name: str, *, level: float = LEVEL, **at: Any) -> Estimate:
    """The share of runs that escaped, pooled over seeds and the places chosen."""
    escapes = measured[name].sel(at)
    trials = int(measured.runs.sum()) * (escapes.size // measured.sizes["seed"])
    return proportion_interval(int(escapes.sum()), trials, level=level)


def _shares(measured: xr.Dataset, saddles: Sequence[str], start: str) -> dict[str, Estimate]:
    level = simultaneous(LEVEL, len(saddles))
    return {k: _share(measured, "escaped", level=level, saddle=k, start=start) for k in saddles}


def _left_behind(share: Estimate) -> str:
    """Whether practically all runs escape; not, where fewer than half do."""
    return at_least(share, minimum=MOST, null=HALF, fails_below=HALF)


def _escaping(measured: xr.Dataset, shares: Mapping[str, Estimate]) -> Verdict:
    """Whether runs escape from all of some saddles; shown is the worst of them."""
    outcome = all_of(*(_left_behind(share) for share in shares.values()))
    worst = min(shares.values(), key=lambda share: share.value)
    said = "; ".join(
        f"{name}: {e.value:.0%} of {e.count} runs [{e.low:.0%}, {e.high:.0%}]"
        for name, e in shares.items()
    )
    return concluded(
        outcome, worst, seeds=measured.sizes["seed"], explanation=f"Escaped from {said}."
    )


def slopes(measured: xr.Dataset, place: str) -> np.ndarray:
    """Slope of the median steps against ln(1/s) times ln(1 + eta), one a seed; NaN where a median
    run did not escape."""
    steps = measured.size_steps.sel(place=place)
    growth = math.log1p(GROWTH)
    x = np.log(1 / measured.size_steps["size"].values)
    found = [
        np.polyfit(x, row, 1)[0] * growth if np.isfinite(row).all() else np.nan
        for row in steps.transpose("seed", "size").values
    ]
    return np.array(found)


def _logarithmic(measured: xr.Dataset, place: str) -> Verdict:
    """Whether steps grow as ln(1/s) / ln(1 + eta) in the valley, and every saddle is left after
    a nudge."""
    samples = slopes(measured, place)
    known = samples[np.isfinite(samples)]
    seeds = measured.sizes["seed"]
    level = simultaneous(LEVEL, 2)
    shares = {
        f"{VALLEY}, every size": _share(measured, "size_escaped", level=level, place=place),
        "all saddles, nudged": _share(measured, "escaped", level=level, start=NUDGED),
    }
    escaping = _escaping(measured, shares)
    slope = Estimate(np.nan, -np.inf, np.inf, LEVEL, len(known), "none")
    if len(known) >= 2:
        slope = mean_interval(known)
    said = (
        f"Steps from a start {place}: slope {slope.value:.4g} [{slope.low:.4g}, {slope.high:.4g}] "
        f"times 1 / ln(1 + eta). {escaping.explanation}"
    )
    outcome = all_of(escaping.outcome, within(slope, *SLOPE))
    if len(known) < seeds and outcome != NOT_REPRODUCED:
        outcome = INCONCLUSIVE
        said += f" But only {len(known)} of {seeds} seeds have a slope."
    return concluded(outcome, slope, seeds=seeds, explanation=said)


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Steps from every saddle and over sizes of noise, and where the noise points."""
    found = {}
    for saddle in SADDLES:
        for start in STARTS:
            steps = measured.steps.sel(saddle=saddle, start=start).values
            if np.isfinite(steps).all():
                found[f"median steps, {saddle}, {start}"] = mean_interval(steps)
        share = measured.noise_share.sel(saddle=saddle).values
        found[f"share of the noise along the fall, {saddle}"] = mean_interval(share)
    for size in SIZES:
        steps = measured.size_steps.sel(place=AT, size=size).values
        if np.isfinite(steps).all():
            found[f"median steps, {VALLEY}, noise {size:g}"] = mean_interval(steps)
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim="SGD escapes saddle points naturally through its gradient noise.",
    reference=(
        'The article "Optimization Landscape of Neural Networks: Why Deep Learning Works". '
        "For it: Ge, Huang, Jin, Yuan (2015), COLT, arXiv:1503.02101; Daneshmand, Kohler, Lucchi, "
        "Hofmann (2018), arXiv:1803.05999, who ask for noise along the negative curvature. Against "
        "it: Chen, Kunin, Yamamura, Ganguli (2023), arXiv:2306.04251 (stochastic collapse)"
    ),
    protocol=(
        "SGD from four saddles of known curvature, started at the point itself, with one batch at "
        "random in every step: x^2/2 - y^2/2 + y^4/4 with gradient noise in all directions "
        f"(standard deviation about {SIZE:g}), the same with noise along x alone, a tanh network "
        "of two layers with all weights zero on the digits, and two equal tanh units from where "
        "the loss falls as they part. A run escapes when its displacement along the lowest "
        f"eigenvector reaches {RADIUS:g}; it is given up after so many steps that a displacement "
        "of 1e-12 would have got there (25 e-foldings of linear growth). The same from "
        f"starts displaced by {NUDGE:g} in a random direction. In the first saddle also the median "
        f"steps over noise of size s from {SIZES[0]:g} to {SIZES[-1]:g} at eta = {GROWTH:g}, "
        "curvature 1; the runs of one seed draw the same batches at every size."
    ),
    threshold=(
        f"Reproduced if from every saddle at least {MOST:.0%} of the runs escape, with exact "
        f"binomial intervals above {HALF:.0%}. Not reproduced if the interval of one lies below "
        f"{HALF:.0%}. Otherwise inconclusive. Intervals hold for all saddles together at "
        f"{LEVEL:.0%}."
    ),
    negative_control=(
        "Gradient descent without noise from the same point of the first saddle, judged by the "
        "same rule: it must not be reproduced."
    ),
    positive_control=(
        "The first saddle alone, whose noise has a part along the direction that curves down, "
        "judged by the same rule: it must be reproduced."
    ),
    corrected=(
        "It holds generically and fails for symmetric saddles. Noise with a part of size s along "
        "the negative curvature leaves after a number of steps proportional to ln(1/s) / "
        "ln(1 + eta lambda); noise without such a part does not leave, but a nudge does. Judged: "
        f"the slope of the median steps, with its {LEVEL:.0%} interval within {SLOPE[0]} to "
        f"{SLOPE[1]} times 1 / ln(1 + eta), and escape, by the rule above, at every size of the "
        f"noise and from all four saddles after a nudge. Its negative control starts {ASIDE:g} "
        "beside the saddle, where the noise has no part in the escape."
    ),
    limits=(
        "Planted saddles: nothing is said about how often training meets symmetric ones. Random "
        "initialization avoids them, and gradient descent from it converges to minima without any "
        "noise (Lee, Simchowitz, Jordan, Recht 2016), if sometimes slowly (Du, Jin, Lee, Jordan, "
        "Poczos, Singh 2017). Rounding can break a symmetry that arithmetic keeps. The runs of a "
        "seed share their batches, so that the interval of the slope leaves out how much single "
        "escape times vary (they are reported)."
    ),
    effect="smallest share of runs that escape, over four saddles",
    corrected_effect="slope of the median steps against ln(1/s), times ln(1 + eta)",
    settings={
        "quick": Settings(),
        "standard": Settings(seeds=10, runs=5),
        "thorough": Settings(seeds=20, runs=9, examples=500, units=8),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
    expected=NOT_REPRODUCED,
)
