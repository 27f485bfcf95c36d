"""Claim: networks whose filter-normalized slices are flatter make fewer errors on new data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import torch
import xarray as xr

from theodolite import datasets, models, results
from theodolite.curvature import eigenpairs, trace
from theodolite.datasets import Split
from theodolite.findings.finding import Finding
from theodolite.findings.matched_training import (
    RISE_AT,
    error_share,
    loss_rise,
    trained_to_loss,
)
from theodolite.findings.networks import cross_entropy
from theodolite.findings.verdict import INCONCLUSIVE, Verdict, at_least, concluded, controlled
from theodolite.intervals.rank_correlation import mean_correlation, shuffled_spearman, spearman
from theodolite.intervals.statistics import LEVEL, Estimate, mean_interval
from theodolite.operators import hessian
from theodolite.training import Recipe

LEAST = 0.3
FEWEST = 24
MEASURES = {
    "rise": f"rise of the loss at {RISE_AT:g} along filter-normalized directions",
    "largest_eigenvalue": "largest Hessian eigenvalue",
    "trace": "trace of the Hessian",
}


@dataclass(frozen=True)
class Settings:
    """The grid of networks of one seed, and the training loss at which they are compared."""

    seeds: int = 3
    widths: tuple[int, ...] = (8, 16, 64, 256)
    batch_sizes: tuple[int, ...] = (10, 100)
    rates: tuple[float, ...] = (0.03, 0.1)
    decays: tuple[float, ...] = (0.0, 1e-3)
    examples: int = 300
    target: float = 0.05
    epochs: int = 300
    directions: int = 8


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """Slices, curvature and errors of every network of the grid, which share their split."""
    data = datasets.digits(seed, limit=settings.examples, flatten=True)
    grid = list(product(settings.widths, settings.batch_sizes, settings.rates, settings.decays))
    rows = [_row(settings, data, choice, seed) for choice in grid]
    words = {
        **MEASURES,
        "error": "share of wrong answers on new data",
        "loss": "training loss reached",
        "reached": "1 where the loss was reached",
    }
    chosen = dict(
        zip(("width", "batch_size", "rate", "decay"), zip(*grid, strict=True), strict=True)
    )
    return results.dataset(
        "finding",
        {k: (("network",), [row[k] for row in rows], {"long_name": v}) for k, v in words.items()},
        {"network": range(len(grid))} | {k: ("network", list(v)) for k, v in chosen.items()},
    )


def _row(
    settings: Settings, data: Split, choice: tuple[int, int, float, float], seed: int
) -> dict[str, float]:
    width, batch_size, rate, decay = choice
    recipe = Recipe(
        partial(models.mlp, (64, width, 10)),
        data,
        learning_rate=rate,
        weight_decay=decay,
        batch_size=batch_size,
        epochs=settings.epochs,
        seed=seed,
    )
    matched = trained_to_loss(recipe, settings.target)
    network, (x, y) = matched.network, data.train
    held_out = tuple(torch.cat([a, b]) for a, b in zip(data.validation, data.test, strict=True))
    error = error_share(network, (held_out[0], held_out[1]))
    row = {"error": error, "loss": matched.loss, "reached": float(matched.reached)}
    if not np.isfinite(matched.loss):
        return row | dict.fromkeys(MEASURES, float("nan"))
    objective = cross_entropy(network.double(), (x.double(), y))
    estimated = trace(objective, method="hutchinson", max_products=32, seed=seed)
    return row | {
        "rise": loss_rise(objective, directions=settings.directions, seed=seed),
        "largest_eigenvalue": float(
            eigenpairs(hessian(objective), count=1, tolerance=1e-2, seed=seed).eigenvalue[0]
        ),
        "trace": float(estimated.trace),
    }


def correlations(measured: xr.Dataset, name: str = "rise") -> np.ndarray:
    """Spearman's correlation of a measure with the error over the networks of each seed.

    Missing for a seed with fewer than three of them.
    """
    return np.array([_correlation(a, name) for a in _networks(measured)])


def within_widths(measured: xr.Dataset, name: str = "rise") -> np.ndarray:
    """The same within each width, averaged over the widths with at least three networks."""
    found = []
    for a in _networks(measured):
        parts = [a.isel(network=a.width.values == w) for w in np.unique(a.width.values)]
        known = [c for c in (_correlation(p, name) for p in parts) if np.isfinite(c)]
        found.append(np.mean(known) if known else np.nan)
    return np.array(found)


def _correlation(networks: xr.Dataset, name: str) -> float:
    enough = networks.sizes["network"] >= 3
    return spearman(networks[name], networks.error) if enough else float("nan")


def _mean(correlations: np.ndarray) -> Estimate:
    """The mean over the seeds that have a correlation; unknown if none has."""
    known = correlations[np.isfinite(correlations)]
    return mean_correlation(known) if len(known) else Estimate(np.nan, -1.0, 1.0, LEVEL, 0, "none")


def _networks(measured: xr.Dataset) -> list[xr.Dataset]:
    """The networks of each seed that reached the training loss."""
    seeds = [measured.isel(seed=i) for i in range(measured.sizes["seed"])]
    return [a.isel(network=a.reached.values > 0) for a in seeds]


def judge(measured: xr.Dataset) -> Verdict:
    """The correlation over all networks, with errors exchanged among them as control."""
    networks = enumerate(_networks(measured))
    shuffled = [
        shuffled_spearman(a.rise, a.error, seed=i) for i, a in networks if a.sizes["network"] >= 3
    ]
    return controlled(
        _judged(measured, correlations(measured), "The rise of the loss and the error"),
        negative=_judged(measured, np.array(shuffled), "The rise and the errors of other networks"),
    )


def _judged(measured: xr.Dataset, samples: np.ndarray, which: str) -> Verdict:
    estimate = _mean(samples)
    outcome = at_least(estimate, minimum=LEAST)
    fewest = min(a.sizes["network"] for a in _networks(measured))
    said = (
        f"{which} have a rank correlation of {estimate.value:.3f} "
        f"[{estimate.low:.3f}, {estimate.high:.3f}] over {fewest} or more networks a seed."
    )
    if which.endswith("the error"):
        inside = _mean(within_widths(measured))
        said += (
            f" Within one width it is {inside.value:.3f} [{inside.low:.3f}, {inside.high:.3f}], "
            f"by the same rule {at_least(inside, minimum=LEAST)}."
        )
        if fewest < FEWEST:
            outcome = INCONCLUSIVE
            said += f" Fewer than {FEWEST} networks of some seed reached the training loss."
    return concluded(outcome, estimate, seeds=measured.sizes["seed"], explanation=said)


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Correlations of three measures of flatness, over all networks and within one width."""
    found = {}
    for name, words in MEASURES.items():
        found[f"rank correlation with the error: {words}"] = _mean(correlations(measured, name))
        found[f"the same within one width: {words}"] = _mean(within_widths(measured, name))
    counts = [float(a.sizes["network"]) for a in _networks(measured)]
    found["networks that reached the training loss, a seed"] = mean_interval(counts)
    errors = [float(a.error.mean()) for a in _networks(measured) if a.sizes["network"]]
    if errors:
        found["error on new data, mean over networks"] = mean_interval(errors)
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "Flatness seen in a filter-normalized picture tracks generalization: networks whose loss "
        "rises less along filter-normalized directions make fewer errors on new data."
    ),
    reference=(
        "Li, Xu, Taylor, Studer, Goldstein (2018), NeurIPS, arXiv:1712.09913. Against flatness as "
        "such: Dinh, Pascanu, Bengio, Bengio (2017), arXiv:1703.04933; Andriushchenko, Croce, "
        "Mueller, Hein, Flammarion (2023), arXiv:2302.07011"
    ),
    protocol=(
        "Perceptrons of one hidden layer on the digits, for every combination of width, batch "
        "size, learning rate and weight decay, trained by SGD with momentum 0.9 to the same "
        "training loss (looked at every 5 steps). The mean rise of the loss at distance "
        f"{RISE_AT:g} along filter-normalized random directions, and the share of wrong answers "
        "on the 719 digits of validation and test. Spearman's correlation of the two over the "
        "networks of a seed that reached the loss, and its mean over seeds. The same for the "
        "largest eigenvalue and the trace of the Hessian, reported."
    ),
    threshold=(
        f"Reproduced if the mean correlation is at least {LEAST} and its {LEVEL:.0%} t-interval "
        f"over seeds lies above 0. Not reproduced if the interval lies below {LEAST}. Otherwise "
        f"inconclusive, as when fewer than {FEWEST} networks of some seed reached the loss."
    ),
    negative_control=(
        "The same rises and the errors exchanged among the networks of a seed (mean over 200 "
        "shuffles), judged by the same rule: it must not be reproduced. A second control holds the "
        "width fixed: the correlation within one width, averaged over widths, is stated beside the "
        "verdict with the outcome the same rule would give it."
    ),
    limits=(
        "An association over networks that differ in width most of all, which changes both the "
        "ruler of the picture and the error: no evidence that flatness is the reason. Intervals "
        "are over seeds of one grid, and say nothing of another grid. Clean labels, one small "
        "data set; an error on 719 images has a standard error of about one point."
    ),
    effect="rank correlation of the rise of the loss with the error on new data",
    settings={
        "quick": Settings(),
        "standard": Settings(seeds=10, batch_sizes=(10, 30, 100), directions=16),
        "thorough": Settings(
            seeds=20,
            widths=(8, 16, 32, 64, 128, 256),
            batch_sizes=(10, 30, 100),
            rates=(0.01, 0.03, 0.1),
            directions=32,
        ),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
)
