"""Claim: training is stable, the loss at which it ends hardly depends on the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from theodolite import datasets, results
from theodolite.findings.finding import Finding
from theodolite.findings.known_values import known_mean, named
from theodolite.findings.many_starts import Weights, each_loss, starting_weights
from theodolite.findings.matched_training import error_share
from theodolite.findings.runs_side_by_side import cosine, network, run_side_by_side
from theodolite.findings.verdict import INCONCLUSIVE, Verdict, at_most, concluded, controlled
from theodolite.intervals.statistics import LEVEL, Estimate

MOST = 0.01
NARROW, WIDE = 2, 16
COLUMNS = {"loss": "final training loss", "test_error": "test error"}


@dataclass(frozen=True)
class Settings:
    """Widths from `WIDE` on are judged, `NARROW` is the control; all rates for all of them."""

    seeds: int = 5
    widths: tuple[int, ...] = (NARROW, 64)
    rates: tuple[float, ...] = (0.05,)
    runs: int = 8
    examples: int = 300
    epochs: int = 100
    batch_size: int = 50


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """Final loss and test error of every run, at every width and rate."""
    split = datasets.digits(seed, limit=settings.examples, flatten=True)
    (x, y), (new_x, new_y) = split.train, split.test
    shape = (len(settings.widths), len(settings.rates), settings.runs)
    made = {name: np.full(shape, np.nan) for name in COLUMNS}
    for i, width in enumerate(settings.widths):
        weights = ends_of(settings, (x, y), width, seed)
        made["loss"][i] = each_loss(weights, x, y).double().reshape(shape[1:]).numpy()
        networks = [network(weights, k) for k in range(len(weights[0]))]
        errors = [error_share(each, (new_x.double(), new_y)) for each in networks]
        made["test_error"][i] = np.reshape(errors, shape[1:])
    return results.dataset(
        "finding",
        {k: (("width", "rate", "run"), v, {"long_name": COLUMNS[k]}) for k, v in made.items()},
        {
            "width": ("width", list(settings.widths), {"long_name": "hidden units"}),
            "rate": ("rate", list(settings.rates), {"long_name": "first learning rate"}),
            "run": ("run", range(settings.runs), {"long_name": "start and order of the data"}),
        },
    )


def ends_of(settings: Settings, data: tuple[Tensor, Tensor], width: int, seed: int) -> Weights:
    """Where the runs of one width end, those of the first rate first.

    Runs of the same number share start and order at all rates.
    """
    x, y = data
    start = starting_weights(x.shape[1], width, int(y.max()) + 1, settings.runs, seed)
    rates = torch.tensor(settings.rates).repeat_interleave(settings.runs)[:, None, None]
    return run_side_by_side(
        [w.repeat(len(settings.rates), 1, 1) for w in start],
        x,
        y,
        rate=cosine(rates, settings.epochs),
        orders=lambda epoch: [*range(settings.runs)] * len(settings.rates),
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        seed=seed,
    )[settings.epochs]


def spreads(measured: xr.Dataset, width: int, name: str = "loss") -> dict[float, Estimate]:
    """The mean over seeds of the standard deviation over the runs of one width, by rate."""
    spread = measured[name].sel(width=width).std("run", ddof=1, skipna=False)
    return {float(rate): known_mean(spread.sel(rate=rate).values) for rate in measured.rate.values}


def judge(measured: xr.Dataset) -> Verdict:
    """The largest spread of wide networks; the smallest of narrow ones is the control."""
    wide = [int(w) for w in measured.width.values if w >= WIDE]
    return controlled(_judged(measured, wide, max), negative=_judged(measured, [NARROW], min))


def _judged(measured: xr.Dataset, widths: list[int], choice: Callable[..., Estimate]) -> Verdict:
    found = {(w, rate): e for w in widths for rate, e in spreads(measured, w).items()}
    chosen = choice(found.values(), key=lambda e: e.value if e.count else np.inf)
    said = (
        f"Standard deviation of the final training loss over {measured.sizes['run']} runs, in "
        "nats: "
    ) + "; ".join(f"{w} units, rate {rate:g}: {named(e)}" for (w, rate), e in found.items())
    outcome = at_most(chosen, maximum=MOST)
    seeds, fewest = measured.sizes["seed"], min(e.count for e in found.values())
    if fewest < seeds:
        outcome = INCONCLUSIVE
        said += f". But in only {fewest} of {seeds} seeds all runs ended at a finite loss"
    return concluded(outcome, chosen, seeds=seeds, explanation=said + ".")


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Mean, spread and extremes of the loss and of the test error, by width and rate."""
    found, share = {}, measured.loss.std("run", ddof=1) / measured.loss.mean("run")
    for width in (int(w) for w in measured.width.values):
        for rate in (float(r) for r in measured.rate.values):
            at, label = {"width": width, "rate": rate}, f"{width} units, rate {rate:g}"
            for name, words in COLUMNS.items():
                of = measured[name].sel(at)
                spread = spreads(measured, width, name)[rate]
                found[f"{words}, standard deviation over runs, {label}"] = spread
                found[f"{words}, mean over runs, {label}"] = known_mean(of.mean("run").values)
                found[f"{words}, largest of the runs, {label}"] = known_mean(of.max("run").values)
            words = "final training loss, standard deviation over mean"
            found[f"{words}, {label}"] = known_mean(share.sel(at).values)
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "Training stability: the landscape is more benign than the worst-case non-convex theory "
        "suggests. From independent initializations and in independent orders of the data, the "
        "final training losses have a standard deviation of at most "
        f"{MOST:g} nats for networks of {WIDE} hidden units or more."
    ),
    reference=(
        'The article "Optimization Landscape of Neural Networks: Why Deep Learning Works", which '
        "names no measure; the spread over runs is ours. On what it may rest: Choromanska, "
        "Henaff, Mathieu, Ben Arous, LeCun (2015), arXiv:1412.0233. On the worst case: Blum, "
        "Rivest (1992), Neural Networks 5, and, for bad minima of real networks, Safran, Shamir "
        "(2018), arXiv:1712.08968"
    ),
    protocol=(
        "ReLU perceptrons of one hidden layer on the digits, trained by SGD with momentum 0.9 and "
        "a rate that falls to zero as a cosine, each from an initialization and in an order of the "
        "data of its own. The standard deviation over the runs of the training loss where they "
        "ended; the mean over seeds (splits) at every width and rate, of which the largest is "
        "judged."
    ),
    threshold=(
        f"Reproduced if the {LEVEL:.0%} t-interval of the largest mean standard deviation ends by "
        f"{MOST:g} nats. Not reproduced if it begins above {MOST:g}. Otherwise inconclusive, as "
        "when a run did not end at a finite loss."
    ),
    negative_control=(
        f"Networks of {NARROW} hidden units, whose minima differ, judged by the same rule at the "
        "rate where their spread is smallest: it must not be reproduced."
    ),
    limits=(
        "The spread is small because the loss itself is: relative to the mean loss it is far "
        "larger, as the table shows. Stability over runs is seen and not explained; a worst-case "
        "bound is about the worst start, of which a few runs say nothing. Rates near the largest "
        "that train are not tried, nor deep networks. How the spread falls with the width is "
        "judged in wide_networks_end_at_similar_losses."
    ),
    effect=f"largest standard deviation of the final loss, {WIDE} units or more, in nats",
    settings={
        "quick": Settings(),
        "standard": Settings(
            seeds=10,
            widths=(NARROW, WIDE, 64),
            rates=(0.02, 0.05, 0.1),
            examples=500,
            epochs=200,
        ),
        "thorough": Settings(
            seeds=20,
            widths=(NARROW, 4, 8, WIDE, 64, 256),
            rates=(0.02, 0.05, 0.1, 0.2),
            runs=16,
            examples=500,
            epochs=400,
        ),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
)
