"""Claim: where an architecture makes gradients predictable at the start, training ends lower."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr
from torch import nn

from theodolite import datasets, results
from theodolite.findings.deep_perceptrons import DESIGNS, deep_perceptron
from theodolite.findings.finding import Finding
from theodolite.findings.gradients import gradient_predictiveness
from theodolite.findings.learning_rates import SCORES, lowest_loss, scores_over_rates
from theodolite.findings.verdict import Verdict, at_least, concluded, controlled
from theodolite.intervals.rank_correlation import mean_correlation, shuffled_spearman, spearman
from theodolite.intervals.statistics import LEVEL, Estimate, mean_interval
from theodolite.objective import Objective
from theodolite.training import Recipe, train

STRENGTH = 0.5


@dataclass(frozen=True)
class Settings:
    """Five designs at three depths, and the learning rates each may choose from."""

    seeds: int = 3
    width: int = 32
    depths: tuple[int, ...] = (2, 8, 24)
    rates: tuple[float, ...] = (0.003, 0.03, 0.3)
    examples: int = 300
    batch_size: int = 50
    epochs: int = 8


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """Predictiveness at the start and scores at the end, for every design and depth."""
    data = datasets.digits(seed, limit=settings.examples, flatten=True)
    x, y = data.train
    shape = (len(DESIGNS), len(settings.depths))
    predictive = np.empty(shape)
    scores = np.empty((*shape, len(settings.rates), len(SCORES)))
    for i, design in enumerate(DESIGNS):
        for j, depth in enumerate(settings.depths):
            recipe = Recipe(
                partial(deep_perceptron, design, width=settings.width, depth=depth),
                data,
                batch_size=settings.batch_size,
                epochs=settings.epochs,
                seed=seed,
            )
            network = train(Recipe(recipe.model, data, epochs=0, seed=seed)).model.double()
            objective = Objective(
                network,
                nn.CrossEntropyLoss(),
                (x.double(), y),
                mode="train",
                batch_size=len(y),
            )
            predictive[i, j] = gradient_predictiveness(objective)
            scores[i, j] = scores_over_rates(recipe, settings.rates)
    dims = ("design", "depth")
    return results.dataset(
        "finding",
        {
            "predictiveness": (
                dims,
                predictive,
                {"long_name": "cosine of the gradients before and after a step, at the start"},
            ),
            "scores": ((*dims, "rate", "score"), scores, {"long_name": "scores after training"}),
        },
        {
            "design": list(DESIGNS),
            "depth": ("depth", list(settings.depths), {"long_name": "blocks"}),
            "rate": ("rate", list(settings.rates), {"long_name": "learning rate"}),
            "score": list(SCORES),
        },
    )


def pairs(measured: xr.Dataset) -> list[tuple[np.ndarray, np.ndarray]]:
    """Predictiveness and final loss at the best rate of every network, for each seed."""
    ordered = measured.transpose("seed", "design", "depth", "rate", "score")
    losses = lowest_loss(ordered.scores.values)
    count = measured.sizes["seed"]
    first = ordered.predictiveness.values.reshape(count, -1)
    return list(zip(first, losses.reshape(count, -1), strict=True))


def judge(measured: xr.Dataset) -> Verdict:
    """Minus the rank correlation, with final losses exchanged among networks as control."""
    made = [-spearman(*pair) for pair in pairs(measured)]
    shuffled = [-shuffled_spearman(*pair, seed=i) for i, pair in enumerate(pairs(measured))]
    return controlled(
        _judged(measured, made, "the final loss"),
        negative=_judged(measured, shuffled, "the final loss of other networks"),
    )


def _judged(measured: xr.Dataset, samples: list[float], which: str) -> Verdict:
    estimate = mean_correlation(samples)
    designs = measured.sizes["design"] * measured.sizes["depth"]
    said = (
        f"Over {designs} architectures, predictable gradients at the start are associated with a "
        f"lower value of {which}: minus the rank correlation is {estimate.value:.3f} "
        f"[{estimate.low:.3f}, {estimate.high:.3f}]."
    )
    outcome = at_least(estimate, minimum=STRENGTH)
    return concluded(outcome, estimate, seeds=measured.sizes["seed"], explanation=said)


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Predictiveness and final loss of every network, and the correlation within each depth."""
    found: dict[str, Estimate] = {}
    ordered = measured.transpose("seed", "design", "depth", "rate", "score")
    losses = lowest_loss(ordered.scores.values)
    first = ordered.predictiveness.values
    for j, depth in enumerate(measured.depth.values):
        inside = [-spearman(a, b) for a, b in zip(first[..., j], losses[..., j], strict=True)]
        found[f"minus the rank correlation within {depth} blocks"] = mean_correlation(inside)
    for i, design in enumerate(measured.design.values):
        for j, depth in enumerate(measured.depth.values):
            label = f"{design}, {depth} blocks"
            found[f"predictiveness at the start, {label}"] = mean_interval(first[:, i, j])
            if np.isfinite(losses[:, i, j]).all():
                found[f"final loss at the best rate, {label}"] = mean_interval(losses[:, i, j])
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "Architectures whose gradients are predictable at initialization end training at a lower "
        "loss (an association between architectures, not a cause)."
    ),
    reference=(
        "After Santurkar, Tsipras, Ilyas, Madry (2018), arXiv:1805.11604, who measure gradient "
        "predictiveness with and without BatchNorm; the association over architectures is ours"
    ),
    protocol=(
        "Fully connected networks on the digits: plain or residual, with BatchNorm or without, or "
        "residual with branches divided by the square root of the depth, at three depths. At "
        "initialization, in float64 and with batch statistics of the whole training set: the mean "
        "cosine of the gradient before and after a step along it, at rates 0.05 to 0.4 (0 where "
        "the second gradient is not finite). The training loss after SGD with momentum 0.9 and a "
        "cosine schedule, at the best of several learning rates (the worst rank where all "
        "diverged). Spearman's correlation over the 15 networks of each seed."
    ),
    threshold=(
        f"Reproduced if the mean rank correlation over seeds is at most -{STRENGTH} and its "
        f"{LEVEL:.0%} t-interval lies below 0. Not reproduced if the interval lies above "
        f"-{STRENGTH}. Otherwise inconclusive. (The effect is stated as minus the correlation.)"
    ),
    negative_control=(
        "The same predictiveness and the final losses exchanged among the networks of a seed (mean "
        "over 200 shuffles), judged by the same rule: it must not be reproduced."
    ),
    limits=(
        "An association over 15 chosen architectures, in which depth, skips and norm change many "
        "things at once: no evidence that predictable gradients are the reason. Few epochs of "
        "training, so that the final loss is also a speed."
    ),
    effect="rank correlation of predictiveness at the start and final loss, its sign turned",
    settings={
        "quick": Settings(),
        "standard": Settings(seeds=10, width=64, depths=(4, 12, 24), examples=500, epochs=20),
        "thorough": Settings(
            seeds=20,
            width=64,
            depths=(4, 12, 24),
            rates=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3),
            examples=1000,
            epochs=20,
        ),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
)
