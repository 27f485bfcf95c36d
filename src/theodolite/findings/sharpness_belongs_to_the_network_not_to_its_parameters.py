"""Claim: equal networks are equally sharp, so that flatness can say how well one generalizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from theodolite import datasets, results
from theodolite.findings.finding import Finding
from theodolite.findings.networks import cross_entropy, trained_perceptron
from theodolite.findings.verdict import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
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
from theodolite.sharpness import (
    adaptive_sharpness,
    fisher_rao_norm,
    largest_curvature,
    layer_rescaling,
    relative_flatness,
    worst_case_sharpness,
)

TOLERANCE, LARGE = 1e-5, 1.0
SAME_FUNCTION = 1e-12
SMALLEST = float(np.finfo(np.float64).eps)
RESCALED, PERMUTED, ALONE = "both layers", "hidden units permuted", "first layer alone"
PLAIN = {
    "largest_eigenvalue": "largest Hessian eigenvalue",
    "trace": "trace of the Hessian",
    "sam": "largest rise of the loss within a distance (SAM)",
}
ADAPTIVE = {
    "by_element": "adaptive sharpness, by element",
    "by_filter": "adaptive sharpness, by filter",
    "relative_flatness": "relative flatness of the last layer",
    "fisher_rao": "Fisher-Rao norm",
}
MEASURES = {**PLAIN, **ADAPTIVE}


@dataclass(frozen=True)
class Settings:
    """Networks of one preset; ``c`` multiplies layer 1 and divides layer 2."""

    seeds: int = 4
    scales: tuple[float, ...] = (2.0, 5.0, 20.0)
    sizes: tuple[int, ...] = (64, 8, 10)
    examples: int = 200
    epochs: int = 40
    rho: float = 0.05
    relative_rho: float = 0.2


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """Seven measures at one trained network and after three changes of its parameters."""
    network, data = trained_perceptron(
        settings.sizes,
        activation="relu",
        examples=settings.examples,
        epochs=settings.epochs,
        seed=seed,
    )
    x, y = datasets.digits(seed, limit=settings.examples, flatten=True).test
    objective, test = cross_entropy(network, data), cross_entropy(network, (x.double(), y))
    points = {
        change: [changed(objective, change, c, seed) for c in settings.scales]
        for change in (RESCALED, PERMUTED, ALONE)
    }
    values = [[_measures(objective, p, settings) for p in row] for row in points.values()]
    dims = ("change", "c", "measure")
    before = _measures(objective, objective.start, settings)
    moved = [[_moved(test, point) for point in row] for row in points.values()]
    words = {"long_name": "change of the test losses, relative to their mean"}
    return results.dataset(
        "finding",
        {
            "original": (("measure",), before, {"long_name": "measure of the trained network"}),
            "value": (dims, values, {"long_name": "measure after the change"}),
            "function_change": (("change", "c"), moved, words),
            "train_loss": ((), float(objective.value()), {"long_name": "training loss"}),
            "test_loss": ((), float(test.value()), {"long_name": "mean loss on new data"}),
        },
        {
            "change": list(points),
            "c": ("c", list(settings.scales), {"long_name": "factor of layer 1, divisor of 2"}),
            "measure": list(MEASURES),
        },
    )


def changed(objective: Objective, change: str, c: float, seed: int) -> Tensor:
    """Other parameters: rescaled, with hidden units in another order, or of another network."""
    point = objective.start.clone()
    if change == RESCALED:
        return layer_rescaling(objective, factor=c)
    first, bias, second = list(objective.space.views(point).values())[:3]
    if change == ALONE:
        first.mul_(c)
        bias.mul_(c)
        return point
    order = torch.randperm(len(bias), generator=torch_generator(seed, "order", f"{c:g}"))
    first.copy_(first[order])
    bias.copy_(bias[order])
    second.copy_(second[:, order])
    return point


def _measures(objective: Objective, theta: Tensor, settings: Settings) -> list[float]:
    """One number for each of `MEASURES`, in their order; none of them is estimated by draws."""
    rho = settings.relative_rho
    by_element, by_filter = (
        adaptive_sharpness(objective, theta=theta, rho=rho, by=by) for by in ("element", "filter")
    )
    found = {
        "largest_eigenvalue": largest_curvature(
            objective, theta=theta, tolerance=1e-6
        ).largest_curvature,
        "trace": hessian(objective, theta).dense().trace(),
        "sam": worst_case_sharpness(objective, theta=theta, rho=settings.rho).worst_case_sharpness[
            0
        ],
        "by_element": by_element.adaptive_sharpness[0],
        "by_filter": by_filter.adaptive_sharpness[0],
        "relative_flatness": relative_flatness(objective, theta=theta).relative_flatness,
        "fisher_rao": fisher_rao_norm(objective, theta=theta).fisher_rao_norm,
    }
    return [float(found[name]) for name in MEASURES]


def _moved(test: Objective, theta: Tensor) -> float:
    before = test.losses()
    return float((test.losses(theta) - before).abs().max() / before.abs().mean())


def factors(measured: xr.Dataset, change: str) -> xr.DataArray:
    """How many times larger or smaller each measure is, 1 or more, by seed, c and measure."""
    after, before = (
        np.maximum(v, SMALLEST) for v in (measured.value.sel(change=change), measured.original)
    )
    made: xr.DataArray = np.exp(np.abs(np.log(after / before)))
    return made


def relative_change(measured: xr.Dataset, change: str, measure: str) -> Estimate:
    """Geometric mean over networks of the largest change over c: the factor minus 1.

    Never below one rounding, so that a logarithm can be taken.
    """
    moved = factors(measured, change).sel(measure=measure).max("c") - 1
    return exponential(mean_interval(np.log(np.maximum(moved.values, SMALLEST))))


def judge(measured: xr.Dataset) -> Verdict:
    """All measures must stay; those in units of the weights are what stays."""
    return controlled(
        _judged(measured, RESCALED, tuple(MEASURES)),
        negative=_judged(measured, ALONE, tuple(MEASURES), nearest=True),
        positive=_judged(measured, PERMUTED, tuple(MEASURES)),
        corrected=controlled(
            _judged(measured, RESCALED, tuple(ADAPTIVE)),
            negative=_judged(measured, ALONE, tuple(ADAPTIVE), nearest=True),
        ),
    )


def _judged(
    measured: xr.Dataset, change: str, names: Sequence[str], *, nearest: bool = False
) -> Verdict:
    """The rule for some measures after one change, resting on the measure that moved most.

    With `nearest`, on the one that moved least: a control of which no measure may be reproduced.
    """
    found = {name: relative_change(measured, change, name) for name in names}
    outcomes = {name: at_most(e, maximum=TOLERANCE, fails_above=LARGE) for name, e in found.items()}
    shown = (min if nearest else max)(names, key=lambda name: found[name].value)
    outcome = outcomes[shown] if nearest else all_of(*outcomes.values())
    if nearest and any(o != NOT_REPRODUCED for o in outcomes.values()):
        outcome = next(o for o in outcomes.values() if o != NOT_REPRODUCED)
    said = f"{change.capitalize()}: " + "; ".join(
        f"{MEASURES[name]} changes by {e.value:.2g} [{e.low:.2g}, {e.high:.2g}]"
        for name, e in found.items()
    )
    function = measured.function_change.sel(change=change)
    if change == ALONE:
        said += f". Another network: its test losses move by at least {float(function.min()):.2g}."
        if float(function.min()) <= SAME_FUNCTION:
            outcome = INCONCLUSIVE
    else:
        said += f". Test losses move by at most {float(function.max()):.2g} of their mean."
        if float(function.max()) > SAME_FUNCTION:
            outcome = INCONCLUSIVE
            said += " So it is not the same network."
    return concluded(outcome, found[shown], seeds=measured.sizes["seed"], explanation=said)


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """By how many times each measure changes with every factor, and what stays."""
    grown, found = factors(measured, RESCALED), {}
    for c in grown.c.values:
        for name, words in MEASURES.items():
            samples = np.log(grown.sel(c=c, measure=name).values)
            label = f"factor of the {words}, c = {c:g}"
            found[label] = exponential(mean_interval(samples))
    for name, words in (("train_loss", "training loss"), ("test_loss", "mean loss on new data")):
        found[f"{words}, of all rescaled twins alike"] = mean_interval(measured[name])
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "The geometry of a minimum affects generalization, flat minima being those with small "
        "Hessian eigenvalues or a small rise of the loss nearby: so parameters that give the same "
        "network, which generalize alike, are equally sharp, however sharpness is measured."
    ),
    reference=(
        'The article "Optimization Landscape of Neural Networks: Why Deep Learning Works", after '
        "Keskar, Mudigere, Nocedal, Smelyanskiy, Tang (2017), ICLR. Against it: Dinh, Pascanu, "
        "Bengio, Bengio (2017), Sharp Minima Can Generalize For Deep Nets, ICML, arXiv:1703.04933"
    ),
    protocol=(
        "ReLU perceptrons of one hidden layer trained on the digits, in float64. Layer 1 (weights "
        "and biases) is multiplied by c and the weights of layer 2 divided by c: the same network. "
        "Before and after: the largest eigenvalue and the trace of the Hessian, the largest rise "
        "of the loss within a distance (SAM's), and four measures in units of the weights: "
        "adaptive sharpness by element and by filter, relative flatness and the Fisher-Rao norm. "
        "The change of a measure is the factor by which it grows or shrinks, minus 1; the largest "
        "over c, and its geometric mean over networks."
    ),
    threshold=(
        f"Reproduced if, for every measure, the {LEVEL:.0%} interval of the change (t-interval of "
        f"its logarithm) ends by {TOLERANCE:g}. Not reproduced if for one of them it begins above "
        f"{LARGE:g}, a doubling. Inconclusive otherwise, or if a loss on new data moves by more "
        f"than {SAME_FUNCTION:g} of their mean."
    ),
    negative_control=(
        "Layer 1 alone times c, which makes another network, judged by the same rule: none of the "
        "measures may be reproduced (shown is the one that changes least)."
    ),
    positive_control=(
        "Hidden units in another order, which is the same network too: all measures must be "
        "reproduced, or the rule could not have accepted anything."
    ),
    corrected=(
        "Only measures in units of the weights belong to the network: the same rule for adaptive "
        "sharpness (both kinds), relative flatness and the Fisher-Rao norm. So a comparison of "
        "minima by eigenvalues, trace or SAM's rise says nothing of generalization until the "
        "parameterization is fixed. Its negative control is layer 1 alone times c."
    ),
    corrected_effect="largest change of a measure in units of the weights",
    limits=(
        "Dinh's argument: the rescaled twin generalizes exactly as well at any sharpness, which "
        "refutes flatness as a reason by itself, not an association among networks as training "
        "leaves them. Invariance is necessary and not enough: nothing here says that adaptive "
        "measures predict generalization (Andriushchenko et al. 2023 find that they often do "
        "not). Rises are lower bounds found by ascent. One hidden layer without normalization, "
        "trained until most, but not all, examples are right: at a loss of zero, layer 1 alone "
        "times c leaves no curvature to compare."
    ),
    effect="largest change of a measure of sharpness (factor minus 1)",
    settings={
        "quick": Settings(),
        "standard": Settings(seeds=10, examples=500, epochs=20),
        "thorough": Settings(seeds=20, sizes=(64, 16, 10), examples=1000, epochs=20),
    },
    expected=NOT_REPRODUCED,
    measure=measure,
    judge=judge,
    estimates=estimates,
)
