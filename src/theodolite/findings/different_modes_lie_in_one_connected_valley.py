"""Claim: different modes explore different parts of the same connected valley."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from torch import nn

from theodolite import results
from theodolite.connectivity import function_distance
from theodolite.findings.batch_and_rate import known_interval
from theodolite.findings.finding import Finding
from theodolite.findings.known_values import known_mean, named
from theodolite.findings.modes import SNAPSHOTS, TRAINED, Modes, trained_modes
from theodolite.findings.networks import cross_entropy
from theodolite.findings.paths_between_runs import RESAMPLES, Data, curve_between, line_between
from theodolite.findings.verdict import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
    Verdict,
    all_of,
    at_least,
    at_most,
    concluded,
    controlled,
)
from theodolite.intervals.statistics import LEVEL, Estimate

ALIKE, APART = 1.5, 2.0
RISE, BARRIER = 0.02, 0.1
INDEPENDENT, SNAPSHOT, OTHERS = "independent runs", "snapshots of a run", "snapshots of another"
UNTRAINED = "a run and its start"
KINDS = (INDEPENDENT, SNAPSHOT, OTHERS, UNTRAINED)
MEASURES = {
    "normalized_disagreement": "disagreement on new data over the mean share of wrong answers",
    "disagreement": "share of new data that two networks answer differently",
    "jensen_shannon": "mean Jensen-Shannon divergence on new data, in nats",
    "curve_excess": "largest training loss on the curve minus that of the worse end",
    "barrier": "barrier of the training loss on the straight line",
}
FUNCTIONS = ("normalized_disagreement", "disagreement", "jensen_shannon")


@dataclass(frozen=True)
class Settings(Modes):
    """As `Modes`, with the steps in which curves are trained."""

    seeds: int = 4
    members: int = 3
    groups: int = 1
    steps: int = 200


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """Distances of functions, barriers and curves of every kind of networks."""
    trained = trained_modes(settings, seed, whole_cycles=False)
    ran = trained.independent[0]
    groups = {
        INDEPENDENT: ran,
        SNAPSHOT: trained.snapshots[0],
        OTHERS: trained.snapshots[1],
        UNTRAINED: [ran[0], trained.start],
    }
    rows = []
    for networks in groups.values():
        a, b = networks[0], networks[-1]
        path = curve_between(a, b, trained.data, steps=settings.steps, seed=seed)
        rows.append(
            {
                **functions(networks, trained.new_data),
                "curve_excess": float(path.saddle_excess),
                "barrier": float(line_between(a, b, trained.data).barrier),
            }
        )
    return results.dataset(
        "finding",
        {
            k: (("kind",), [row[k] for row in rows], {"long_name": words})
            for k, words in MEASURES.items()
        },
        {"kind": ("kind", list(groups), {"long_name": "networks compared"})},
    )


def functions(networks: Sequence[nn.Module], data: Data) -> dict[str, float]:
    """How far two of the networks are apart as functions: means over all pairs."""
    objective = cross_entropy(networks[0], data)
    states = [each.state_dict() for each in networks]
    found = [
        function_distance(objective, states[i], states[j], resamples=RESAMPLES)
        for j in range(len(states))
        for i in range(j)
    ]
    return {name: float(np.mean([float(pair[name]) for pair in found])) for name in FUNCTIONS}


def values(measured: xr.Dataset, name: str, kind: str) -> np.ndarray:
    """One measure of one kind, by seed."""
    found: np.ndarray = measured[name].sel(kind=kind).values
    return found


def further(measured: xr.Dataset, kind: str) -> Estimate:
    """Normalized disagreement of a kind over that of snapshots of a run.

    Of the seeds where both are above zero.
    """
    pair = [values(measured, FUNCTIONS[0], k) for k in (kind, SNAPSHOT)]
    positive = [np.where(v > 0, v, np.nan) for v in pair]
    return known_interval(*positive, ratio=True)


def judge(measured: xr.Dataset) -> Verdict:
    """Independent runs as parts of one valley; what holds instead; and who must (not) be."""
    return controlled(
        _judged(measured, INDEPENDENT),
        negative=_judged(measured, UNTRAINED),
        positive=_judged(measured, OTHERS),
        corrected=controlled(
            _distinct(measured, INDEPENDENT), negative=_distinct(measured, OTHERS)
        ),
    )


def _judged(measured: xr.Dataset, kind: str) -> Verdict:
    """Whether networks are joined by a curve and no further apart than snapshots of a run."""
    ratio = further(measured, kind)
    rise = known_mean(values(measured, "curve_excess", kind))
    outcome = all_of(at_most(ratio, maximum=ALIKE), at_most(rise, maximum=RISE))
    return _concluded(measured, kind, outcome, ratio, {"rise on the curve": rise})


def _distinct(measured: xr.Dataset, kind: str) -> Verdict:
    """Whether networks are joined by a curve alone and differ as functions."""
    ratio = further(measured, kind)
    rise = known_mean(values(measured, "curve_excess", kind))
    barrier = known_mean(values(measured, "barrier", kind))
    outcome = all_of(
        at_least(ratio, minimum=APART, null=1.0),
        at_most(rise, maximum=RISE),
        at_least(barrier, minimum=BARRIER, null=RISE),
    )
    paths = {"rise on the curve": rise, "barrier on the straight line": barrier}
    return _concluded(measured, kind, outcome, ratio, paths)


def _concluded(
    measured: xr.Dataset, kind: str, outcome: str, ratio: Estimate, paths: Mapping[str, Estimate]
) -> Verdict:
    said = (
        f"Normalized disagreement, {kind}, over that of {SNAPSHOT}: {named(ratio)}; in nats, "
    ) + ", ".join(f"{words} {named(e)}" for words, e in paths.items())
    seeds = measured.sizes["seed"]
    fewest = min(e.count for e in (ratio, *paths.values()))
    if fewest < seeds:
        outcome = INCONCLUSIVE
        said += f". But only {fewest} of {seeds} seeds have all of these"
    return concluded(outcome, ratio, seeds=seeds, explanation=said + ".")


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Every measure of every kind, and the ratio of the disagreements."""
    found = {
        f"normalized disagreement, {kind}, over that of {SNAPSHOT}": further(measured, kind)
        for kind in KINDS
        if kind != SNAPSHOT
    }
    for name, words in MEASURES.items():
        for kind in KINDS:
            found[f"{words}, {kind}"] = known_mean(values(measured, name, kind))
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "Ensemble understanding: different modes explore different parts of the same connected "
        f"valley. Independent runs are joined by a curve that rises by at most {RISE:g} nats, and "
        f"are no further apart as functions (by a factor of {ALIKE:g}) than snapshots of one run, "
        "which explore parts of a valley."
    ),
    reference=(
        'The article "Optimization Landscape of Neural Networks: Why Deep Learning Works" (how far '
        "apart parts of a valley are is our reading of it), after Garipov, Izmailov, Podoprikhin, "
        "Vetrov, Wilson (2018), arXiv:1802.10026. Against it: Fort, Hu, Lakshminarayanan (2019), "
        "Deep Ensembles: A Loss Landscape Perspective, arXiv:1912.02757"
    ),
    protocol=(
        f"{TRAINED} {SNAPSHOTS} Between two networks: the share of images that were not used for "
        "training that they answer differently, over their mean share of wrong answers, a mean "
        "over all pairs among several; and, from the first to the last of them, the largest "
        "training loss on a Bezier curve trained from the straight line minus that of the worse "
        "end, and the barrier on the straight line. The geometric mean over seeds (splits) of the "
        "normalized disagreement of independent runs over that of snapshots, and the means of the "
        "rises."
    ),
    threshold=(
        f"Reproduced if the {LEVEL:.0%} paired t-interval of the ratio ends by {ALIKE:g} and the "
        f"t-interval of the rise on the curve by {RISE:g} nats. Not reproduced if one of them "
        "begins above its bound. Otherwise inconclusive, as when two networks never differ in some "
        "seed."
    ),
    negative_control=(
        "A run and its own start before training, which are not one function, judged by the same "
        "rule: it must not be reproduced."
    ),
    positive_control=(
        "Snapshots of another run, judged by the same rule: they must be reproduced."
    ),
    corrected=(
        "Different modes are different functions that only a curve joins: they disagree at least "
        f"{APART:g} times as often as snapshots of a run, a curve between them rises by at most "
        f"{RISE:g} nats, and on the straight line lies a barrier of {BARRIER:g} or more. Judged: "
        f"reproduced if the ratio is at least {APART:g} with its interval above 1, the interval of "
        f"the rise ends by {RISE:g}, and the barrier is at least {BARRIER:g} with its interval "
        f"above {RISE:g}; not reproduced if one of them is refuted. Its negative control are "
        "snapshots of another run."
    ),
    corrected_effect="ratio of the normalized disagreements",
    limits=(
        "That a path of low loss exists says nothing of what changes along it. How far apart "
        "snapshots are depends on the length and the rate of their cycles. The disagreement of "
        "networks on new data is bounded by their errors. One hidden layer, one small data set."
    ),
    effect="normalized disagreement of independent runs over that of snapshots of a run",
    settings={
        "quick": Settings(),
        "standard": Settings(seeds=20, members=5, epochs=150, cycle=15, steps=600),
        "thorough": Settings(
            seeds=40, members=5, examples=1000, width=128, epochs=150, cycle=15, steps=600
        ),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
    expected=NOT_REPRODUCED,
)
