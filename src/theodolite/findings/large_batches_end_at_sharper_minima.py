"""Claim: training with large batches ends at sharper minima."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import xarray as xr

from theodolite.findings.batch_and_rate import (
    MEASURED,
    SPARE,
    TRAINED,
    Runs,
    each_ratio,
    largest_rate,
    run_estimates,
    samples,
    tuned,
)
from theodolite.findings.batch_and_rate import measured as measured_runs
from theodolite.findings.finding import Finding
from theodolite.findings.network_grid import MEASURES
from theodolite.findings.verdict import (
    INCONCLUSIVE,
    Verdict,
    all_of,
    at_least,
    at_most,
    concluded,
    controlled,
)
from theodolite.intervals.statistics import LEVEL, Estimate

RATIO = 2.0
RATE = 0.02
SMALL_RATES = (0.005, 0.01, RATE, 0.04)
LARGE_RATES = (RATE, 0.08, 0.32, 0.64)
Rule = Callable[[Estimate], str]
SHARPER: Rule = partial(at_least, minimum=RATIO, null=1.0)
NO_SHARPER: Rule = partial(at_most, maximum=RATIO)


def measure(settings: Runs, seed: int) -> xr.Dataset:
    """Sharpness and errors at every batch size and rate, from two initializations."""
    return measured_runs(settings, seed)


def _ends(measured: xr.Dataset) -> tuple[int, int]:
    """The smallest and the largest batch size."""
    return int(measured.batch_size.min()), int(measured.batch_size.max())


def fixed(measured: xr.Dataset, batch_size: int, *, copy: int = 0) -> dict[str, np.ndarray]:
    """The measures of one batch size at the rate that all have in common."""
    return {name: samples(measured, name, batch_size, RATE, copy=copy) for name in MEASURES}


def judge(measured: xr.Dataset) -> Verdict:
    """Every measure at one rate; and whether a rate of its own takes the large batch back."""
    small, large = _ends(measured)
    at_one_rate = fixed(measured, large), fixed(measured, small)
    of_its_own = (
        {name: tuned(measured, name, large) for name in MEASURES},
        {name: tuned(measured, name, small) for name in MEASURES},
    )
    same = fixed(measured, large), fixed(measured, large, copy=1)
    return controlled(
        _judged(
            measured, *at_one_rate, SHARPER, f"{large} over {small} examples a batch, one rate"
        ),
        negative=_judged(measured, *same, SHARPER, f"two initializations, {large} a batch"),
        corrected=controlled(
            _judged(
                measured, *of_its_own, NO_SHARPER, f"{large} over {small} a batch, rates chosen"
            ),
            negative=_judged(
                measured, *at_one_rate, NO_SHARPER, f"{large} over {small} a batch, one rate"
            ),
        ),
    )


def _judged(
    measured: xr.Dataset,
    treated: Mapping[str, np.ndarray],
    control: Mapping[str, np.ndarray],
    rule: Rule,
    pair: str,
) -> Verdict:
    """Whether all ratios follow the rule; shown is the one that decides."""
    found = each_ratio(treated, control)
    said = f"Ratio, {pair}: " + ", ".join(
        f"{MEASURES[k]} {e.value:.3g} [{e.low:.3g}, {e.high:.3g}]" for k, e in found.items()
    )
    outcome = all_of(*(rule(e) for e in found.values()))
    order = sorted(found.values(), key=lambda e: (np.isnan(e.value), e.value))
    deciding = order[0] if rule is SHARPER else order[-1]
    seeds, fewest = measured.sizes["seed"], min(e.count for e in found.values())
    if fewest < seeds:
        outcome = INCONCLUSIVE
        said += f". But only {fewest} of {seeds} pairs reached the training loss"
    return concluded(outcome, deciding, seeds=seeds, explanation=said + ".")


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Every measure and error by batch size and rate; the ratio at the largest usable rate."""
    small, large = _ends(measured)
    found = {}
    most = each_ratio(
        {name: largest_rate(measured, name, large) for name in MEASURES}, fixed(measured, small)
    )
    for name, words in MEASURES.items():
        label = f"ratio, {large} a batch at the largest rate that gets there over {small} at {RATE}"
        found[f"{label}: {words}"] = most[name]
    rates = zip(measured.batch_size.values, measured.rate.values, strict=True)
    for batch_size, rate in rates:
        found |= run_estimates(measured, int(batch_size), float(rate))
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "The noise in SGD biases toward flat minima; large batches reduce noise, allowing "
        "convergence to sharper minima: at one learning rate and one training loss, the curvature "
        f"is at least {RATIO:g} times larger, whether seen in the largest Hessian eigenvalue, the "
        "trace, filter-normalized slices or adaptive sharpness."
    ),
    reference=(
        'The article "Optimization Landscape of Neural Networks: Why Deep Learning Works", after '
        "Keskar, Mudigere, Nocedal, Smelyanskiy, Tang (2017), ICLR, arXiv:1609.04836; Jastrzebski "
        "et al. (2018), arXiv:1711.04623; Wu, Ma, E (2018), NeurIPS. Against it, where the rate is "
        "tuned: Hoffer, Hubara, Soudry (2017), arXiv:1705.08741; Goyal et al. (2017), "
        "arXiv:1706.02677; Shallue et al. (2019), arXiv:1811.03600; Cohen et al. (2021), "
        "arXiv:2103.00065"
    ),
    protocol=(
        f"{TRAINED} {MEASURED} The large batch is the whole training set, which leaves no noise. "
        f"For each measure, the geometric mean over seeds (splits) of its value with the large "
        f"batch over that with the small one, both at the rate {RATE:g}. Then both at the rate of "
        f"their own lowest validation error. {SPARE}"
    ),
    threshold=(
        f"Reproduced if at one rate all four ratios are at least {RATIO:g} with {LEVEL:.0%} paired "
        f"t-intervals above 1. Not reproduced if the interval of one of them lies below {RATIO:g}. "
        "Otherwise inconclusive, as when a network did not reach the training loss."
    ),
    negative_control=(
        "Two initializations and orders of the data with the large batch, judged by the same rule: "
        "it must not be reproduced."
    ),
    corrected=(
        "What is said against it: with the learning rate tuned the large batch ends no sharper. "
        "Judged: each batch size at the rate of its lowest validation error, all four ratios have "
        f"intervals that end by {RATIO:g}. Its negative control is the same rule at one rate."
    ),
    corrected_effect="largest of the four ratios at rates chosen by validation error",
    limits=(
        "One hidden layer, one small data set, and a training loss that is matched to within the "
        "overshoot of five steps: nothing is said of training long past it. Validation error "
        "hardly depends on the rate here, so a rate chosen by it is nearly a random one; the ratio "
        "at the largest rate that reaches the loss is reported beside it. Trace and rise are "
        "estimates from few draws; adaptive sharpness is a lower bound. That sharper is worse is "
        "another claim."
    ),
    effect="smallest of the four ratios, whole training set over small batch, at one rate",
    settings={
        "quick": Runs(copies=2, rates=((8, (RATE,)), (200, (RATE, 0.32)))),
        "standard": Runs(seeds=10, copies=2, rates=((8, SMALL_RATES), (200, LARGE_RATES))),
        "thorough": Runs(
            seeds=20,
            copies=2,
            rates=((4, SMALL_RATES), (8, SMALL_RATES), (32, (RATE, 0.08)), (500, LARGE_RATES)),
            examples=500,
            directions=32,
            products=128,
        ),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
)
