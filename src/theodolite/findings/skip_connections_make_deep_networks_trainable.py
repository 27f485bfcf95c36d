"""Claim: skip connections are what makes deep networks trainable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr

from theodolite import datasets, results
from theodolite.findings.deep_perceptrons import DESIGNS, deep_perceptron
from theodolite.findings.finding import Finding
from theodolite.findings.learning_rates import CHANCE, SCORES, best_test_accuracy, scores_over_rates
from theodolite.findings.verdict import NOT_REPRODUCED, Verdict, at_least, concluded, controlled
from theodolite.intervals.statistics import LEVEL, Estimate, mean_interval, paired_interval
from theodolite.training import Recipe

GAIN = 0.1


@dataclass(frozen=True)
class Settings:
    """Networks, depths and learning rates of one preset; the deepest is judged."""

    seeds: int = 3
    width: int = 32
    depths: tuple[int, ...] = (4, 40)
    rates: tuple[float, ...] = (0.03, 0.3)
    examples: int = 500
    batch_size: int = 50
    epochs: int = 10


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """Last scores of every design at every depth and learning rate."""
    data = datasets.digits(seed, limit=settings.examples, flatten=True)

    def scores(design: str, depth: int) -> np.ndarray:
        build = partial(deep_perceptron, design, width=settings.width, depth=depth)
        recipe = Recipe(
            build, data, batch_size=settings.batch_size, epochs=settings.epochs, seed=seed
        )
        return scores_over_rates(recipe, settings.rates)

    found = [[scores(design, depth) for depth in settings.depths] for design in DESIGNS]
    dims = ("design", "depth", "rate", "score")
    return results.dataset(
        "finding",
        {"scores": (dims, found, {"long_name": "scores after training"})},
        {
            "design": list(DESIGNS),
            "depth": ("depth", list(settings.depths), {"long_name": "blocks"}),
            "rate": ("rate", list(settings.rates), {"long_name": "learning rate"}),
            "score": list(SCORES),
        },
    )


def accuracy(measured: xr.Dataset) -> xr.DataArray:
    """Test accuracy at the rate that validation chose, dimensions ``(seed, design, depth)``."""
    ordered = measured.scores.transpose("seed", "design", "depth", "rate", "score")
    dims = ("seed", "design", "depth")
    coords = {k: measured[k] for k in dims if k in measured.coords}
    return xr.DataArray(best_test_accuracy(ordered.values), coords, dims)


def judge(measured: xr.Dataset) -> Verdict:
    """Skips alone at the greatest depth; skips between norms as what holds instead."""
    deep, shallow = int(measured.depth.max()), int(measured.depth.min())
    return controlled(
        _judged(measured, "", deep),
        negative=_judged(measured, "", shallow),
        corrected=controlled(
            _judged(measured, ", norm", deep), negative=_judged(measured, ", norm", shallow)
        ),
    )


def _judged(measured: xr.Dataset, suffix: str, depth: int) -> Verdict:
    at = accuracy(measured).sel(depth=depth)
    residual, plain = at.sel(design=f"residual{suffix}"), at.sel(design=f"plain{suffix}")
    estimate = paired_interval(residual.values, plain.values)
    where = "with norm" if suffix else "without norm"
    said = (
        f"At {depth} blocks {where}, test accuracy at the best rate is {float(plain.mean()):.3f} "
        f"in plain networks and {float(residual.mean()):.3f} in residual ones: a gain of "
        f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]."
    )
    losses = measured.scores.sel(design=f"residual{suffix}", depth=depth, score="loss")
    diverged = int(np.isinf(losses).all("rate").sum())
    if diverged:
        said += f" {diverged} of {len(residual)} residual networks diverged at every rate."
    outcome = at_least(estimate, minimum=GAIN)
    return concluded(outcome, estimate, seeds=measured.sizes["seed"], explanation=said)


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Test accuracy of every design and depth, and the gain of shrunk branches without norm."""
    found, chosen = {}, accuracy(measured)
    for depth in np.asarray(measured.depth):
        for design in DESIGNS:
            label = f"test accuracy, {design}, {int(depth)} blocks"
            found[label] = mean_interval(chosen.sel(design=design, depth=depth).values)
        at = chosen.sel(depth=depth)
        shrunk, plain = at.sel(design="residual, shrunk").values, at.sel(design="plain").values
        found[f"gain of shrunk residual over plain, without norm, {int(depth)} blocks"] = (
            paired_interval(shrunk, plain)
        )
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "Skip connections make deep networks trainable: adding each block's input to its output "
        "is enough to train a network that is too deep to train without."
    ),
    reference=(
        "As commonly told after He, Zhang, Ren, Sun (2015), arXiv:1512.03385, whose networks have "
        "BatchNorm, too. Against skips alone: Zhang, Dauphin, Ma (2019), arXiv:1901.09321"
    ),
    protocol=(
        "Fully connected networks on the digits, shallow and deep, trained by SGD with momentum "
        "0.9 and a cosine schedule at each of several learning rates; test accuracy at the rate "
        "with the best validation accuracy. Blocks are norm, rectifier, linear layer, with or "
        "without their input added, and with BatchNorm or without; He weights in all. A training "
        f"that diverges counts as guessing ({CHANCE}). Residual networks without norm whose "
        "branches are divided by the square root of the depth are reported."
    ),
    threshold=(
        "Reproduced if, at the greatest depth and without norm, residual networks gain at least "
        f"{GAIN} in test accuracy over plain ones with the same seed, the {LEVEL:.0%} paired "
        f"t-interval lying above 0. Not reproduced if the interval lies below {GAIN}. Otherwise "
        "inconclusive."
    ),
    negative_control=(
        "The shallow networks (4 blocks), which train either way, judged by the same rule: there "
        "skips must not count as needed."
    ),
    corrected=(
        "Skip connections between BatchNorm layers make deep networks trainable: the same rule for "
        "networks with norm. Its negative control are the shallow ones with norm."
    ),
    corrected_effect="the same between networks with BatchNorm",
    limits=(
        "Without norm, the mean square of the activations doubles in every block, so the sum must "
        "be tamed: by norm, or by shrinking the branches (reported). Says nothing of networks "
        "started on purpose for depth (orthogonal weights: Xiao et al. 2018, arXiv:1806.05393). "
        "Fully connected, one small data set, few epochs; small depths need no skips."
    ),
    effect="gain in test accuracy by skips at the greatest depth, without norm",
    settings={
        "quick": Settings(),
        "standard": Settings(
            seeds=5,
            width=64,
            depths=(4, 20, 40),
            rates=(0.003, 0.03, 0.3),
            examples=1000,
            epochs=20,
        ),
        "thorough": Settings(
            seeds=10,
            width=64,
            depths=(4, 10, 20, 40),
            rates=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3),
            examples=1000,
            epochs=40,
        ),
    },
    expected=NOT_REPRODUCED,
    measure=measure,
    judge=judge,
    estimates=estimates,
)
