"""Claim: independently trained networks are separated by a barrier on the straight line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr

from theodolite import datasets, results
from theodolite.findings.batch_and_rate import known_interval
from theodolite.findings.finding import Finding
from theodolite.findings.known_values import known_mean, named
from theodolite.findings.many_starts import starting_weights
from theodolite.findings.paths_between_runs import line_between
from theodolite.findings.runs_side_by_side import Orders, cosine, network, run_side_by_side
from theodolite.findings.verdict import INCONCLUSIVE, Verdict, at_least, concluded, controlled
from theodolite.intervals.statistics import LEVEL, Estimate, proportion_interval

HIGH, LOW = 0.1, 0.02
INDEPENDENT = "independent"
MEASURES = {
    "barrier": "barrier of the training loss",
    "error_barrier": "barrier of the training error",
    "test_barrier": "barrier of the test loss",
    "test_error_barrier": "barrier of the test error",
    "loss": "mean training loss of the ends",
}


@dataclass(frozen=True)
class Settings:
    """Widths, and the epochs after which copies of a run part; every seed has its own split."""

    seeds: int = 4
    widths: tuple[int, ...] = (32, 128)
    partings: tuple[int, ...] = (0, 1, 5)
    examples: int = 300
    epochs: int = 100
    rate: float = 0.05
    batch_size: int = 50


def pairs(settings: Settings) -> list[str]:
    """The pairs of networks, in the order of the results."""
    return [INDEPENDENT, *(copies(epoch) for epoch in settings.partings)]


def copies(epoch: int) -> str:
    """The name of a pair of copies.

    >>> copies(0), copies(5)
    ('copies from the start', 'copies from epoch 5')
    """
    return f"copies from epoch {epoch}" if epoch else "copies from the start"


def orders_of(partings: tuple[int, ...]) -> Orders:
    """A run, an independent one, and copies of the first that part from it.

    >>> [orders_of((0, 2))(epoch) for epoch in (0, 1, 2)]
    [[0, 1, 2, 0], [0, 1, 2, 0], [0, 1, 2, 3]]
    """

    def orders(epoch: int) -> list[int]:
        return [0, 1, *(k if epoch >= p else 0 for k, p in enumerate(partings, start=2))]

    return orders


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """Barriers from one run to an independent one and to its copies, at every width."""
    split = datasets.digits(seed, limit=settings.examples, flatten=True)
    (x, y), (new_x, new_y) = split.train, split.test
    rows = []
    for width in settings.widths:
        start = starting_weights(x.shape[1], width, int(y.max()) + 1, 2, seed)
        chosen = torch.tensor([0, 1, *(0 for _ in settings.partings)])
        ends = run_side_by_side(
            [w[chosen] for w in start],
            x,
            y,
            rate=cosine(settings.rate, settings.epochs),
            orders=orders_of(settings.partings),
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            seed=seed,
        )[settings.epochs]
        first, *others = (network(ends, k) for k in range(len(chosen)))
        test = (new_x.double(), new_y)
        lines = [line_between(first, b, (x.double(), y), test=test) for b in others]
        rows.append([numbers(line) for line in lines])
    return results.dataset(
        "finding",
        {
            k: (("width", "pair"), [[one[k] for one in row] for row in rows], {"long_name": words})
            for k, words in MEASURES.items()
        },
        {
            "width": ("width", list(settings.widths), {"long_name": "hidden units"}),
            "pair": ("pair", pairs(settings), {"long_name": "pair of networks"}),
            "latest": ((), copies(max(settings.partings)), {"long_name": "copies that part last"}),
        },
    )


def numbers(line: xr.Dataset) -> dict[str, float]:
    """`MEASURES` of a straight line."""
    heights = {name: float(line[name]) for name in MEASURES if name != "loss"}
    return {**heights, "loss": float(line.loss[[0, -1]].mean())}


def by_width(measured: xr.Dataset, pair: str, name: str = "barrier") -> dict[int, Estimate]:
    """The mean over seeds of one measure of a pair, by width."""
    of = measured[name].sel(pair=pair)
    return {int(w): known_mean(of.sel(width=w).values) for w in measured.width.values}


def judge(measured: xr.Dataset) -> Verdict:
    """The lowest barrier between independent runs; the highest between copies is the control."""
    apart = by_width(measured, INDEPENDENT)
    near = by_width(measured, str(measured.latest.values.flat[0]))
    return controlled(
        _judged(measured, apart, min, "independent runs"),
        negative=_judged(measured, near, max, str(measured.latest.values.flat[0])),
    )


def _judged(
    measured: xr.Dataset, found: Mapping[int, Estimate], choice: Callable[..., int], what: str
) -> Verdict:
    def height(width: int) -> float:
        value = found[width].value
        return value if np.isfinite(value) else -np.inf

    chosen = found[choice(found, key=height)]
    said = f"Mean barrier of the training loss in nats, {what}: " + ", ".join(
        f"{width} units {named(e)}" for width, e in found.items()
    )
    outcome = at_least(chosen, minimum=HIGH, null=LOW, fails_below=LOW)
    seeds, fewest = measured.sizes["seed"], min(e.count for e in found.values())
    if fewest < seeds:
        outcome = INCONCLUSIVE
        said += f". But only {fewest} of {seeds} pairs have a barrier"
    return concluded(outcome, chosen, seeds=seeds, explanation=said + ".")


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Every barrier by width and pair, how often it is high, and how it changes with the width."""
    found = {}
    for width in measured.width.values:
        values = measured.barrier.sel(pair=INDEPENDENT, width=width).values
        known = values[np.isfinite(values)]
        if len(known):
            found[f"share of independent pairs above {HIGH:g} nats, {int(width)} units"] = (
                proportion_interval(int((known >= HIGH).sum()), len(known))
            )
    narrow, wide = int(measured.width.min()), int(measured.width.max())
    of = measured.barrier.sel(pair=INDEPENDENT)
    found[f"barrier between independent runs, {wide} units minus {narrow}"] = known_interval(
        of.sel(width=wide).values, of.sel(width=narrow).values
    )
    for pair in measured.pair.values:
        for name, words in MEASURES.items():
            for width, estimate in by_width(measured, pair, name).items():
                found[f"{words}, {pair}, {width} units"] = estimate
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "Linear mode connectivity (the loss along the line segment between two solutions stays "
        "low) does not typically hold for independently trained networks: the linear path has a "
        f"high loss barrier, of {HIGH:g} nats or more."
    ),
    reference=(
        'The article "Optimization Landscape of Neural Networks: Why Deep Learning Works" (its '
        '"usually" is taken as the mean over pairs), after Frankle, Dziugaite, Roy, Carbin (2020), '
        "arXiv:1912.05671, and Garipov, Izmailov, Podoprikhin, Vetrov, Wilson (2018), "
        "arXiv:1802.10026. On what remains after permuting units: Entezari, Sedghi, Saukh, "
        "Neyshabur (2022), arXiv:2110.06296; Ainsworth, Hayase, Srinivasa (2023), arXiv:2209.04836"
    ),
    protocol=(
        "ReLU perceptrons of one hidden layer on the digits, trained by SGD with momentum 0.9 and "
        "a rate that falls to zero as a cosine: two from initializations and in orders of their "
        "own, and copies of the first that go through the same batches and part from it, by the "
        "order of the data alone, at the start or after some epochs. The largest rise of the "
        "training loss above the chord on the straight line (25 places and a search around the "
        "maximum); the mean over seeds (splits) at every width, of which the lowest is judged."
    ),
    threshold=(
        f"Reproduced if the mean barrier at every width is at least {HIGH:g} nats with its "
        f"{LEVEL:.0%} t-interval above {LOW:g}. Not reproduced if the interval of the lowest lies "
        f"below {LOW:g}. Otherwise inconclusive, as when a network of some pair diverged."
    ),
    negative_control=(
        "Copies of one run that part latest, judged by the same rule at the width where their "
        "barrier is highest: it must not be reproduced."
    ),
    limits=(
        "One hidden layer and one small data set, where copies are stable from the start; in "
        "larger networks they are so only after some of the training (Frankle et al.). Units are "
        "not permuted: a barrier here says nothing about whether it would remain if they were. The "
        "barrier falls with the width, so the claim is about these widths."
    ),
    effect="lowest over widths of the mean barrier between independent runs, in nats",
    settings={
        "quick": Settings(),
        "standard": Settings(seeds=20, widths=(32, 128, 512), examples=500),
        "thorough": Settings(
            seeds=40, widths=(16, 32, 128, 512, 2048), partings=(0, 1, 2, 5, 10), examples=500
        ),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
)
