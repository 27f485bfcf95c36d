"""Claim: full-batch gradient descent ends where its step is just at the edge of being stable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import xarray as xr
from torch import Tensor, nn

from theodolite import datasets, models, results
from theodolite.curvature.sharpening import DescentRule, descent_sharpness
from theodolite.findings.finding import Finding
from theodolite.findings.verdict import Verdict, all_of, concluded, controlled, within
from theodolite.intervals.statistics import LEVEL, Estimate, mean_interval
from theodolite.objective import Objective
from theodolite.training.fresh_starts import fresh_start

LOW, HIGH = 0.9, 1.15
SQUARED, CROSS_ENTROPY = "squared loss", "cross-entropy"
LOSSES = (SQUARED, CROSS_ENTROPY)


@dataclass(frozen=True)
class Settings:
    """The network, its data and rates; the mean is over the last ``late`` of ``steps``."""

    seeds: int = 3
    sizes: tuple[int, ...] = (64, 64, 64, 10)
    examples: int = 300
    rates: tuple[float, ...] = (0.2, 0.4, 0.8)
    steps: int = 2500
    late: int = 500
    every: int = 25


def half_square(outputs: Tensor, targets: Tensor) -> Tensor:
    """Half the squared distance, one number an example."""
    return (outputs - targets).square().sum(1) / 2


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """The late sharpness over 2 / rate of descents under both losses, and their last losses."""
    numbers: dict[str, list[list[float]]] = {n: [] for n in ("late_mean", "peak", "final_loss")}
    for loss in LOSSES:
        objective = objective_of(settings, loss, seed)
        runs = [_descent(objective, settings, rate, seed) for rate in settings.rates]
        for name, rows in numbers.items():
            rows.append([float(r.loss[-1] if name == "final_loss" else r[name]) for r in runs])
    words = {
        "late_mean": "mean of the largest eigenvalue over 2 / rate, last steps",
        "peak": "largest value of it seen",
        "final_loss": "loss after the last step",
    }
    return results.dataset(
        "finding",
        {n: (("loss", "rate"), v, {"long_name": words[n]}) for n, v in numbers.items()},
        {
            "loss": list(LOSSES),
            "rate": ("rate", list(settings.rates), {"long_name": "learning rate"}),
        },
    )


def objective_of(settings: Settings, loss: str, seed: int) -> Objective:
    """A tanh perceptron at fresh weights, and the digits less their mean in one batch."""
    x, labels = datasets.digits(seed, limit=settings.examples, flatten=True).train
    centered = x - x.mean(0)
    network = models.mlp(settings.sizes, activation="tanh")
    squared = loss == SQUARED
    targets = nn.functional.one_hot(labels, settings.sizes[-1]).to(x) if squared else labels
    rule = half_square if squared else nn.CrossEntropyLoss()
    return Objective(network, rule, (centered, targets), batch_size=len(labels))


def _descent(objective: Objective, settings: Settings, rate: float, seed: int) -> xr.Dataset:
    """One run from weights drawn for the seed, measured at the start and in its last steps."""
    return descent_sharpness(
        objective,
        DescentRule(rate),
        theta=fresh_start(objective, seed=seed),
        steps=settings.steps,
        every=settings.every,
        since=settings.steps - settings.late,
        late=settings.late,
        eigenvalues=1,
        tolerance=1e-2,
        seed=seed,
    )


def judge(measured: xr.Dataset) -> Verdict:
    """Descent on the squared loss at every rate, with cross-entropy as control."""
    return controlled(_judged(measured, SQUARED), negative=_judged(measured, CROSS_ENTROPY))


def _judged(measured: xr.Dataset, loss: str) -> Verdict:
    found = {rate: _late(measured, loss, rate) for rate in measured.rate.values.tolist()}
    outcome = all_of(*(within(e, LOW, HIGH) for e in found.values()))
    farthest = max(found.values(), key=lambda e: abs(e.value - 1))
    each = "; ".join(
        f"{e.value:.4g} [{e.low:.4g}, {e.high:.4g}] at rate {rate:g}" for rate, e in found.items()
    )
    last = float(measured.final_loss.sel(loss=loss).mean())
    said = f"Sharpness over 2 / rate in the last steps, {loss}: {each}. Mean last loss {last:.2g}."
    return concluded(outcome, farthest, seeds=measured.sizes["seed"], explanation=said)


def _late(measured: xr.Dataset, loss: str, rate: float) -> Estimate:
    return mean_interval(measured.late_mean.sel(loss=loss, rate=rate).values)


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """The late means by loss and rate, and the last losses."""
    found = {}
    for loss in LOSSES:
        for rate in measured.rate.values.tolist():
            found[f"late sharpness over 2 / rate, {loss}, rate {rate:g}"] = _late(
                measured, loss, rate
            )
            last = measured.final_loss.sel(loss=loss, rate=rate).values
            found[f"last loss, {loss}, rate {rate:g}"] = mean_interval(last)
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "Gradient descent over all the data drives the largest eigenvalue of the Hessian up to "
        "2 / rate, and training goes on with it there."
    ),
    reference=(
        "Cohen, Kaur, Li, Kolter, Talwalkar (2021), arXiv:2103.00065. Why it stays a little above: "
        "Damian, Nichani, Lee (2023), arXiv:2209.15594"
    ),
    protocol=(
        "Tanh perceptrons 64-64-64-10 at fresh weights on the digits (mean taken off), half the "
        "squared distance to one-hot labels, full-batch gradient descent without momentum at "
        "rates 0.2, 0.4 and 0.8. In the last 500 steps the largest eigenvalue is measured every "
        "25 or 26 steps (both sides of the swing of period two) by Lanczos begun from the last "
        "vectors, residual 1e-2 of it, and its mean over 2 / rate is taken."
    ),
    threshold=(
        f"At one rate: the mean over seeds with its {LEVEL:.0%} t-interval must lie in "
        f"[{LOW}, {HIGH}]. Reproduced if at all rates. Not reproduced if at one of them the "
        "interval lies outside. Otherwise inconclusive."
    ),
    negative_control=(
        "The same descents with cross-entropy, judged by the same rule: as the loss goes to zero "
        "its curvature vanishes, and the sharpness must fall away from 2 / rate."
    ),
    limits=(
        "One family of small networks with a smooth activation, one data set, plain gradient "
        "descent. Swings of finite size let the eigenvalue stand above 2 / rate, more at large "
        "rates and early: the curvature over the whole swing is what stability fixes. A rate so "
        "small that the loss is fit before the crossing never comes to the edge."
    ),
    effect="late mean of sharpness over 2 / rate, at the rate where it is farthest from 1",
    settings={
        "quick": Settings(),
        "standard": Settings(steps=8000),
        "thorough": Settings(seeds=10, steps=16000, rates=(0.1, 0.2, 0.4, 0.8)),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
)
