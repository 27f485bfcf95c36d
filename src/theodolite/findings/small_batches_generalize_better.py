"""Claim: small batches generalize better than large ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from theodolite import results
from theodolite.findings.batch_and_rate import (
    SPARE,
    TRAINED,
    Runs,
    errors,
    known_interval,
    samples,
    tuned,
)
from theodolite.findings.batch_and_rate import measured as measured_runs
from theodolite.findings.finding import Finding
from theodolite.findings.many_recipes import trained_together
from theodolite.findings.network_grid import DATA, perceptron
from theodolite.findings.unused_examples import enlarged
from theodolite.findings.verdict import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
    Verdict,
    all_of,
    at_least,
    concluded,
    controlled,
)
from theodolite.intervals.statistics import LEVEL, Estimate, mean_interval

LEAST = 0.004
NOISE = 0.2
WAYS = {
    "fixed": "one rate, equal training loss",
    "tuned": "rates chosen by validation error, equal training loss",
    "noisy": f"one rate, {NOISE:.0%} wrong training labels, equal epochs",
}


@dataclass(frozen=True)
class Settings:
    """A small batch and the whole training set, rates for both, and epochs with wrong labels."""

    seeds: int = 5
    small: int = 8
    rate: float = 0.02
    small_rates: tuple[float, ...] = (0.01, 0.02)
    large_rates: tuple[float, ...] = (0.02, 0.08, 0.32)
    width: int = 64
    examples: int = 200
    target: float = 0.05
    epochs: int = 60
    data: str = "small_photographs"


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """Test errors at one training loss, with half the examples, and with wrong labels."""
    runs = Runs(
        rates=((settings.small, settings.small_rates), (settings.examples, settings.large_rates)),
        copies=2,
        width=settings.width,
        examples=settings.examples,
        target=settings.target,
        data=settings.data,
    )
    clean = measured_runs(runs, seed, curvature=False)
    half = settings.examples // 2
    fewer = Runs(
        rates=((half, (settings.rate,)),),
        width=settings.width,
        examples=half,
        target=settings.target,
        data=settings.data,
    )
    less = measured_runs(fewer, seed, curvature=False)
    noisy = np.array([_with_wrong_labels(settings, b, seed) for b in (settings.small, half * 2)])
    axis = ("batch", ["small", "whole"], {"long_name": "batch size"})
    words = f"with {NOISE:.0%} wrong training labels, equal epochs"
    extra = results.dataset(
        "finding",
        {
            "noisy_error": (("batch",), noisy[:, 0], {"long_name": f"test error, {words}"}),
            "noisy_fit": (("batch",), noisy[:, 1], {"long_name": f"wrong labels learned, {words}"}),
            "less_error": (
                (),
                float(less.error[0, 0]),
                {"long_name": "test error with half the training examples"},
            ),
            "one_rate": ((), settings.rate, {"long_name": "rate that all have in common"}),
        },
        {"batch": axis},
    )
    return clean.merge(extra, compat="override", combine_attrs="override")


def _with_wrong_labels(settings: Settings, batch_size: int, seed: int) -> tuple[float, float]:
    """Test error after the given epochs, and the share of the wrong labels that was learned."""
    source = DATA[settings.data]
    split = enlarged(source, seed=seed, limit=settings.examples, label_noise=NOISE)
    x, y = split.train
    ends = trained_together(
        x,
        y[None],
        width=settings.width,
        rates=[settings.rate],
        decays=[0.0],
        batch_size=batch_size,
        target=0.0,
        epochs=settings.epochs,
        seed=seed,
    )
    network = perceptron([w[0] for w in ends.weights])
    true = source(seed=seed, limit=settings.examples, flatten=True).train[1]
    wrong = y != true
    learned = (network(x.double()).argmax(1) == y)[wrong].double().mean()
    return errors(network, split)["error"], float(learned)


def gains(measured: xr.Dataset) -> dict[str, Estimate]:
    """Test error of the whole training set at once minus that of the small batch, by way."""
    small, large = (int(b) for b in (measured.batch_size.min(), measured.batch_size.max()))
    rate = float(measured.one_rate.max())
    noisy = measured.noisy_error
    return {
        "fixed": known_interval(
            samples(measured, "error", large, rate), samples(measured, "error", small, rate)
        ),
        "tuned": known_interval(tuned(measured, "error", large), tuned(measured, "error", small)),
        "noisy": known_interval(noisy.sel(batch="whole").values, noisy.sel(batch="small").values),
    }


def controls(measured: xr.Dataset) -> dict[str, Estimate]:
    """What two initializations of the large batch differ by, and what half the examples cost."""
    large, rate = int(measured.batch_size.max()), float(measured.one_rate.max())
    first, again = (samples(measured, "error", large, rate, copy=copy) for copy in (0, 1))
    return {
        "again": known_interval(again, first),
        "half": known_interval(measured.less_error.values, first),
    }


def judge(measured: xr.Dataset) -> Verdict:
    """All three ways; what may hold instead is the first alone."""
    found, control = gains(measured), controls(measured)
    again = {"two initializations, whole training set": control["again"]}
    return controlled(
        _judged(measured, {WAYS[k]: e for k, e in found.items()}),
        negative=_judged(measured, again),
        positive=_judged(measured, {"half the training examples": control["half"]}),
        corrected=controlled(
            _judged(measured, {WAYS["fixed"]: found["fixed"]}), negative=_judged(measured, again)
        ),
    )


def _judged(measured: xr.Dataset, found: Mapping[str, Estimate]) -> Verdict:
    """Whether all differences of errors are there; shown is the smallest."""
    said = "Difference of test errors in percentage points, " + "; ".join(
        f"{words}: {100 * e.value:.2f} [{100 * e.low:.2f}, {100 * e.high:.2f}]"
        for words, e in found.items()
    )
    outcome = all_of(*(at_least(e, minimum=LEAST) for e in found.values()))
    least = min(found.values(), key=lambda e: np.inf if np.isnan(e.value) else e.value)
    seeds, fewest = measured.sizes["seed"], min(e.count for e in found.values())
    if fewest < seeds:
        outcome = INCONCLUSIVE
        said += f". But only {fewest} of {seeds} pairs reached the training loss"
    return concluded(outcome, least, seeds=seeds, explanation=said + ".")


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Test errors by batch size and rate, at tuned rates, and with wrong labels."""
    found = {f"whole minus small batch: {WAYS[k]}": e for k, e in gains(measured).items()}
    for batch_size, rate in zip(measured.batch_size.values, measured.rate.values, strict=True):
        values = samples(measured, "error", int(batch_size), float(rate))
        if np.isfinite(values).any():
            label = f"test error, {int(batch_size)} a batch, rate {rate:g}"
            found[label] = mean_interval(values[np.isfinite(values)])
    found["test error, half the training examples"] = mean_interval(measured.less_error.values)
    for batch in measured.batch.values:
        for name in ("noisy_error", "noisy_fit"):
            label = f"{measured[name].attrs['long_name']}, {batch} batch"
            found[label] = mean_interval(measured[name].sel(batch=batch).values)
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "SGD's noise is a feature that improves generalization, which is why small batch training "
        "generalizes better than large batch training: at one learning rate, with the rate tuned, "
        "and with wrong labels."
    ),
    reference=(
        'The article "Optimization Landscape of Neural Networks: Why Deep Learning Works" (which '
        'says "often"), after Keskar, Mudigere, Nocedal, Smelyanskiy, Tang (2017), ICLR, '
        "arXiv:1609.04836; widened to tuned rates and wrong labels, as the claim is often told. "
        "Against it: Hoffer, Hubara, Soudry (2017), arXiv:1705.08741; Goyal et al. (2017), "
        "arXiv:1706.02677; Shallue et al. (2019), arXiv:1811.03600; Geiping et al. (2022), "
        "arXiv:2109.14119"
    ),
    protocol=(
        f"{TRAINED} The large batch is the whole training set. The share of wrong answers on test "
        "data with the large batch minus that with the small one, a mean over seeds (splits): both "
        "at one rate; each at the rate of its own lowest validation error in that seed; and both "
        f"at one rate for equally many epochs with {NOISE:.0%} wrong training labels, where the "
        f"small batch makes many more updates. {SPARE}"
    ),
    threshold=(
        f"Reproduced if all three differences are at least {100 * LEAST:g} percentage points with "
        f"{LEVEL:.0%} paired t-intervals above 0. Not reproduced if the interval of one of them "
        f"lies below {100 * LEAST:g} points. Otherwise inconclusive, as when a network did not "
        "reach the training loss."
    ),
    negative_control=(
        "Two initializations and orders of the data with the large batch, judged by the same rule: "
        "it must not be reproduced."
    ),
    positive_control=(
        "The large batch with half the training examples against all of them (with a division of "
        "the unused images of its own), judged by the same rule: it must be reproduced, or the "
        "test data could not have shown a difference."
    ),
    corrected=(
        "What the article may mean: small batches generalize better at one learning rate, with "
        "true labels and at equal training loss. Judged: the first of the three differences, by "
        "the same rule and with the same negative control."
    ),
    corrected_effect="difference of test errors at one learning rate",
    limits=(
        "One hidden layer and one small data set; batch sizes of published gaps are larger, and so "
        "are the networks. Training stops at a training loss: nothing is said of training long "
        "past it. With wrong labels and equal epochs the small batch differs in the number of "
        "updates as well as in noise, as it does for anyone who trains for equally many epochs."
    ),
    effect="smallest of the three differences of test errors, whole training set minus small batch",
    settings={
        "quick": Settings(seeds=3),
        "standard": Settings(seeds=20),
        "thorough": Settings(
            seeds=30,
            small_rates=(0.005, 0.01, 0.02, 0.04),
            large_rates=(0.02, 0.08, 0.32, 0.64),
            examples=500,
        ),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
    expected=NOT_REPRODUCED,
)
