"""Claim: the loss surfaces of wider networks are smoother, whatever one measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr
from torch import nn

from theodolite import datasets, models, results
from theodolite.curvature import eigenpairs, trace
from theodolite.datasets import Split
from theodolite.findings.finding import Finding
from theodolite.findings.matched_training import RISE_AT, loss_rise, trained_to_loss
from theodolite.findings.networks import cross_entropy
from theodolite.findings.verdict import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
    Verdict,
    all_of,
    at_least,
    concluded,
    controlled,
)
from theodolite.intervals.statistics import (
    LEVEL,
    Estimate,
    exponential,
    mean_interval,
    paired_interval,
)
from theodolite.operators import hessian
from theodolite.training import Recipe

RATIO = 2.0
MEASURES = ("rise", "largest_eigenvalue", "trace")
WORDS = {
    "rise": f"rise of the loss at {RISE_AT:g} along filter-normalized directions",
    "largest_eigenvalue": "largest Hessian eigenvalue",
    "trace": "trace of the Hessian",
}
COPIES = (0, 1)


@dataclass(frozen=True)
class Settings:
    """Networks of one hidden layer, and the training loss at which they are compared."""

    seeds: int = 5
    widths: tuple[int, ...] = (8, 32, 128)
    examples: int = 300
    target: float = 0.02
    rate: float = 0.03
    batch_size: int = 30
    epochs: int = 400
    directions: int = 8
    products: int = 64


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """Three measures of curvature at one training loss, two initializations for every width."""
    shape = (len(settings.widths), len(COPIES))
    found = {name: np.full(shape, np.nan) for name in (*MEASURES, "loss", "reached")}
    data = datasets.digits(seed, limit=settings.examples, flatten=True)
    for i, width in enumerate(settings.widths):
        for copy in COPIES:
            recipe = Recipe(
                partial(models.mlp, (64, width, 10)),
                data,
                learning_rate=settings.rate,
                batch_size=settings.batch_size,
                epochs=settings.epochs,
                seed=seed + 1_000_000 * copy,
            )
            matched = trained_to_loss(recipe, settings.target)
            found["loss"][i, copy], found["reached"][i, copy] = matched.loss, matched.reached
            if matched.reached:
                for name, value in _measures(matched.network, data, settings, seed + copy).items():
                    found[name][i, copy] = value
    words = {**WORDS, "loss": "training loss reached", "reached": "1 where the loss was reached"}
    return results.dataset(
        "finding",
        {k: (("width", "copy"), v, {"long_name": words[k]}) for k, v in found.items()},
        {
            "width": ("width", list(settings.widths), {"long_name": "hidden units"}),
            "copy": ("copy", list(COPIES), {"long_name": "initialization"}),
        },
    )


def _measures(network: nn.Module, data: Split, settings: Settings, seed: int) -> dict[str, float]:
    x, y = data.train
    objective = cross_entropy(network.double(), (x.double(), y))
    largest = eigenpairs(hessian(objective), count=1, seed=seed).eigenvalue[0]
    most = settings.products
    found = trace(objective, method="hutchinson", max_products=most, seed=seed, tolerance=0.05)
    return {
        "rise": loss_rise(objective, directions=settings.directions, seed=seed),
        "largest_eigenvalue": float(largest),
        "trace": float(found.trace),
    }


def judge(measured: xr.Dataset) -> Verdict:
    """All three measures; the filter-normalized one alone is what holds instead."""
    parts = {name: _judged(measured, name) for name in MEASURES}
    outcome = all_of(*(part.outcome for part in parts.values()))
    least = min(parts.values(), key=lambda part: part.effect)
    whole = concluded(
        outcome,
        ratio(measured, next(k for k, part in parts.items() if part is least)),
        seeds=measured.sizes["seed"],
        explanation=" ".join(part.explanation for part in parts.values()),
    )
    same = {name: _judged(measured, name, same_width=True) for name in MEASURES}
    nearest = min(same.values(), key=lambda p: (p.outcome == NOT_REPRODUCED, -p.effect))
    return controlled(
        whole, negative=nearest, corrected=controlled(parts["rise"], negative=same["rise"])
    )


def ratio(measured: xr.Dataset, name: str, *, same_width: bool = False) -> Estimate:
    """Geometric mean over seeds of a measure at the narrowest width over that at the widest.

    With ``same_width``, of one initialization over another at the widest. Seeds count where both
    networks reached the training loss; fewer than two say nothing.
    """
    kept = measured[name].where(measured.reached > 0).isel(width=[0, -1])
    widest, narrowest = kept.isel(width=1), kept.isel(width=0)
    treated = widest.sel(copy=0) if same_width else narrowest.sel(copy=0)
    control = widest.sel(copy=1) if same_width else widest.sel(copy=0)
    both = np.isfinite(treated.values) & np.isfinite(control.values)
    if both.sum() < 2:
        return Estimate(np.nan, 0.0, np.inf, LEVEL, int(both.sum()), "none")
    return paired_interval(treated.values[both], control.values[both], ratio=True)


def _judged(measured: xr.Dataset, name: str, *, same_width: bool = False) -> Verdict:
    estimate = ratio(measured, name, same_width=same_width)
    outcome = at_least(estimate, minimum=RATIO, null=1.0)
    narrow, wide = (int(w) for w in measured.width.values[[0, -1]])
    pair = f"two networks of {wide} units" if same_width else f"{narrow} units over {wide}"
    said = (
        f"The {WORDS[name]}, {pair}: ratio {estimate.value:.3g} "
        f"[{estimate.low:.3g}, {estimate.high:.3g}]."
    )
    seeds = measured.sizes["seed"]
    if estimate.count < seeds:
        outcome = INCONCLUSIVE
        said += f" But only {estimate.count} of {seeds} pairs reached the training loss."
    return concluded(outcome, estimate, seeds=seeds, explanation=said)


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Every measure at every width, and the training loss at which it was taken."""
    found = {}
    for name in (*MEASURES, "loss"):
        words = WORDS.get(name, "training loss")
        for width in measured.width.values:
            at = measured.sel(width=width, copy=0)
            samples = at[name].values[at.reached.values > 0]
            if len(samples):
                label = f"{words}, {int(width)} units"
                found[label] = exponential(mean_interval(np.log(samples)))
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "Wider networks have smoother loss surfaces: at one training loss, the curvature at their "
        "solutions is smaller, whether seen in filter-normalized slices, in the largest Hessian "
        "eigenvalue or in the trace."
    ),
    reference=(
        "After Li, Xu, Taylor, Studer, Goldstein (2018), NeurIPS, arXiv:1712.09913, who show "
        "filter-normalized slices; widened to any measure, as the claim is often told"
    ),
    protocol=(
        "Perceptrons of one hidden layer on the digits, trained by SGD with momentum 0.9 at a "
        "constant rate until the training loss reaches a fixed value (looked at every 5 steps), "
        "because the curvature of the cross-entropy falls with the loss itself. There, in float64: "
        f"the mean rise of the loss at distance {RISE_AT:g} along filter-normalized random "
        "directions, the largest eigenvalue and the trace of the Hessian. For each, the geometric "
        "mean over seeds of its value at the smallest width over that at the largest."
    ),
    threshold=(
        f"Reproduced if all three ratios are at least {RATIO:g} with {LEVEL:.0%} paired "
        f"t-intervals above 1. Not reproduced if the interval of one of them lies below {RATIO:g}. "
        "Otherwise inconclusive, as when a network at either end did not reach the training loss."
    ),
    negative_control=(
        "Two initializations of the same, largest width, judged by the same rule: none of the "
        "three ratios may be reproduced (shown is the one nearest to that)."
    ),
    corrected=(
        "Wider networks have smoother filter-normalized slices: the same rule for the rise of the "
        "loss alone. Its negative control is its ratio between two initializations of one width."
    ),
    corrected_effect="ratio of the rises along filter-normalized directions",
    limits=(
        "A filter-normalized step moves every filter by the same share of its norm, and a wider "
        "layer adds up more such moves that cancel: part of the fall is in the ruler. One hidden "
        "layer, one small data set, one learning rate; the loss is matched to within the overshoot "
        "of five steps. Nothing is said about the way to the solution."
    ),
    effect="smallest of the three ratios, narrowest over widest",
    settings={
        "quick": Settings(),
        "standard": Settings(
            seeds=10, widths=(8, 32, 128, 512), examples=500, directions=16, products=200
        ),
        "thorough": Settings(
            seeds=20, widths=(8, 16, 32, 64, 128, 256, 512), examples=1000, directions=32
        ),
    },
    expected=NOT_REPRODUCED,
    measure=measure,
    judge=judge,
    estimates=estimates,
)
