"""Claim: gradients of deep plain networks turn to noise, and skip connections prevent it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import xarray as xr
from torch import nn

from theodolite import results
from theodolite.datasets import Split
from theodolite.findings.deep_perceptrons import DeepPerceptron, deep_perceptron
from theodolite.findings.finding import Finding
from theodolite.findings.gradients import input_gradients, neighbor_correlation
from theodolite.findings.verdict import Verdict, at_least, concluded, controlled
from theodolite.intervals.statistics import LEVEL, Estimate, mean_interval, paired_interval
from theodolite.training import Recipe, train

DESIGNS = ("plain", "plain, norm", "residual", "residual, norm")
JUDGED = 24
GAIN = 0.5


@dataclass(frozen=True)
class Settings:
    """Networks of one input and where they are looked at."""

    seeds: int = 10
    width: int = 200
    depths: tuple[int, ...] = (2, 10, JUDGED, 50)
    positions: int = 256
    farthest: float = 2.0


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """Correlation of the gradients at neighboring inputs, for every design and depth at start."""
    inputs = torch.linspace(
        -settings.farthest, settings.farthest, settings.positions, dtype=torch.float64
    )[:, None]
    found = [
        [
            neighbor_correlation(input_gradients(started(d, depth, settings, inputs, seed), inputs))
            for depth in settings.depths
        ]
        for d in DESIGNS
    ]
    words = {"long_name": "correlation of the gradients at neighboring inputs"}
    return results.dataset(
        "finding",
        {"correlation": (("design", "depth"), found, words)},
        {
            "design": list(DESIGNS),
            "depth": ("depth", list(settings.depths), {"long_name": "blocks"}),
        },
    )


def started(
    design: str, depth: int, settings: Settings, inputs: torch.Tensor, seed: int
) -> nn.Module:
    """A network at initialization, the biases of its first layer normal.

    Without them, every unit of a network of one input would have its only kink at zero.
    """
    labels = torch.zeros(len(inputs), dtype=torch.int64)
    part = inputs, labels
    build = partial(_with_biases, design, settings.width, depth)
    data = Split(part, part, part, name="positions", classes=("any",))
    return train(Recipe(build, data, epochs=0, seed=seed)).model


def _with_biases(design: str, width: int, depth: int) -> DeepPerceptron:
    network = deep_perceptron(design, inputs=1, width=width, depth=depth, outputs=1)
    nn.init.normal_(network.stem.bias)
    return network


def judge(measured: xr.Dataset) -> Verdict:
    """The gain of skips between norms, with networks without norm as control."""
    return controlled(_judged(measured, ", norm"), negative=_judged(measured, ""))


def _judged(measured: xr.Dataset, suffix: str) -> Verdict:
    at = measured.correlation.sel(depth=JUDGED)
    residual, plain = at.sel(design=f"residual{suffix}"), at.sel(design=f"plain{suffix}")
    estimate = paired_interval(residual.values, plain.values)
    outcome = at_least(estimate, minimum=GAIN)
    where = "With norm" if suffix else "Without norm"
    said = (
        f"{where}, at {JUDGED} blocks, neighboring gradients correlate by "
        f"{float(plain.mean()):.3f} in plain networks and {float(residual.mean()):.3f} in residual "
        f"ones: a gain of {estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]."
    )
    return concluded(outcome, estimate, seeds=measured.sizes["seed"], explanation=said)


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """The correlation for every design and depth."""
    return {
        f"{design}, {int(depth)} blocks": mean_interval(
            measured.correlation.sel(design=design, depth=depth).values
        )
        for design in DESIGNS
        for depth in np.asarray(measured.depth)
    }


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "In deep networks without skip connections, the gradients at neighboring inputs have "
        "nothing in common (they shatter into white noise); skip connections keep them alike."
    ),
    reference=(
        "Balduzzi, Frean, Leary, Lewis, Ma, McWilliams (2017), The Shattered Gradients Problem, "
        "ICML, arXiv:1702.08591"
    ),
    protocol=(
        "Perceptrons of one input and one output, width 200, at initialization (He weights; normal "
        "biases in the first layer), in float64. Each block is norm, rectifier, linear layer, and "
        "with or without its input added: nothing else differs, not even the initial values. "
        "BatchNorm takes its statistics from the 256 inputs evenly spaced in [-2, 2] and keeps "
        "them. The derivative of the output at each input, and the correlation of neighboring "
        "derivatives (without subtracting a mean, so that a linear function has 1)."
    ),
    threshold=(
        f"Reproduced if, between networks with BatchNorm and {JUDGED} blocks, the mean gain of "
        f"residual over plain ones with the same seed is at least {GAIN} and its {LEVEL:.0%} "
        f"paired t-interval lies above 0. Not reproduced if the interval lies below {GAIN}. "
        "Otherwise inconclusive."
    ),
    negative_control=(
        "The same networks without BatchNorm, whose plain gradients do not shatter, so that there "
        "is little for skips to prevent: judged by the same rule, it must not be reproduced."
    ),
    limits=(
        "Needs BatchNorm (or another whitening of each layer): with He weights alone, gradients "
        "of plain networks stay alike to 50 blocks. At initialization, for fully connected "
        "networks of one input; whether it decides training is another claim."
    ),
    effect=f"gain in correlation of neighboring gradients by skips, with norm, {JUDGED} blocks",
    settings={
        "quick": Settings(),
        "standard": Settings(seeds=20),
        "thorough": Settings(seeds=50, depths=(2, 5, 10, JUDGED, 50, 100)),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
)
