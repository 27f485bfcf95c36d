"""Claim: near a solution, the loss along a direction is its second-order expansion up to O(e^3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from torch import Tensor

from theodolite import results
from theodolite.directions import random_directions
from theodolite.findings.finding import Finding
from theodolite.findings.networks import cross_entropy, trained_perceptron
from theodolite.findings.verdict import (
    INCONCLUSIVE,
    REPRODUCED,
    Verdict,
    at_least,
    concluded,
    controlled,
)
from theodolite.intervals.statistics import LEVEL, Estimate, mean_interval
from theodolite.objective import Objective
from theodolite.operators import hessian
from theodolite.surfaces import line

SLOPE, STEEPEST, FAILS_BELOW = 2.7, 3.1, 2.5
FITTED = 1e-2
ROUNDING = 100 * np.finfo(np.float64).eps
ACTIVATIONS = ("tanh", "relu")
ORDERS = ("first", "second")


@dataclass(frozen=True)
class Settings:
    """Networks, directions and distances of one preset."""

    seeds: int = 5
    sizes: tuple[int, ...] = (64, 16, 10)
    examples: int = 1000
    epochs: int = 10
    directions: int = 4
    farthest: float = 1e-1
    nearest: float = 1e-3
    distances: int = 9


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """Residuals of the expansion around one trained network for each activation."""
    epsilon = np.geomspace(settings.nearest, settings.farthest, settings.distances)
    residuals, losses = [], []
    for activation in ACTIVATIONS:
        network, data = trained_perceptron(
            settings.sizes,
            activation=activation,
            examples=settings.examples,
            epochs=settings.epochs,
            seed=seed,
        )
        objective = cross_entropy(network, data)
        directions = random_directions(objective, count=settings.directions, seed=seed)
        residuals.append(_residuals(objective, directions, epsilon))
        losses.append(float(objective.value()))
    dims = ("activation", "order", "direction", "epsilon", "side")
    words = {"long_name": "loss minus its expansion to the given order"}
    level = {"long_name": "training loss at the solution"}
    return results.dataset(
        "finding",
        {"residual": (dims, np.stack(residuals), words), "loss": (("activation",), losses, level)},
        {
            "activation": list(ACTIVATIONS),
            "order": list(ORDERS),
            "epsilon": ("epsilon", epsilon, {"long_name": "distance along the direction"}),
            "side": [-1, 1],
        },
    )


def _residuals(objective: Objective, directions: Tensor, epsilon: np.ndarray) -> np.ndarray:
    """Loss minus expansion, shape ``(order, direction, epsilon, side)``."""
    gradient, operator = objective.gradient(), hessian(objective)
    found = np.empty((2, len(directions), len(epsilon), 2))
    for d, direction in enumerate(directions):
        slope = float(gradient @ direction)
        curvature = float(direction @ operator.matvec(direction))
        for i, distance in enumerate(epsilon):
            loss = line(objective, direction, span=(-distance, distance), steps=3).loss.values
            step = np.array([-distance, distance])
            first = loss[[0, 2]] - loss[1] - step * slope
            found[:, d, i] = first, first - 0.5 * step**2 * curvature
    return found


def slopes(measured: xr.Dataset, *, farthest: float = FITTED) -> xr.DataArray:
    """Slope of log residual on log distance up to `farthest`, residuals pooled by root mean
    square over directions and sides; dimensions ``(seed, activation, order)``.
    """
    near = measured.residual.sel(epsilon=measured.epsilon <= farthest * (1 + 1e-9))
    pooled = np.log(np.sqrt((near**2).mean(("direction", "side"))))
    x = np.log(near.epsilon)
    x = x - x.mean()
    slope: xr.DataArray = (pooled * x).sum("epsilon") / (x**2).sum()
    return slope


def judge(measured: xr.Dataset) -> Verdict:
    """The slope of tanh networks, with the expansion cut after the gradient as control."""
    fitted = slopes(measured).sel(activation="tanh")
    return controlled(
        _judged(measured, fitted.sel(order="second").values, "with the Hessian"),
        negative=_judged(measured, fitted.sel(order="first").values, "without the Hessian"),
    )


def _judged(measured: xr.Dataset, samples: np.ndarray, which: str) -> Verdict:
    estimate = mean_interval(samples)
    outcome = at_least(estimate, minimum=SLOPE, null=FAILS_BELOW, fails_below=FAILS_BELOW)
    said = (
        f"The residual {which} falls with distance to the power {estimate.value:.3f} "
        f"[{estimate.low:.3f}, {estimate.high:.3f}] over {estimate.count} networks."
    )
    if outcome == REPRODUCED and estimate.value > STEEPEST:
        outcome = INCONCLUSIVE
        said += f" That is steeper than {STEEPEST}: the third order did not show."
    if outcome == REPRODUCED and _lost_in_rounding(measured):
        outcome = INCONCLUSIVE
        said += " The smallest residuals are within rounding of the loss."
    return concluded(outcome, estimate, seeds=measured.sizes["seed"], explanation=said)


def _lost_in_rounding(measured: xr.Dataset) -> bool:
    tanh = measured.sel(activation="tanh")
    nearest = tanh.residual.sel(order="second").isel(epsilon=0)
    pooled = np.sqrt((nearest**2).mean(("direction", "side")))
    return bool((pooled < ROUNDING * np.maximum(tanh.loss, 1e-3)).any())


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Slopes of both activations, near and over the whole range, and without the Hessian."""
    near, far = slopes(measured), slopes(measured, farthest=np.inf)
    found = {}
    for activation in ACTIVATIONS:
        for range_, fitted in ((f"up to {FITTED:g}", near), ("over all distances", far)):
            second = fitted.sel(activation=activation, order="second").values
            found[f"slope, {activation}, {range_}"] = mean_interval(second)
    first = near.sel(activation="tanh", order="first").values
    found[f"slope without the Hessian, tanh, up to {FITTED:g}"] = mean_interval(first)
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "A slice through a solution is a faithful local model: along a direction v, the loss is "
        "L + e g.v + e^2 v'Hv / 2, with an error of third order in e."
    ),
    reference=(
        "Taylor's theorem, as used for slices by Li, Xu, Taylor, Studer, Goldstein (2018), NeurIPS"
    ),
    protocol=(
        "Tanh perceptrons trained on the digits, in float64. Along filter-normalized random "
        "directions and on both sides, the residual of the expansion (gradient and Hessian "
        "product by automatic differentiation) at distances spaced evenly in the logarithm; the "
        f"slope of its logarithm on that of the distance, up to {FITTED:g}, per network. The same "
        "for ReLU perceptrons, reported and not judged."
    ),
    threshold=(
        f"Reproduced if the mean slope lies between {SLOPE} and {STEEPEST} and its {LEVEL:.0%} "
        f"t-interval above {FAILS_BELOW}. Not reproduced if the interval lies below {FAILS_BELOW}. "
        "Otherwise inconclusive, as when residuals come within a hundred roundings of the loss."
    ),
    negative_control=(
        "The expansion without its second-order term, whose residual falls with slope 2, judged "
        "by the same rule: it must not be reproduced."
    ),
    limits=(
        "Local and smooth: twice differentiable activations, distances of at most a hundredth of "
        "every filter's norm. ReLU networks cross kinks at any distance, and their slope is lower. "
        "Says nothing about how far the model reaches, nor about directions not drawn."
    ),
    effect="slope of the logarithm of the residual on that of the distance",
    settings={
        "quick": Settings(),
        "standard": Settings(seeds=10, epochs=20, directions=8),
        "thorough": Settings(seeds=20, epochs=40, directions=16, sizes=(64, 64, 64, 10)),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
)
