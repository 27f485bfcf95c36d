"""Claim: networks that differ only in the scale of layers get one filter-normalized slice."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from theodolite import results
from theodolite.curvature import eigenpairs
from theodolite.directions import random_directions
from theodolite.findings.finding import Finding
from theodolite.findings.networks import cross_entropy, trained_perceptron
from theodolite.findings.verdict import (
    INCONCLUSIVE,
    Verdict,
    at_most,
    concluded,
    controlled,
)
from theodolite.intervals.statistics import LEVEL, Estimate, exponential, mean_interval
from theodolite.objective import Objective
from theodolite.operators import hessian
from theodolite.surfaces import line

SAME_FUNCTION = 1e-13
INVARIANT, MOVED = 1e-10, 1e-6
SMALLEST = float(np.finfo(np.float64).eps)
NORMALIZATIONS = ("filter", "model")
SCALES = (2.0, 10.0, 100.0)


@dataclass(frozen=True)
class Settings:
    """Networks and slices of one preset; ``c`` multiplies layer 1 and divides layer 2."""

    seeds: int = 5
    scales: tuple[float, ...] = SCALES
    sizes: tuple[int, ...] = (64, 32, 10)
    examples: int = 200
    epochs: int = 10
    steps: int = 21


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """Slices, outputs and largest curvature of one network and its rescaled twins."""
    network, data = trained_perceptron(
        settings.sizes,
        activation="relu",
        examples=settings.examples,
        epochs=settings.epochs,
        seed=seed,
    )
    twins = [network] + [rescaled(network, c) for c in settings.scales]
    objectives = [cross_entropy(twin, data) for twin in twins]
    curves = [[_slice(o, n, settings, seed) for n in NORMALIZATIONS] for o in objectives]
    curvature = [
        float(eigenpairs(hessian(o), count=1, seed=seed).eigenvalue[0]) for o in objectives
    ]
    changes = [_change(network, twin, data[0]) for twin in twins]
    dims = ("c", "normalization", "alpha")
    return results.dataset(
        "finding",
        {
            "loss": (dims, curves, {"long_name": "training loss along one random direction"}),
            "largest_eigenvalue": (("c",), curvature, {"long_name": "largest Hessian eigenvalue"}),
            "output_change": (("c",), changes, {"long_name": "largest relative change of outputs"}),
        },
        {
            "c": ("c", [1.0, *settings.scales], {"long_name": "factor of layer 1, divisor of 2"}),
            "normalization": list(NORMALIZATIONS),
            "alpha": ("alpha", np.linspace(-1, 1, settings.steps), {"long_name": "position"}),
        },
    )


def rescaled(network: nn.Module, c: float) -> nn.Module:
    """A copy whose first linear layer is `c` times larger and whose second so much smaller.

    The same function where only a ReLU lies between the two.
    """
    twin = copy.deepcopy(network)
    first, second = [m for m in twin.modules() if isinstance(m, nn.Linear)][:2]
    with torch.no_grad():
        first.weight.mul_(c)
        first.bias.mul_(c)
        second.weight.div_(c)
    return twin


def _slice(objective: Objective, normalize: str, settings: Settings, seed: int) -> np.ndarray:
    direction = random_directions(objective, count=1, normalize=normalize, seed=seed)[0]
    loss: np.ndarray = line(objective, direction, steps=settings.steps).loss.values
    return loss


def _change(network: nn.Module, twin: nn.Module, inputs: Tensor) -> float:
    with torch.no_grad():
        outputs = network(inputs)
        return float((twin(inputs) - outputs).abs().max() / outputs.abs().max())


def curve_change(measured: xr.Dataset) -> xr.DataArray:
    """Largest change of a slice over its peak, dimensions ``(seed, c, normalization)``.

    Never below one rounding, so that a logarithm can be taken.
    """
    original = measured.loss.isel(c=0)
    moved = np.abs(measured.loss.isel(c=slice(1, None)) - original).max("alpha")
    changed: xr.DataArray = np.maximum(moved / np.abs(original).max("alpha"), SMALLEST)
    return changed


def judge(measured: xr.Dataset) -> Verdict:
    """The change of filter-normalized slices, with slices normalized as a whole as control."""
    largest = curve_change(measured).max("c")
    return controlled(
        _judged(measured, largest.sel(normalization="filter").values, "filter-normalized slices"),
        negative=_judged(
            measured, largest.sel(normalization="model").values, "slices normalized as a whole"
        ),
    )


def _judged(measured: xr.Dataset, changes: np.ndarray, which: str) -> Verdict:
    estimate = exponential(mean_interval(np.log(changes)))
    outcome = at_most(estimate, maximum=INVARIANT, fails_above=MOVED)
    said = (
        f"Rescaling the layers changes {which} by {estimate.value:.2g} of their peak "
        f"[{estimate.low:.2g}, {estimate.high:.2g}] (geometric mean over {estimate.count} "
        "networks of the largest change)."
    )
    function = float(measured.output_change.max())
    if function > SAME_FUNCTION:
        outcome = INCONCLUSIVE
        said += f" But the outputs changed by {function:.2g}: it is not the same function."
    return concluded(outcome, estimate, seeds=measured.sizes["seed"], explanation=said)


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Change of both kinds of slice and of the largest eigenvalue, for every factor."""
    changes, found = curve_change(measured), {}
    eigenvalues = measured.largest_eigenvalue
    for c in changes.c.values:
        for normalization in NORMALIZATIONS:
            samples = changes.sel(c=c, normalization=normalization).values
            label = f"relative change of the slice, normalize={normalization!r}, c = {c:g}"
            found[label] = exponential(mean_interval(np.log(samples)))
        ratio = np.log(eigenvalues.sel(c=c) / eigenvalues.isel(c=0)).values
        found[f"ratio of the largest eigenvalues, c = {c:g}"] = exponential(mean_interval(ratio))
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "Random directions are biased by differences of scale between layers, and filter "
        "normalization removes the bias: networks that compute the same function with layers of "
        "different scale get the same slice."
    ),
    reference=(
        "Li, Xu, Taylor, Studer, Goldstein (2018), Visualizing the Loss Landscape of Neural Nets, "
        "NeurIPS; the rescaling is that of Dinh, Pascanu, Bengio, Bengio (2017)"
    ),
    protocol=(
        "ReLU perceptrons trained on the digits, in float64. Layer 1 (weights and biases) is "
        "multiplied by c and layer 2 (weights) divided by c, which leaves the function as it is. "
        "Slices of the training loss from -1 to 1 along the same random draw, normalized by "
        "filter or, as control, as one vector; the largest change of a slice over its peak, at "
        f"least one rounding ({SMALLEST:.1e}). The largest Hessian eigenvalue of each network is "
        "reported."
    ),
    threshold=(
        f"Reproduced if the {LEVEL:.0%} interval of the change (t-interval of its logarithm over "
        f"networks, the largest over c) ends by {INVARIANT:g}. Not reproduced if it begins above "
        f"{MOVED:g}. Inconclusive between, or if outputs change by more than {SAME_FUNCTION:g}, "
        "relative to the largest."
    ),
    negative_control=(
        "The same draw normalized as one vector (to the norm of all parameters), judged by the "
        "same rule: it must move, and so not be reproduced."
    ),
    limits=(
        "Removes rescalings of whole filters between layers joined by a positively homogeneous "
        "function. Not invariant to the scale of a normalization layer's weights unless these stay "
        "fixed (as here they do), nor does it compare networks of different depth. The largest "
        "eigenvalue is not invariant at all, and a random slice seldom meets it: the mean "
        "curvature along random directions is the trace over the number of parameters."
    ),
    effect="largest change of a slice over its peak",
    settings={
        "quick": Settings(),
        "standard": Settings(seeds=10, examples=500, steps=51),
        "thorough": Settings(seeds=20, examples=1000, steps=51, sizes=(64, 64, 10)),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
)
