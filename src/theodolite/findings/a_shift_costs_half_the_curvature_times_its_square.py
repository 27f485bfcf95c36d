"""Claim: a shift between training and test valley costs half the curvature times its square."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from theodolite import datasets, results
from theodolite.curvature import eigenpairs
from theodolite.directions import random_directions
from theodolite.findings.finding import Finding
from theodolite.findings.networks import cross_entropy, trained_perceptron
from theodolite.findings.verdict import (
    NOT_REPRODUCED,
    Verdict,
    all_of,
    at_least,
    concluded,
    controlled,
)
from theodolite.intervals.rank_correlation import mean_correlation, spearman
from theodolite.intervals.statistics import LEVEL, Estimate, mean_interval
from theodolite.objective import Objective
from theodolite.operators import hessian
from theodolite.sharpness import shifted_valley

FACTOR, COPY = 1.5, 2.0
SHARE, HALF = 0.8, 0.5
RANDOM, SHARPEST = "random", "sharpest"
KINDS = (RANDOM, SHARPEST)
VARIABLES = ("excess", "predicted_excess", "train_curvature", "test_curvature", "shift", "gap")


@dataclass(frozen=True)
class Settings:
    """Networks of one preset, and the lines through where their training ended."""

    seeds: int = 5
    sizes: tuple[int, ...] = (64, 16, 10)
    examples: int = 300
    epochs: int = 30
    random: int = 20
    sharpest: int = 5
    steps: int = 41


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """Both valleys of one trained network along random lines and top eigenvectors."""
    network, data = trained_perceptron(
        settings.sizes,
        activation="tanh",
        examples=settings.examples,
        epochs=settings.epochs,
        seed=seed,
    )
    split = datasets.digits(seed, limit=settings.examples, flatten=True)
    x, y = (torch.cat(pair) for pair in zip(split.validation, split.test, strict=True))
    objective, test = cross_entropy(network, data), cross_entropy(network, (x.double(), y))
    lines = torch.cat(
        [
            random_directions(objective, count=settings.random, seed=seed),
            sharpest(objective, count=settings.sharpest, seed=seed),
        ]
    )
    found = shifted_valley(objective, test, directions=lines, steps=settings.steps)
    kinds = [RANDOM] * settings.random + [SHARPEST] * settings.sharpest
    return results.dataset(
        "finding",
        {name: (("line",), found[name].values, dict(found[name].attrs)) for name in VARIABLES},
        {"line": range(len(kinds)), "kind": ("line", kinds)},
    )


def sharpest(objective: Objective, *, count: int, seed: int) -> Tensor:
    """Top eigenvectors of the Hessian, as long as it takes the parabola to rise by one nat."""
    pairs = eigenpairs(hessian(objective), count=count, vectors=True, seed=seed)
    vectors = torch.as_tensor(pairs.vector.values)
    lengths = torch.as_tensor(np.sqrt(2 / pairs.eigenvalue.values))
    return vectors * lengths[:, None]


def agreeing(measured: xr.Dataset, kind: str, *, exchanged: bool = False) -> np.ndarray:
    """Share of each seed's lines along which both valleys and the excess are as claimed.

    With ``exchanged``, the excess is predicted from the next line of the kind. A line without
    both valleys does not agree.
    """
    lines = measured.isel(line=measured.kind.values == kind)
    predicted = lines.predicted_excess
    if exchanged:
        predicted = predicted.roll(line=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        off = np.abs(np.log(lines.excess / predicted.values))
        bent = np.abs(np.log(lines.test_curvature / lines.train_curvature))
    agree: np.ndarray = ((off <= np.log(FACTOR)) & (bent <= np.log(COPY))).mean("line").values
    return agree


def judge(measured: xr.Dataset) -> Verdict:
    """Both kinds of line, with predictions exchanged among lines as control."""
    parts = [_judged(measured, kind) for kind in KINDS]
    least = min(parts, key=lambda part: part.effect)
    whole = concluded(
        all_of(*(part.outcome for part in parts)),
        Estimate(least.effect, *least.interval, least.level, least.seeds, ""),
        seeds=measured.sizes["seed"],
        explanation=" ".join(part.explanation for part in parts),
    )
    others = [_judged(measured, kind, exchanged=True) for kind in KINDS]
    nearest = min(others, key=lambda p: (p.outcome == NOT_REPRODUCED, -p.effect))
    return controlled(whole, negative=nearest)


def _judged(measured: xr.Dataset, kind: str, *, exchanged: bool = False) -> Verdict:
    estimate = mean_interval(agreeing(measured, kind, exchanged=exchanged))
    outcome = at_least(estimate, minimum=SHARE, null=HALF)
    lines = int((measured.kind == kind).sum())
    which = "predicted from another line" if exchanged else "as predicted, with equal curvatures"
    said = (
        f"Of {lines} {kind} lines a seed, the excess is {which}, along a share of "
        f"{estimate.value:.3g} [{estimate.low:.3g}, {estimate.high:.3g}]."
    )
    if not exchanged:
        said += f" It makes up {_of_gap(measured, kind):.2g} of the gap to the training loss there."
    return concluded(outcome, estimate, seeds=measured.sizes["seed"], explanation=said)


def _of_gap(measured: xr.Dataset, kind: str) -> float:
    """The excess over the gap between test and training loss, of the means over all lines."""
    lines = measured.isel(line=measured.kind.values == kind)
    return float(lines.excess.mean() / lines.gap.mean())


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Curvatures, shifts, excess and its share of the gap, by kind of line."""
    found = {}
    for kind in KINDS:
        lines = measured.isel(line=measured.kind.values == kind)
        columns = {
            "share of lines with both valleys": lines["shift"].notnull().mean("line"),
            "test over training curvature, median": (
                lines.test_curvature / lines.train_curvature
            ).median("line"),
            "excess over predicted, median": (lines.excess / lines.predicted_excess).median("line"),
            "absolute shift (alpha), mean": abs(lines["shift"]).mean("line"),
            "excess, mean": lines.excess.mean("line"),
            "gap between test and training loss, mean": lines.gap.mean("line"),
            "excess over gap, of the means": lines.excess.mean("line") / lines.gap.mean("line"),
        }
        for words, values in columns.items():
            known = values.values[np.isfinite(values.values)]
            if len(known):
                found[f"{words}: {kind} lines"] = mean_interval(known)
        correlations = _correlations(lines)
        if len(correlations):
            label = f"rank correlation of excess and training curvature: {kind} lines"
            found[label] = mean_correlation(correlations)
    return found


def _correlations(lines: xr.Dataset) -> list[float]:
    """Of each seed with at least three lines that have both valleys."""
    made = []
    for i in range(lines.sizes["seed"]):
        one = lines.isel(seed=i)
        one = one.isel(line=np.isfinite(one.excess.values))
        if one.sizes["line"] >= 3:
            made.append(spearman(one.train_curvature, one.excess))
    return made


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "Training and test loss surfaces are shifted copies of each other, so that a shift costs "
        "half the curvature times its square: along a line, both valleys have the same curvature, "
        "and the test loss at the training minimum lies that much above its lowest."
    ),
    reference=(
        'The article "Optimization Landscape of Neural Networks: Why Deep Learning Works" '
        "(exploratory: no published measurement is known to us), after the sketch in Keskar, "
        "Mudigere, Nocedal, Smelyanskiy, Tang (2017), ICLR, arXiv:1609.04836, figure 1"
    ),
    protocol=(
        "Tanh perceptrons of one hidden layer trained on the digits, in float64. Training loss "
        "and loss on the 719 digits of validation and test, along filter-normalized random lines "
        "and along the top eigenvectors of the training Hessian (as long as it takes its parabola "
        "to rise by one nat). Along each: where both are lowest, their curvature there, the excess "
        "of the test loss at the training minimum above its lowest, and half the test curvature "
        "times the squared shift. A line agrees if excess and prediction are within a factor of "
        f"{FACTOR:g} and the two curvatures within a factor of {COPY:g}."
    ),
    threshold=(
        f"Reproduced if for both kinds of line the mean share that agrees is at least {SHARE:g} "
        f"and its {LEVEL:.0%} t-interval over seeds lies above {HALF:g}. Not reproduced if for one "
        f"of them the interval lies below {SHARE:g}. Otherwise inconclusive. A line along which "
        "one of the losses has no bottom does not agree."
    ),
    negative_control=(
        "The excess of each line with the prediction from another line of its kind, judged by the "
        "same rule: neither kind may be reproduced (shown is the one nearest to that)."
    ),
    limits=(
        "Lines, not the surface: a shift of the whole surface can be seen along few of them, and "
        "the excess along one line is a small part of the gap between test and training loss "
        "(stated beside the verdict): that the valleys are moved sideways does not explain the "
        "rest, by which the test loss is higher everywhere along the line. The rule asks "
        "whether the valleys are parabolas of equal width, not whether flat minima generalize. One "
        "network shape, one data set, no normalization."
    ),
    effect="smaller of the two shares of lines along which the copy is shifted as claimed",
    settings={
        "quick": Settings(),
        "standard": Settings(seeds=10, random=50, sharpest=10),
        "thorough": Settings(
            seeds=20, sizes=(64, 32, 10), examples=500, random=100, sharpest=10, steps=81
        ),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
)
