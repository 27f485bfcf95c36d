"""Claim: without skip connections, the loss surface of a deep network is chaotic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import xarray as xr

from theodolite import datasets, results
from theodolite.datasets import Split
from theodolite.directions import random_directions
from theodolite.findings.deep_perceptrons import deep_perceptron
from theodolite.findings.finding import Finding
from theodolite.findings.matched_training import Matched, trained_to_loss
from theodolite.findings.networks import cross_entropy
from theodolite.findings.roughness import excess_variation, local_minima, negative_curvature_share
from theodolite.findings.verdict import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
    Verdict,
    all_of,
    at_least,
    concluded,
    controlled,
)
from theodolite.intervals.statistics import LEVEL, Estimate, mean_interval, paired_interval
from theodolite.surfaces import plane
from theodolite.training import Recipe

DESIGNS = ("plain", "residual, shrunk", "plain, norm", "residual, norm")
PAIRS = {", norm": ("plain, norm", "residual, norm"), "": ("plain", "residual, shrunk")}
SHALLOW, DEEP = 2, 20
EXCESS = 0.05
MEASURES = {
    "negative_curvature": "share of the plane with negative curvature",
    "variation": "excess variation of profiles from the center",
    "minima": "local minima inside the plane",
}
JUDGED = ("negative_curvature", "variation")


@dataclass(frozen=True)
class Settings:
    """Networks, the training loss at which they are compared, and the planes through them."""

    seeds: int = 4
    width: int = 64
    examples: int = 300
    rate: float = 0.01
    batch_size: int = 50
    epochs: int = 200
    target: float = 0.1
    planes: int = 1
    steps: int = 25
    span: float = 1.0


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """Three kinds of roughness of planes through networks with one training loss."""
    depths = (SHALLOW, DEEP)
    shape = (len(DESIGNS), len(depths))
    rough = np.full((*shape, settings.planes, len(MEASURES)), np.nan)
    losses, reached = np.empty(shape), np.empty(shape)
    data = datasets.digits(seed, limit=settings.examples, flatten=True)
    for i, design in enumerate(DESIGNS):
        for j, depth in enumerate(depths):
            recipe = Recipe(
                partial(deep_perceptron, design, width=settings.width, depth=depth),
                data,
                learning_rate=settings.rate,
                batch_size=settings.batch_size,
                epochs=settings.epochs,
                seed=seed,
            )
            matched = trained_to_loss(recipe, settings.target)
            losses[i, j], reached[i, j] = matched.loss, matched.reached
            if matched.reached:
                rough[i, j] = _roughness(matched, data, settings, seed)
    dims = ("design", "depth")
    words = {k: {"long_name": v} for k, v in MEASURES.items()}
    return results.dataset(
        "finding",
        {
            **{k: ((*dims, "plane"), rough[..., m], words[k]) for m, k in enumerate(MEASURES)},
            "loss": (dims, losses, {"long_name": "training loss reached"}),
            "reached": (dims, reached, {"long_name": "1 where the loss was reached"}),
        },
        {
            "design": list(DESIGNS),
            "depth": ("depth", list(depths), {"long_name": "blocks"}),
            "plane": range(settings.planes),
        },
    )


def _roughness(matched: Matched, data: Split, settings: Settings, seed: int) -> np.ndarray:
    """The three measures, shape ``(plane, measure)``; in float64, BatchNorm's statistics kept."""
    x, y = data.train
    objective = cross_entropy(matched.network.double(), (x.double(), y))
    directions = random_directions(objective, count=2 * settings.planes, seed=seed)
    span, found = (-settings.span, settings.span), []
    for k in range(settings.planes):
        pair = directions[2 * k : 2 * k + 2]
        made = plane(
            objective,
            pair,
            span=(span, span),
            steps=(settings.steps, settings.steps),
            method="dense",  # a fit would be smooth by itself
            evaluation="plain",
            plane=k,
        )
        found.append(surface_roughness(made.loss.values))
    return np.array(found)


def surface_roughness(loss: np.ndarray) -> tuple[float, float, float]:
    """Negative curvature share, mean excess variation of the four profiles that start at the
    center along the axes, and the number of local minima, of a square grid of odd size.

    >>> x, y = np.meshgrid(np.arange(-2.0, 3.0), np.arange(-2.0, 3.0))
    >>> surface_roughness(x**2 + y**2)
    (0.0, 0.0, 1.0)
    """
    middle = loss.shape[0] // 2
    row, column = loss[middle], loss[:, middle]
    rays = (row[middle:], row[: middle + 1], column[middle:], column[: middle + 1])
    variation = float(np.mean([excess_variation(ray) for ray in rays]))
    return negative_curvature_share(loss), variation, float(local_minima(loss))


def judge(measured: xr.Dataset) -> Verdict:
    """Deep plain networks against deep residual ones, with shallow ones as control."""
    curvature = JUDGED[:1]
    return controlled(
        _judged(measured, DEEP),
        negative=_judged(measured, SHALLOW),
        corrected=controlled(
            _judged(measured, DEEP, curvature), negative=_judged(measured, SHALLOW, curvature)
        ),
    )


def excess(measured: xr.Dataset, name: str, depth: int, suffix: str) -> Estimate | None:
    """How much rougher plain networks are than residual ones with the same seed, if two or more
    seeds have both at the training loss.
    """
    plain, residual = PAIRS[suffix]
    mean = measured[name].mean("plane").sel(depth=depth)
    pairs = np.stack([mean.sel(design=d).values for d in (plain, residual)])
    kept = pairs[:, np.isfinite(pairs).all(0)]
    return paired_interval(kept[0], kept[1]) if kept.shape[1] > 1 else None


def _judged(measured: xr.Dataset, depth: int, measures: tuple[str, ...] = JUDGED) -> Verdict:
    found = {name: excess(measured, name, depth, ", norm") for name in measures}
    whole = {k: e for k, e in found.items() if e is not None}
    seeds = measured.sizes["seed"]
    if len(whole) < len(found):
        nothing = Estimate(float("nan"), -np.inf, np.inf, LEVEL, 0, "none")
        said = f"At {depth} blocks, fewer than two pairs reached the training loss."
        return concluded(INCONCLUSIVE, nothing, seeds=seeds, explanation=said)
    outcome = all_of(*(at_least(e, minimum=EXCESS) for e in whole.values()))
    parts = [
        f"{MEASURES[k]}: {e.value:+.3f} [{e.low:+.3f}, {e.high:+.3f}]" for k, e in whole.items()
    ]
    estimate = min(whole.values(), key=lambda e: e.value)
    said = f"Plain less residual networks of {depth} blocks with norm: {'; '.join(parts)}."
    if estimate.count < seeds:
        outcome = INCONCLUSIVE
        said += f" But only {estimate.count} of {seeds} pairs reached the training loss."
    return concluded(outcome, estimate, seeds=seeds, explanation=said)


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Every kind of roughness for every design, and what plain networks have more of."""
    found = {}
    for depth in (SHALLOW, DEEP):
        for name, words in MEASURES.items():
            for design in DESIGNS:
                values = measured[name].mean("plane").sel(design=design, depth=depth).values
                if np.isfinite(values).any():
                    label = f"{words}, {design}, {depth} blocks"
                    found[label] = mean_interval(values[np.isfinite(values)])
            for suffix in PAIRS:
                estimate = excess(measured, name, depth, suffix)
                if estimate is not None:
                    kind = "with norm" if suffix else "without norm (branches shrunk)"
                    found[f"{words}, plain less residual {kind}, {depth} blocks"] = estimate
    for design in DESIGNS:
        at = measured.sel(design=design, depth=DEEP)
        found[f"training loss, {design}, {DEEP} blocks"] = mean_interval(at.loss.values)
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "Skip connections smooth the loss surface: around their solutions, deep plain networks are "
        "chaotic where residual networks of the same depth are not."
    ),
    reference=(
        "Li, Xu, Taylor, Studer, Goldstein (2018), Visualizing the Loss Landscape of Neural Nets, "
        "NeurIPS, arXiv:1712.09913"
    ),
    protocol=(
        f"Fully connected networks of {SHALLOW} and {DEEP} blocks (BatchNorm, rectifier, linear "
        "layer, with or without the input added; the same initial values) on the digits, trained "
        "by SGD with momentum 0.9 at a constant rate until the training loss reaches a fixed value "
        "(looked at every 5 steps). In float64, with BatchNorm's statistics as trained, 25 by 25 "
        "planes over filter-normalized random directions from -1 to 1: the share of grid points "
        "where the second differences have a negative eigenvalue, and the variation of the four "
        "profiles that start at the center beyond their net change, over their range. The number "
        "of local minima, and the same for networks without norm (residual branches divided by the "
        "square root of the depth, as they diverge otherwise), are reported."
    ),
    threshold=(
        f"Reproduced if, at {DEEP} blocks with norm, plain networks exceed residual ones of the "
        f"same seed by at least {EXCESS} both in the share of negative curvature and in the excess "
        f"variation, both {LEVEL:.0%} paired t-intervals lying above 0. Not reproduced if one "
        f"interval lies below {EXCESS}. Otherwise inconclusive, as when a network did not reach "
        "the training loss."
    ),
    negative_control=(
        f"The same networks with {SHALLOW} blocks, which are not deep, judged by the same rule: it "
        "must not be reproduced."
    ),
    corrected=(
        "Deep plain networks have more negative curvature around their solutions than residual "
        "ones: the same rule for the share of negative curvature alone. Its negative control are "
        "the shallow networks. (Set apart after the first run had shown the two parts to differ; "
        "the threshold is the one fixed before.)"
    ),
    corrected_effect="excess in the share of negative curvature",
    limits=(
        "Roughness at the scale of the grid, within 100 % of every filter, on random planes, which "
        "show averages over all directions. BatchNorm's statistics stay as trained, which adds to "
        "the growth away from the center. Fully connected networks, one loss level, one data set; "
        "Li et al. show convolutional networks at the end of long trainings."
    ),
    effect="smaller of the two excesses of plain over residual networks",
    settings={
        "quick": Settings(),
        "standard": Settings(seeds=10, planes=2),
        "thorough": Settings(seeds=20, examples=1000, planes=4, steps=51),
    },
    expected=NOT_REPRODUCED,
    measure=measure,
    judge=judge,
    estimates=estimates,
)
