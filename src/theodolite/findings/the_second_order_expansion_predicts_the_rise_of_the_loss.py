"""Claim: at a minimum, curvature alone says how much a small perturbation raises the loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from theodolite import results
from theodolite.curvature import eigenpairs
from theodolite.findings.finding import Finding
from theodolite.findings.training_moments import (
    BATCH_SIZE,
    RATE,
    digits_recipe,
    objectives_at,
)
from theodolite.findings.verdict import (
    Verdict,
    all_of,
    at_most,
    concluded,
    controlled,
)
from theodolite.intervals.statistics import LEVEL, Estimate, exponential, mean_interval
from theodolite.objective import Objective
from theodolite.operators import hessian
from theodolite.seeds import torch_generator
from theodolite.sharpness import predicted_rise

TOLERANCE = 0.1
SMALL = 3e-3
SHARES = (1e-4, 3e-4, 1e-3, SMALL, 1e-2, 3e-2, 0.1, 0.3, 1.0)
FAMILIES = ("random", "top")
LEAST = 1e-16


@dataclass(frozen=True)
class Settings:
    """The network, how long it is trained, and how many directions of each kind are tried."""

    seeds: int = 3
    width: int = 20
    examples: int = 500
    epochs: int = 200
    directions: int = 5


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """Rises of the loss and their predictions, the mean of both sides of every direction."""
    recipe = digits_recipe(width=settings.width, examples=settings.examples, seed=seed)
    (objective,) = objectives_at(recipe, (settings.epochs,))
    random, top = _directions(objective, settings.directions, seed)
    found = [_rises(objective, rows) for rows in (random, top)]
    dims = ("family", "direction", "radius")
    return results.dataset(
        "finding",
        {
            "measured": (dims, [f[0] for f in found], {"long_name": "rise of the loss"}),
            "predicted": (dims, [f[1] for f in found], {"long_name": "half of r^2 d'Hd"}),
            "loss": ((), float(objective.value()), {"long_name": "training loss"}),
        },
        {
            "family": list(FAMILIES),
            "radius": ("radius", list(SHARES), {"long_name": "distance over the norm of theta"}),
        },
    )


def _directions(objective: Objective, count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Gaussian directions, and the eigenvectors of the largest Hessian eigenvalues, as rows."""
    generator = torch_generator(seed, "rises")
    random = torch.randn(count, len(objective.start), generator=generator, dtype=torch.float64)
    pairs = eigenpairs(hessian(objective), count=count, seed=seed, vectors=True)
    return random, torch.from_numpy(pairs.vector.values.copy())


def _rises(objective: Objective, rows: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Measured and predicted, shape ``(direction, radius)``: slopes cancel between the sides."""
    radii = [float(torch.linalg.vector_norm(objective.start)) * share for share in SHARES]
    one, other = (predicted_rise(objective, sign * rows, radius=radii) for sign in (1, -1))
    measured = (one.measured.values + other.measured.values) / 2
    return measured, (one.predicted.values + other.predicted.values) / 2


def errors(measured: xr.Dataset, *, exchanged: bool = False) -> xr.DataArray:
    """Relative error of the predicted rise, mean over directions.

    With ``exchanged``, of the prediction made for another direction of the same kind.
    """
    predicted = measured.predicted
    if exchanged:
        predicted = predicted.roll(direction=1)
    relative = np.abs(predicted - measured.measured) / np.abs(measured.measured)
    mean: xr.DataArray = relative.mean("direction")
    return mean


def judge(measured: xr.Dataset) -> Verdict:
    """Both kinds of directions, with the prediction for another direction as control."""
    judged = _judged(measured)
    reach = ", ".join(f"{_reach(measured, family):g} along {family}" for family in FAMILIES)
    said = f"{judged.explanation} Within {TOLERANCE:.0%} up to: {reach} directions."
    return controlled(replace(judged, explanation=said), negative=_judged(measured, exchanged=True))


def _judged(measured: xr.Dataset, *, exchanged: bool = False) -> Verdict:
    found = {f: _error(measured, f, SMALL, exchanged=exchanged) for f in FAMILIES}
    worst = max(found.values(), key=lambda estimate: estimate.value)
    said = f"Relative error of the rise at {SMALL:g} of the norm: " + "; ".join(
        f"{e.value:.3g} [{e.low:.3g}, {e.high:.3g}] along {family} directions"
        for family, e in found.items()
    )
    outcome = all_of(*(at_most(e, maximum=TOLERANCE) for e in found.values()))
    return concluded(outcome, worst, seeds=measured.sizes["seed"], explanation=f"{said}.")


def _reach(measured: xr.Dataset, family: str) -> float:
    """The largest distance up to which every mean error is within the tolerance; 0 for none."""
    reached = 0.0
    for radius in SHARES:
        if not _error(measured, family, radius).value <= TOLERANCE:
            break
        reached = radius
    return reached


def _error(
    measured: xr.Dataset, family: str, radius: float, *, exchanged: bool = False
) -> Estimate:
    samples = errors(measured, exchanged=exchanged).sel(family=family, radius=radius).values
    return exponential(mean_interval(np.log(np.maximum(samples, LEAST))))


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """The error at every distance for both kinds of directions, and the training loss."""
    found = {
        f"relative error, {family} directions, at {radius:g} of the norm": _error(
            measured, family, radius
        )
        for family in FAMILIES
        for radius in SHARES
    }
    found["training loss"] = exponential(mean_interval(np.log(measured.loss.values)))
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "At a minimum, the second-order expansion predicts how much a small perturbation raises "
        f"the loss: a step of {SMALL:g} of the norm of the parameters raises it by half of r^2 "
        f"d'Hd to within {TOLERANCE:.0%}, in random directions and in those of highest curvature."
    ),
    reference=(
        "Taylor's theorem, as used to explain why flat minima are robust; the article "
        '"Optimization Landscape of Neural Networks: Why Deep Learning Works"'
    ),
    protocol=(
        "Tanh perceptrons of one hidden layer on the digits, trained by SGD without momentum at "
        f"rate {RATE:g} in batches of {BATCH_SIZE}, in float64 at the end. Along Gaussian random "
        "directions and along the eigenvectors of the largest Hessian eigenvalues, at distances r "
        "from 1e-4 to 1 times the norm of the parameters, the rise of the loss averaged over both "
        "sides (so that what is left of the slope cancels) against r^2 d'Hd / 2. The relative "
        "error, mean over directions, and its geometric mean over seeds."
    ),
    threshold=(
        f"Reproduced if, at {SMALL:g} of the norm, the {LEVEL:.0%} t-intervals (of the logarithm) "
        f"of both errors end by {TOLERANCE}. Not reproduced if one of them begins above it. "
        "Otherwise inconclusive."
    ),
    negative_control=(
        "The prediction made for another direction of the same kind, judged by the same rule: it "
        "must not be reproduced."
    ),
    limits=(
        "Twice differentiable networks of one size, at one training loss; averaged over both "
        "sides, a third-order term cancels, and one side alone is predicted less well. Where "
        "the loss is lower, fewer examples carry the curvature and the expansion reaches less far. "
        "How far it reaches is reported: less far along the directions of highest curvature."
    ),
    effect="larger of the two relative errors of the predicted rise",
    settings={
        "quick": Settings(),
        "standard": Settings(seeds=10, examples=1000, directions=10),
        "thorough": Settings(seeds=20, examples=1000, epochs=400, directions=20),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
)
