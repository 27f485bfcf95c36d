"""Claim: what sets the sharpness of the minimum is the learning rate over the batch size."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from theodolite.findings.batch_and_rate import (
    MEASURED,
    TRAINED,
    Runs,
    each_ratio,
    known_interval,
    run_estimates,
    samples,
)
from theodolite.findings.batch_and_rate import measured as measured_runs
from theodolite.findings.finding import Finding
from theodolite.findings.network_grid import MEASURES
from theodolite.findings.verdict import (
    INCONCLUSIVE,
    Verdict,
    all_of,
    concluded,
    controlled,
    within,
)
from theodolite.intervals.statistics import LEVEL, Estimate

LOW, HIGH = 0.6, 1.6
RATES = ((4, (0.005, 0.01)), (16, (0.01, 0.02, 0.04)))
Run = tuple[int, float]


def measure(settings: Runs, seed: int) -> xr.Dataset:
    """Sharpness and errors at every batch size and rate."""
    return measured_runs(settings, seed)


def runs(measured: xr.Dataset) -> list[Run]:
    """Batch size and rate of every run."""
    found = zip(measured.batch_size.values, measured.rate.values, strict=True)
    return [(int(batch_size), float(rate)) for batch_size, rate in found]


def alike(measured: xr.Dataset) -> list[tuple[Run, Run]]:
    """Runs of the smallest batch, and those of the largest with the same rate over batch size."""
    small, large = (int(b) for b in (measured.batch_size.min(), measured.batch_size.max()))
    return [
        (a, b)
        for a in runs(measured)
        for b in runs(measured)
        if (a[0], b[0]) == (small, large) and np.isclose(a[1] / a[0], b[1] / b[0])
    ]


def unlike(measured: xr.Dataset) -> list[tuple[Run, Run]]:
    """Runs of the smallest batch, and those of the largest at the same rate."""
    small, large = (int(b) for b in (measured.batch_size.min(), measured.batch_size.max()))
    return [
        (a, b)
        for a in runs(measured)
        for b in runs(measured)
        if (a[0], b[0]) == (small, large) and np.isclose(a[1], b[1])
    ]


def ratios(measured: xr.Dataset, pair: tuple[Run, Run]) -> dict[str, Estimate]:
    """Every measure with the large batch over that with the small one."""
    small, large = ({k: samples(measured, k, *run) for k in MEASURES} for run in pair)
    return each_ratio(large, small)


def judge(measured: xr.Dataset) -> Verdict:
    """Equal temperatures; runs at one rate, whose temperatures differ, are the control."""
    return controlled(
        _judged(measured, alike(measured)), negative=_judged(measured, unlike(measured))
    )


def _judged(measured: xr.Dataset, chosen: list[tuple[Run, Run]]) -> Verdict:
    """Whether all ratios are near 1; shown is the one farthest from it."""
    found: list[Estimate] = []
    said = []
    for pair in chosen:
        (b, rate), (large, large_rate) = pair
        each = ratios(measured, pair)
        found += each.values()
        said.append(
            f"{large} a batch at {large_rate:g} over {b} at {rate:g}: "
            + ", ".join(
                f"{MEASURES[k]} {e.value:.3g} [{e.low:.3g}, {e.high:.3g}]" for k, e in each.items()
            )
        )
    outcome = all_of(*(within(e, LOW, HIGH) for e in found))
    farthest = max(found, key=lambda e: -np.inf if np.isnan(e.value) else abs(np.log(e.value)))
    seeds, fewest = measured.sizes["seed"], min(e.count for e in found)
    if fewest < seeds:
        outcome = INCONCLUSIVE
        said.append(f"But only {fewest} of {seeds} pairs reached the training loss")
    return concluded(outcome, farthest, seeds=seeds, explanation=". ".join(said) + ".")


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Every measure and error by batch size and rate, and differences of errors."""
    found = {}
    for small, large in alike(measured):
        label = f"test error, {large[0]} a batch at {large[1]:g} minus {small[0]} at {small[1]:g}"
        found[label] = known_interval(*(samples(measured, "error", *r) for r in (large, small)))
    for run in runs(measured):
        found |= run_estimates(measured, *run)
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "The noise strength, controlled by learning rate and batch size, determines the "
        '"temperature" of the optimization, which is approximately their ratio: trainings with '
        "equal ratios end at equal sharpness."
    ),
    reference=(
        'The article "Optimization Landscape of Neural Networks: Why Deep Learning Works", after '
        "Jastrzebski, Kenton, Arpit, Ballas, Fischer, Bengio, Storkey (2018), arXiv:1711.04623; "
        "Smith, Le (2018), ICLR, arXiv:1710.06451. Limits of it: Shallue et al. (2019), "
        "arXiv:1811.03600; Cohen et al. (2021), arXiv:2103.00065"
    ),
    protocol=(
        f"{TRAINED} {MEASURED} For each measure, the geometric mean over seeds (splits) of its "
        "value with the larger batch over that with the smaller one, at rates in the proportion of "
        "the batch sizes; at two such pairs of rates."
    ),
    threshold=(
        f"Reproduced if the {LEVEL:.0%} paired t-intervals of all eight ratios lie between {LOW:g} "
        f"and {HIGH:g}. Not reproduced if one of them lies outside. Otherwise inconclusive, as "
        "when a network did not reach the training loss."
    ),
    negative_control=(
        "Both batch sizes at one rate, so that the ratio differs fourfold, judged by the same "
        "rule: it must not be reproduced."
    ),
    limits=(
        "Batches are a small share of the training set and rates far below the stability limit: "
        "with a full batch the noise is gone and the rate acts by stability alone. Momentum is the "
        "same in all. One hidden layer, one small data set; the loss is matched to within the "
        "overshoot of five steps, which are longer steps at a larger rate. Trace and rise are "
        "estimates from few draws; adaptive sharpness is a lower bound."
    ),
    effect="ratio farthest from 1, at equal learning rate over batch size",
    settings={
        "quick": Runs(seeds=4, rates=RATES),
        "standard": Runs(seeds=20, rates=RATES, directions=16),
        "thorough": Runs(
            seeds=30,
            rates=((4, (0.005, 0.01)), (8, (0.01, 0.02)), (32, (0.01, 0.04, 0.08))),
            examples=500,
            directions=32,
            products=128,
        ),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
    disagreement=(
        "Seven of the eight ratios pass, and the largest eigenvalue is the same to a few "
        "percent where batch and rate are both four times larger. The eighth, adaptive "
        "sharpness at the higher temperature, is 1.32 with an interval that ends at 1.606, just "
        "above the bound: it varies most from seed to seed, and at the larger batch it does not "
        "fall from the lower temperature to the higher one as the other measures do. Rule and "
        "expectation are those from before the run, and the rule asks for all eight, so the "
        "verdict stays open."
    ),
)
