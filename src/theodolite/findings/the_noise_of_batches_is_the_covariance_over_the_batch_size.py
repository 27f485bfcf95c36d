"""Claim: the covariance of a batch's gradient is that of one example's over the batch size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from theodolite import datasets, results
from theodolite.findings.finding import Finding
from theodolite.findings.many_recipes import trained_together
from theodolite.findings.many_starts import Weights, each_gradient
from theodolite.findings.network_grid import perceptron
from theodolite.findings.networks import cross_entropy
from theodolite.findings.verdict import Verdict, all_of, concluded, controlled, within
from theodolite.intervals.statistics import (
    LEVEL,
    Estimate,
    mean_interval,
    paired_interval,
    simultaneous,
)
from theodolite.noise import batch_noise_factor, gradient_noise_scale
from theodolite.seeds import numpy_generator

LOW, HIGH = 0.95, 1.05
AT_ONCE = 20_000
"""Examples of batches whose gradients are taken side by side."""


@dataclass(frozen=True)
class Settings:
    """A trained network and the batches drawn at it; every seed has a split and draws."""

    seeds: int = 5
    batch_sizes: tuple[int, ...] = (4, 16, 64, 128, 256)
    draws: int = 4000
    examples: int = 512
    width: int = 16
    rate: float = 0.05
    target: float = 0.3


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """The measured spread of batch gradients, and the covariance of single ones, in trace."""
    x, y = datasets.digits(seed, limit=settings.examples, flatten=True).train
    ends = trained_together(
        x,
        y[None],
        width=settings.width,
        rates=[settings.rate],
        decays=[0.0],
        batch_size=32,
        target=settings.target,
        epochs=200,
        seed=seed,
    )
    objective = cross_entropy(perceptron([w[0] for w in ends.weights]), (x.double(), y))
    whole = gradient_noise_scale(objective, curvature=False, seed=seed)
    drawn = {
        replace: [
            spread(ends.weights, x, y, size, draws=settings.draws, seed=seed, replace=replace)
            for size in settings.batch_sizes
        ]
        for replace in (False, True)
    }
    words = "mean squared distance of a batch's gradient from the whole one"
    single = "trace of the covariance of single gradients"
    return results.dataset(
        "finding",
        {
            "spread": (("batch_size",), drawn[False], {"long_name": words}),
            "spread_replaced": (
                ("batch_size",),
                drawn[True],
                {"long_name": f"{words}, drawn with replacement"},
            ),
            "covariance_trace": ((), float(whole.covariance_trace), {"long_name": single}),
            "examples": ((), settings.examples, {"long_name": "training examples"}),
            "loss": ((), float(objective.value()), {"long_name": "training loss"}),
        },
        {
            "batch_size": (
                "batch_size",
                list(settings.batch_sizes),
                {"long_name": "examples a batch"},
            )
        },
    )


def spread(
    weights: Weights,
    x: Tensor,
    y: Tensor,
    batch_size: int,
    *,
    draws: int,
    seed: int,
    replace: bool = False,
) -> float:
    r"""The mean of :math:`\|g_B - g\|^2` over batches drawn, each through a pass of its own.

    Batches are drawn without replacement from the examples, or with; one network, whose weights
    have a first dimension of 1. Costs a pass over ``draws * batch_size`` examples.
    """
    generator = numpy_generator(seed, "batches", batch_size, replace)
    whole = each_gradient(weights, x, y)
    total, left = 0.0, draws
    while left:
        many = min(left, max(1, AT_ONCE // batch_size))
        if replace:
            chosen = generator.integers(len(y), size=(many, batch_size))
        else:
            ranks = generator.random((many, len(y)))
            chosen = ranks.argpartition(batch_size - 1, axis=1)[:, :batch_size]
        rows = torch.from_numpy(chosen)
        copies = [w.expand(many, -1, -1) for w in weights]
        found = each_gradient(copies, x[rows], y[rows])
        apart = [g.double() - w.double() for g, w in zip(found, whole, strict=True)]
        total += float(torch.stack([d.square().sum((1, 2)) for d in apart]).sum())
        left -= many
    return total / draws


def ratio(
    measured: xr.Dataset, batch_size: int, *, corrected: bool = True, level: float = LEVEL
) -> Estimate:
    """Measured over predicted spread at one batch size, a geometric mean over seeds.

    Without ``corrected``, predicted without the factor of a finite population.
    """
    examples = int(measured.examples.max()) if corrected else None
    factor = batch_noise_factor(batch_size, examples)
    seen = measured.spread.sel(batch_size=batch_size).values
    return paired_interval(seen, factor * measured.covariance_trace.values, ratio=True, level=level)


def judge(measured: xr.Dataset) -> Verdict:
    """All batch sizes; the prediction without the factor of a finite population is the control."""
    return controlled(_judged(measured), negative=_judged(measured, corrected=False))


def _judged(measured: xr.Dataset, *, corrected: bool = True) -> Verdict:
    """Whether all ratios are 1; shown is the one farthest from it."""
    level = simultaneous(LEVEL, measured.sizes["batch_size"])
    found = {
        int(size): ratio(measured, int(size), corrected=corrected, level=level)
        for size in measured.batch_size.values
    }
    factor = "with" if corrected else "without"
    said = f"Measured over predicted ({factor} the factor of a finite population): " + ", ".join(
        f"{size} a batch {e.value:.4g} [{e.low:.4g}, {e.high:.4g}]" for size, e in found.items()
    )
    outcome = all_of(*(within(e, LOW, HIGH) for e in found.values()))
    farthest = max(found.values(), key=lambda e: abs(np.log(e.value)))
    return concluded(outcome, farthest, seeds=measured.sizes["seed"], explanation=said + ".")


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Ratios to both predictions, and of draws with replacement; where it was measured."""
    examples, found = int(measured.examples.max()), {}
    for size in (int(b) for b in measured.batch_size.values):
        found[f"measured over tr(Sigma)/B (1 - B/N), {size} a batch"] = ratio(measured, size)
        found[f"measured over tr(Sigma)/B, {size} a batch"] = ratio(measured, size, corrected=False)
        # With replacement single draws vary by the covariance with the divisor N.
        known = measured.covariance_trace.values * (examples - 1) / examples / size
        found[f"with replacement, measured over tr(Sigma)/B (1 - 1/N), {size} a batch"] = (
            paired_interval(measured.spread_replaced.sel(batch_size=size).values, known, ratio=True)
        )
    found["trace of the covariance of single gradients"] = mean_interval(
        measured.covariance_trace.values
    )
    found["training loss"] = mean_interval(measured.loss.values)
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "The strength of SGD's noise is controlled by the batch size: the covariance of a batch's "
        "gradient is that of one example's over the batch size, times 1 - B/N for batches of B of "
        "N examples drawn without replacement."
    ),
    reference=(
        'The article "Optimization Landscape of Neural Networks: Why Deep Learning Works" (its '
        "gradient noise scale), after Smith, Le (2018), ICLR, arXiv:1710.06451; McCandlish et al. "
        "(2018), arXiv:1812.06162. The factor: Cochran (1977), Sampling Techniques, section 2"
    ),
    protocol=(
        "A ReLU perceptron of one hidden layer on the digits, trained to a fixed training loss. "
        "There, batches are drawn without replacement, the gradient of each is taken by a backward "
        "pass of its own, and the mean of its squared distance from the gradient of the whole "
        "training set is divided by the prediction from the trace of the covariance of single "
        "gradients (`gradient_noise_scale`, divisor N - 1). The geometric mean over seeds, for "
        "every batch size. The same for draws with replacement is reported."
    ),
    threshold=(
        f"Reproduced if the intervals of all ratios lie between {LOW:g} and {HIGH:g}. Not "
        "reproduced if one of them lies outside. Otherwise inconclusive. Paired t-intervals, which "
        f"hold together at {LEVEL:.0%} (Bonferroni)."
    ),
    negative_control=(
        "The prediction without the factor 1 - B/N, which is off twofold at half the data, judged "
        "by the same rule: it must not be reproduced."
    ),
    limits=(
        "A fact of sampling, true of any network and any point; what it tests is that gradients "
        "are taken and averaged as said. Only the trace is compared. It says nothing of the shape "
        "or the tails of the noise, nor of what it does to training, where each epoch draws every "
        "example once and batches of one epoch are not independent."
    ),
    effect="ratio of measured to predicted spread farthest from 1, over batch sizes",
    settings={
        "quick": Settings(),
        "standard": Settings(seeds=10, draws=8000),
        "thorough": Settings(seeds=20, draws=20000, batch_sizes=(1, 2, 4, 16, 64, 128, 256, 500)),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
)
