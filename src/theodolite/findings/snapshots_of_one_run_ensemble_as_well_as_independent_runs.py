"""Claim: ensembles explore connected regions, so that snapshots of one run will do."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from theodolite import results
from theodolite.findings.batch_and_rate import known_interval
from theodolite.findings.finding import Finding
from theodolite.findings.known_values import known_mean, named
from theodolite.findings.modes import (
    SNAPSHOTS,
    TRAINED,
    Modes,
    ensemble,
    probabilities,
    trained_modes,
)
from theodolite.findings.verdict import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
    Verdict,
    at_least,
    concluded,
    controlled,
)
from theodolite.intervals.statistics import LEVEL, Estimate

MARGIN = 0.001
INDEPENDENT, OTHERS = "independent runs", "other independent runs"
SNAPSHOT, WHOLE = "snapshots of a run", "snapshots after whole cycles"
COPIES = "one network several times"
MEASURES = {
    "member_error": "share of wrong answers on new data, mean of the members",
    "ensemble_error": "share of wrong answers on new data, ensemble",
    "disagreement": "share of new data that two members answer differently",
}


def measure(settings: Modes, seed: int) -> xr.Dataset:
    """Errors of every ensemble and of its members.

    Half of the groups of independent runs are compared with the other half.
    """
    trained = trained_modes(settings, seed)
    x, y = trained.new_data
    half = settings.groups // 2
    groups = {
        INDEPENDENT: trained.independent[:half],
        OTHERS: trained.independent[half:],
        SNAPSHOT: trained.snapshots,
        WHOLE: trained.whole_cycles,
        COPIES: [[members[0]] * settings.members for members in trained.independent[:half]],
    }
    kinds = [kind for kind, sets in groups.items() for _ in sets]
    rows = [ensemble(probabilities(m, x), y) for sets in groups.values() for m in sets]
    return results.dataset(
        "finding",
        {
            k: (("ensemble",), [row[k] for row in rows], {"long_name": words})
            for k, words in MEASURES.items()
        },
        {
            "ensemble": range(len(rows)),
            "kind": ("ensemble", kinds, {"long_name": "members of the ensemble"}),
        },
    )


def column(measured: xr.Dataset, kind: str, name: str) -> np.ndarray:
    """One measure of the ensembles of a kind, by seed: their mean."""
    of = measured[name].sel(ensemble=measured.kind.values == kind)
    values: np.ndarray = of.mean("ensemble", skipna=False).values
    return values


def gain(measured: xr.Dataset, kind: str) -> np.ndarray:
    """Mean error of the members minus error of the ensemble, by seed."""
    made: np.ndarray = np.subtract(
        column(measured, kind, "member_error"), column(measured, kind, "ensemble_error")
    )
    return made


def difference(measured: xr.Dataset, kind: str, other: str = INDEPENDENT) -> Estimate:
    """The gain of one kind of ensemble minus that of another."""
    return known_interval(gain(measured, kind), gain(measured, other))


def judge(measured: xr.Dataset) -> Verdict:
    """Snapshots against independent runs, with copies and with other independent runs instead."""
    return controlled(
        _judged(measured, SNAPSHOT),
        negative=_judged(measured, COPIES),
        positive=_judged(measured, OTHERS),
        corrected=controlled(_ahead(measured, SNAPSHOT), negative=_ahead(measured, OTHERS)),
    )


def _judged(measured: xr.Dataset, kind: str) -> Verdict:
    """Whether ensembles of a kind gain as much as those of independent runs."""
    estimate = difference(measured, kind)
    outcome = at_least(estimate, minimum=-MARGIN, null=-MARGIN)
    return _concluded(measured, outcome, estimate, kind, INDEPENDENT)


def _ahead(measured: xr.Dataset, kind: str) -> Verdict:
    """Whether ensembles of independent runs gain more than those of a kind."""
    estimate = difference(measured, INDEPENDENT, kind)
    outcome = at_least(estimate, minimum=MARGIN)
    return _concluded(measured, outcome, estimate, INDEPENDENT, kind)


def _concluded(
    measured: xr.Dataset, outcome: str, estimate: Estimate, first: str, second: str
) -> Verdict:
    means = {kind: known_mean(gain(measured, kind)) for kind in (first, second)}
    said = "Gain over the mean of the members in percentage points, " + ", ".join(
        f"{kind}: {named(e, scale=100)}" for kind, e in means.items()
    )
    said += f"; difference {named(estimate, scale=100)}"
    seeds = measured.sizes["seed"]
    if estimate.count < seeds:
        outcome = INCONCLUSIVE
        said += f". But only {estimate.count} of {seeds} pairs are known"
    return concluded(outcome, estimate, seeds=seeds, explanation=said + ".")


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Differences of gains, and every measure, by kind of ensemble."""
    kinds = list(dict.fromkeys(measured.kind.values.tolist()))
    found = {
        f"gain of the ensemble minus that of independent runs, {kind}": difference(measured, kind)
        for kind in kinds
        if kind != INDEPENDENT
    }
    for kind in kinds:
        found[f"gain of the ensemble, {kind}"] = known_mean(gain(measured, kind))
    for name, words in MEASURES.items():
        for kind in kinds:
            found[f"{words}, {kind}"] = known_mean(column(measured, kind, name))
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "Ensembles explore connected regions: an ensemble of snapshots of one run, which lie in "
        "one connected region, gains as much accuracy over its members as one of as many "
        f"independent runs (up to {100 * MARGIN:g} percentage points)."
    ),
    reference=(
        'The article "Optimization Landscape of Neural Networks: Why Deep Learning Works" (its '
        'practical implications: "Weight averaging (SWA) works; ensembles explore connected '
        'regions"; that snapshots will then do is what the wording comes to), after Garipov, '
        "Izmailov, Podoprikhin, Vetrov, Wilson (2018), arXiv:1802.10026, and Huang et al. (2017), "
        "Snapshot ensembles, arXiv:1704.00109, whose comparisons are at equal cost. Against it: "
        "Fort, Hu, Lakshminarayanan (2019), Deep Ensembles: A Loss Landscape Perspective, "
        "arXiv:1912.02757; Lakshminarayanan, Pritzel, Blundell (2017), arXiv:1612.01474"
    ),
    protocol=(
        f"{TRAINED} {SNAPSHOTS} The probabilities of five members are averaged. The gain of an "
        "ensemble is the mean share of wrong answers of its members minus its own, on images that "
        "were not used for training (validation and test together: nothing is chosen); that of "
        "snapshots minus that of independent runs, a mean over two ensembles of each, then over "
        "seeds (splits). Snapshots after whole cycles, each as long and from the same rate as an "
        "independent run, so that both cost the same, are reported."
    ),
    threshold=(
        f"Reproduced if the {LEVEL:.0%} paired t-interval of the difference of gains lies above "
        f"-{100 * MARGIN:g} percentage points. Not reproduced if it lies below. Otherwise "
        "inconclusive."
    ),
    negative_control=(
        "An ensemble of one network several times, which gains nothing, judged by the same rule: "
        "it must not be reproduced."
    ),
    positive_control=(
        "Two more ensembles of independent runs, judged by the same rule: they must be reproduced."
    ),
    corrected=(
        "What an ensemble gains comes from modes that differ as functions: one of independent runs "
        f"gains at least {100 * MARGIN:g} percentage points more than one of as many snapshots of "
        f"a run. Judged: reproduced if the difference is at least {100 * MARGIN:g} points with its "
        "interval above 0, not reproduced if the interval lies below that. Its negative control is "
        "one half of the independent ensembles against the other."
    ),
    corrected_effect="gain of independent runs minus that of snapshots",
    limits=(
        "Snapshots cost a fraction of independent runs: at equal cost they may be the better "
        "choice, which is not judged. How much they gain depends on the length and the rate of the "
        "cycles; with whole cycles the run leaves where it was. One hidden layer, one small data "
        "set, five members."
    ),
    effect="gain of an ensemble of snapshots minus that of one of independent runs",
    settings={
        "quick": Modes(),
        "standard": Modes(seeds=20, epochs=150, cycle=15),
        "thorough": Modes(seeds=40, examples=1000, width=128, epochs=150, cycle=15),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
    expected=NOT_REPRODUCED,
)
