"""Claim: flat minima are robust to distribution shift."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from theodolite import datasets
from theodolite.findings.finding import Finding
from theodolite.findings.flat_minima_generalize_better import FEWEST, LEAST
from theodolite.findings.matched_training import error_share
from theodolite.findings.network_grid import (
    ALIKE,
    MEASURED_ON,
    MEASURES,
    Grid,
    column,
    exchanged,
    measured,
    partial_tau,
    repeated,
)
from theodolite.findings.shifted_images import blurred, noisy, pale, rotated
from theodolite.findings.verdict import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
    Verdict,
    all_of,
    at_least,
    concluded,
    controlled,
)
from theodolite.intervals.partial_rank_correlation import kendall_interval, within_cells
from theodolite.intervals.statistics import LEVEL, Estimate, mean_interval, simultaneous

DEGREES, NOISE, BLUR, CONTRAST = 20.0, 0.3, 0.8, 0.3
SHIFTS = {
    "rotation": f"turned by {DEGREES:g} degrees",
    "noise_added": f"with noise of {NOISE:g} in every pixel",
    "blur": f"blurred by {BLUR:g} pixels",
    "contrast": f"at {CONTRAST:g} times the contrast",
}
PLAIN = "error on new data without shift"


def measure(grid: Grid, seed: int) -> xr.Dataset:
    """Sharpness of every network of the grid, and its errors on new data, shifted and not."""
    split = datasets.digits(seed, limit=grid.examples)
    x, y = (torch.cat(pair) for pair in zip(split.validation, split.test, strict=True))
    x = x.double()
    sets = {
        "error": x,
        "rotation": rotated(x, DEGREES),
        "noise_added": noisy(x, NOISE, seed=seed),
        "blur": blurred(x, BLUR),
        "contrast": pale(x, CONTRAST),
    }
    words = {k: f"share of wrong answers, new data {v}" for k, v in SHIFTS.items()}
    words = {"error": "share of wrong answers on new data", **words}
    return measured(grid, seed, partial(_errors, sets, y), words)


def _errors(sets: Mapping[str, Tensor], y: Tensor, network: nn.Module) -> Mapping[str, float]:
    return {name: error_share(network, (x, y)) for name, x in sets.items()}


def shifted_error(measured: xr.Dataset) -> np.ndarray:
    """Mean error over the shifts, by seed and cell."""
    mean: np.ndarray = np.mean([column(measured, name) for name in SHIFTS], axis=0)
    return mean


def judge(measured: xr.Dataset) -> Verdict:
    """Every measure of sharpness against the error under shift; what holds is the plain error."""
    error = shifted_error(measured)
    shuffled = exchanged(error)
    sharpness = {words: column(measured, name) for name, words in MEASURES.items()}
    plain = {PLAIN: column(measured, "error")}
    beside, plain_beside = (
        {words: repeated(x) for words, x in columns.items()} for columns in (sharpness, plain)
    )
    return controlled(
        _judged(measured, sharpness, error),
        negative=_judged(measured, beside, shuffled),
        positive=_judged(measured, plain, error),
        corrected=controlled(
            _judged(measured, plain, error), negative=_judged(measured, plain_beside, shuffled)
        ),
    )


def _judged(measured: xr.Dataset, columns: Mapping[str, np.ndarray], error: np.ndarray) -> Verdict:
    """Whether all columns go with an error where the recipe is held fixed; shown is the worst."""
    level = simultaneous(LEVEL, len(columns))
    found = {
        words: partial_tau(measured, x, error, ALIKE, level=level) for words, x in columns.items()
    }
    said = f"Partial tau with the mean error over the shifts, {ALIKE}: " + ", ".join(
        f"{words} {e.value:.3f} [{e.low:.3f}, {e.high:.3f}]" for words, e in found.items()
    )
    outcome = all_of(*(at_least(e, minimum=LEAST) for e in found.values()))
    against = [words for words, e in found.items() if e.high < 0]
    if against:
        said += f". Sharper networks make fewer errors, by {', '.join(against)}"
    reached = int(measured.reached.sum())
    said += f". {reached} of {measured.reached.size} networks reached the training loss."
    if reached < FEWEST:
        outcome = INCONCLUSIVE
        said += f" These are fewer than {FEWEST}."
    worst = min(found.values(), key=lambda e: e.value)
    return concluded(outcome, worst, seeds=measured.sizes["seed"], explanation=said)


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Every measure with the error under every shift and with its rise; errors by shift."""
    found: dict[str, Estimate] = {}
    plain = column(measured, "error")
    errors = {words: column(measured, name) for name, words in SHIFTS.items()}
    errors = {"all shifts, mean": shifted_error(measured), **errors}
    for name, words in MEASURES.items():
        x = column(measured, name)
        for shift, error in errors.items():
            found[f"partial tau: {words}, error on data {shift}"] = partial_tau(
                measured, x, error, ALIKE
            )
        mean = errors["all shifts, mean"]
        found[f"tau over all networks: {words}, all shifts"] = kendall_interval(x, mean)
        found[f"tau within cells: {words}, all shifts"] = within_cells(x, mean)
        rise = partial_tau(measured, x, mean - plain, ALIKE)
        found[f"partial tau: {words}, errors that the shifts add"] = rise
    for shift, error in {"without shift": plain, **errors}.items():
        found[f"error on new data {shift}, mean over networks"] = mean_interval(
            np.nanmean(error, axis=1)
        )
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "Flat minima are robust to distribution shift: among networks with the same training loss, "
        "trained alike, those at flatter minima make fewer errors on shifted data."
    ),
    reference=(
        'The article "Optimization Landscape of Neural Networks: Why Deep Learning Works" (its '
        "summary). Against it: Andriushchenko, Croce, Mueller, Hein, Flammarion (2023), A Modern "
        "Look at the Relationship between Sharpness and Generalization, ICML, arXiv:2302.07011, "
        "who find the sign reversed in several cases. For what holds: Miller et al. (2021), "
        "Accuracy on the Line, ICML, arXiv:2107.04649"
    ),
    protocol=(
        f"{MEASURED_ON} The share of wrong answers on the 719 digits of validation and test "
        f"{', '.join(SHIFTS.values())}; its mean over these four shifts. Kendall's partial tau-b "
        f"of each measure with this mean, {ALIKE} (only such pairs of networks are compared), over "
        "the cells of a seed, averaged over seeds. Every shift alone, and the errors "
        "that shifts add, are reported."
    ),
    threshold=(
        f"Reproduced if for every measure the partial tau is at least {LEAST} with an interval "
        f"above 0. Not reproduced if one of the intervals lies below {LEAST}. Otherwise "
        f"inconclusive, as when fewer than {FEWEST} networks in all reached the training loss. "
        "Percentile intervals of a bootstrap over cells, which hold together at "
        f"{LEVEL:.0%} (Bonferroni)."
    ),
    negative_control=(
        "The errors of a seed exchanged among its networks (five times each), judged by the same "
        "rule: it must not be reproduced."
    ),
    positive_control=(
        "The error on new data without shift in the place of a measure of sharpness, judged by the "
        "same rule: it must be reproduced, or the rule could not have accepted anything."
    ),
    corrected=(
        "What goes with the error under shift is the error without it. Judged: their partial tau, "
        "by the same rule. Its negative control exchanges the errors."
    ),
    limits=(
        "Four mild shifts of one small data set, made by arithmetic, and perceptrons: no shift of "
        "the kind that pre-trained networks meet, for which the reversed sign was published. An "
        "association, and no evidence of a cause; of measures at a matched training loss, with "
        "labels as they were trained on. Intervals are over cells of one grid. Positive control "
        "and corrected statement are one measurement."
    ),
    effect="smallest partial tau of sharpness with the error under shift, over measures",
    corrected_effect="partial tau of the error without shift with the error under shift",
    settings={
        "quick": Grid(),
        "standard": Grid(seeds=8, widths=(24, 64, 160), directions=8),
        "thorough": Grid(
            seeds=20,
            widths=(24, 64, 160),
            batch_sizes=(10, 30, 100),
            directions=32,
            products=64,
        ),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
    expected=NOT_REPRODUCED,
    disagreement=(
        "The rule alone reads 'not reproduced': among networks trained alike no measure of "
        "sharpness has a tau above 0.09 with the error under shift, and the interval of adaptive "
        "sharpness lies below 0.2. But the positive control does not reach 0.2 either: even the "
        "error without shift has a tau of only 0.16. So little separates networks trained alike, "
        "on 719 images, that a measure of sharpness could hardly have passed, and the verdict has "
        "to stay open. No reversed sign is seen."
    ),
)
