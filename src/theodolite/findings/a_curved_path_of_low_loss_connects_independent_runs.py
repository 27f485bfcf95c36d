"""Claim: there almost always is a curved path of low loss between any two solutions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from theodolite import datasets, results
from theodolite.findings.finding import Finding
from theodolite.findings.known_values import known_mean
from theodolite.findings.many_starts import starting_weights
from theodolite.findings.paths_between_runs import curve_between, line_between
from theodolite.findings.runs_side_by_side import cosine, network, own_orders, run_side_by_side
from theodolite.findings.verdict import INCONCLUSIVE, Verdict, at_least, concluded, controlled
from theodolite.intervals.statistics import LEVEL, Estimate, proportion_interval

RISE = 0.02
ALMOST_ALWAYS, HALF = 0.95, 0.5
WIDE = 32
MEASURES = {
    "curve_excess": "largest training loss on the curve minus that of the worse end",
    "line_excess": "largest training loss on the straight line minus that of the worse end",
    "test_error_excess": "largest test error on the curve minus that of the worse end",
    "end_loss": "training loss of the worse end",
    "length_ratio": "length of the curve over that of the straight line",
}


@dataclass(frozen=True)
class Settings:
    """Widths from `WIDE` on are judged, those below are the control; one pair a seed and width."""

    seeds: int = 6
    widths: tuple[int, ...] = (4, WIDE)
    steps: int = 300
    examples: int = 500
    epochs: int = 100
    rate: float = 0.05
    batch_size: int = 50


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """One pair at every width: how much higher than its ends the loss rises on the way."""
    split = datasets.digits(seed, limit=settings.examples, flatten=True)
    (x, y), (new_x, new_y) = split.train, split.test
    data, test = (x.double(), y), (new_x.double(), new_y)
    rows = []
    for width in settings.widths:
        ends = run_side_by_side(
            starting_weights(x.shape[1], width, int(y.max()) + 1, 2, seed),
            x,
            y,
            rate=cosine(settings.rate, settings.epochs),
            orders=own_orders(2),
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            seed=seed,
        )[settings.epochs]
        pair = network(ends, 0), network(ends, 1)
        bent = curve_between(*pair, data, steps=settings.steps, seed=seed, test=test)
        rows.append(
            {
                "curve_excess": float(bent.saddle_excess),
                "line_excess": float(line_between(*pair, data).saddle_excess),
                "test_error_excess": float(bent.test_error_saddle_excess),
                "end_loss": float(bent.loss[[0, -1]].max()),
                "length_ratio": float(bent.length_ratio),
            }
        )
    return results.dataset(
        "finding",
        {
            k: (("width",), [row[k] for row in rows], {"long_name": words})
            for k, words in MEASURES.items()
        },
        {"width": ("width", list(settings.widths), {"long_name": "hidden units"})},
    )


def connected(measured: xr.Dataset, width: int, name: str = "curve_excess") -> Estimate:
    """The share of pairs of one width whose path rises by at most `RISE` above the worse end.

    Pairs without a number are left out of the share, and its count tells.
    """
    rise = measured[name].sel(width=width).values
    rise = rise[np.isfinite(rise)]
    if not len(rise):
        return Estimate(np.nan, 0.0, 1.0, LEVEL, 0, "none")
    return proportion_interval(int((rise <= RISE).sum()), len(rise))


def judge(measured: xr.Dataset) -> Verdict:
    """The smallest share among wide networks; the largest among narrow ones is the control."""
    widths = [int(w) for w in measured.width.values]
    wide = [w for w in widths if w >= WIDE]
    narrow = [w for w in widths if w < WIDE]
    return controlled(_judged(measured, wide, min), negative=_judged(measured, narrow, max))


def _judged(measured: xr.Dataset, widths: list[int], choice: Callable[..., Estimate]) -> Verdict:
    found = {width: connected(measured, width) for width in widths}
    chosen = choice(found.values(), key=lambda e: e.value if e.count else 0.0)
    said = f"Pairs joined by a curve that rises by at most {RISE:g} nats: " + "; ".join(
        f"{e.value:.0%} of {e.count} at {width} units" for width, e in found.items()
    )
    outcome = at_least(chosen, minimum=ALMOST_ALWAYS, null=HALF)
    seeds, fewest = measured.sizes["seed"], min(e.count for e in found.values())
    if fewest < seeds:
        outcome = INCONCLUSIVE
        said += f". But only {fewest} of {seeds} pairs could be measured"
    return concluded(outcome, chosen, seeds=seeds, explanation=said + ".")


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Shares joined by the curve and by the straight line, and every measure by width."""
    found = {}
    for width in (int(w) for w in measured.width.values):
        for name, path in (("curve_excess", "curve"), ("line_excess", "straight line")):
            label = f"share of pairs joined within {RISE:g} nats by the {path}, {width} units"
            found[label] = connected(measured, width, name)
    for name, words in MEASURES.items():
        for width in measured.width.values:
            found[f"{words}, {int(width)} units"] = known_mean(
                measured[name].sel(width=width).values
            )
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "There almost always exists a curved low-loss path connecting any two solutions: for at "
        f"least {ALMOST_ALWAYS:.0%} of pairs of independently trained networks of {WIDE} hidden "
        f"units or more, one on which the training loss rises by at most {RISE:g} nats above the "
        "worse end."
    ),
    reference=(
        'The article "Optimization Landscape of Neural Networks: Why Deep Learning Works", after '
        "Draxler, Veschgini, Salmhofer, Hamprecht (2018), arXiv:1803.00885, and Garipov, Izmailov, "
        "Podoprikhin, Vetrov, Wilson (2018), arXiv:1802.10026. Against it: Kuditipudi et al. "
        "(2019), arXiv:1906.06247, who construct solutions that no such path joins"
    ),
    protocol=(
        "Pairs of ReLU perceptrons of one hidden layer on the digits, trained by SGD with momentum "
        "0.9 and a rate that falls to zero as a cosine, from initializations and in orders of "
        "their own. A Bezier curve of one control point is trained from the straight line on all "
        "training examples, and the largest loss on it (25 places and a search around the maximum) "
        "minus that of the worse end is measured. The share of pairs where this rise is at most "
        f"{RISE:g} nats, one pair a seed (split), at every width from {WIDE} on, of which the "
        "smallest is judged."
    ),
    threshold=(
        f"Reproduced if the share is at least {ALMOST_ALWAYS:.0%} with its exact {LEVEL:.0%} "
        f"binomial interval above {HALF:.0%}. Not reproduced if the interval lies below "
        f"{ALMOST_ALWAYS:.0%}. Otherwise inconclusive, as when the loss on some path is not finite."
    ),
    negative_control=(
        "Networks of 4 to 6 hidden units, too narrow for the data, judged by the same rule at the "
        "width where the share is largest: it must not be reproduced."
    ),
    limits=(
        "Solutions that SGD finds, not any two: others can be constructed (Kuditipudi et al.). A "
        "curve that was found proves that there is one, but one that was not found proves nothing: "
        "the control shows pairs for which this search fails, and another curve may do better. "
        "Of 20 pairs none may show what one in six would. One hidden layer, one small data set."
    ),
    effect=f"smallest share, over widths from {WIDE} on, of pairs joined by a curve of low loss",
    settings={
        "quick": Settings(),
        "standard": Settings(seeds=20, widths=(4, 6, WIDE, 128), steps=600),
        "thorough": Settings(seeds=60, widths=(4, 5, 6, WIDE, 128, 512), steps=1200),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
)
