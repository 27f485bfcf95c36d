"""Claim: a trained network's Hessian has a bulk near zero, few outliers and few negatives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from theodolite import results
from theodolite.findings.finding import Finding
from theodolite.findings.networks import cross_entropy
from theodolite.findings.training_moments import (
    BATCH_SIZE,
    CLASSES,
    RATE,
    digits_recipe,
    objectives_at,
)
from theodolite.findings.verdict import (
    INCONCLUSIVE,
    Verdict,
    all_of,
    at_least,
    at_most,
    concluded,
    controlled,
)
from theodolite.intervals.statistics import LEVEL, Estimate, exponential, mean_interval
from theodolite.linalg.operator import Operator
from theodolite.operators import ggn, hessian

NEAR_ZERO, NEGATIVE, LARGE = 1e-2, 1e-3, 0.1
LEAST_BULK, MOST_NEGATIVE, MOST_LARGE = 0.85, 0.05, 3.0 * CLASSES
SOLVED = 0.1
EXACT = 1e-12


@dataclass(frozen=True)
class Settings:
    """The network, its data, and when its Hessian is looked at; the first moment is a control."""

    seeds: int = 3
    width: int = 20
    examples: int = 300
    epochs: tuple[int, ...] = (0, 50, 400)
    few_examples: int = 40


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """Every Hessian eigenvalue at every moment; those of a Gauss-Newton matrix of little rank."""
    recipe = digits_recipe(width=settings.width, examples=settings.examples, seed=seed)
    moments = list(objectives_at(recipe, settings.epochs))
    x, y = (part[: settings.few_examples] for part in recipe.data.train)
    few = cross_entropy(moments[0].model, (x.double(), y))
    words = {
        "eigenvalue": "Hessian eigenvalue",
        "loss": "training loss",
        "forced": "eigenvalues that are zero whatever the weights",
        "few_eigenvalue": "Gauss-Newton eigenvalue at the start, few examples",
        "few_forced": "of those, zero whatever the weights",
    }
    found = {
        "eigenvalue": (("epoch", "index"), [_spectrum(hessian(m)) for m in moments]),
        "loss": (("epoch",), [float(m.value()) for m in moments]),
        "forced": ((), forced_zeros(recipe.data.train[0], settings.width)),
        "few_eigenvalue": (("index",), _spectrum(ggn(few))),
        "few_forced": ((), forced_zeros(x, settings.width)),
    }
    return results.dataset(
        "finding",
        {k: (dims, values, {"long_name": words[k]}) for k, (dims, values) in found.items()},
        {"epoch": ("epoch", list(settings.epochs), {"long_name": "epochs of training"})},
    )


def _spectrum(operator: Operator) -> np.ndarray:
    spectrum: np.ndarray = torch.linalg.eigvalsh(operator.dense()).numpy()
    return spectrum


def forced_zeros(x: Tensor, width: int) -> int:
    """Eigenvalues, at least, that are zero whatever the weights of one hidden layer.

    The larger of two counts. Of the parameters, those that change nothing: combinations of input
    weights and bias that no example sees, for each of the `width` hidden units, and the shift of
    all outputs at once that cross-entropy does not see, for each hidden unit and the bias. And
    what the Gauss-Newton matrix lacks in rank, which is at most ``len(x) * (CLASSES - 1)``.

    >>> forced_zeros(torch.eye(64)[:50], width=2)  # 2 (65 - 50) + 3
    33
    """
    seen = torch.cat([x.double(), torch.ones(len(x), 1, dtype=torch.float64)], dim=1)
    unseen = seen.shape[1] - int(torch.linalg.matrix_rank(seen))
    parameters = width * seen.shape[1] + (width + 1) * CLASSES
    return max(width * unseen + width + 1, parameters - len(x) * (CLASSES - 1))


def near_zero(eigenvalue: xr.DataArray, forced: xr.DataArray | int = 0) -> xr.DataArray:
    """Share of eigenvalues within 1e-2 of the largest from zero, leaving out `forced` zeros."""
    near: xr.DataArray = abs(eigenvalue) < NEAR_ZERO * eigenvalue.max("index")
    share: xr.DataArray = (near.sum("index") - forced) / (eigenvalue.sizes["index"] - forced)
    return share


def negative(eigenvalue: xr.DataArray) -> xr.DataArray:
    """Share of eigenvalues below zero by more than 1e-3 of the largest."""
    share: xr.DataArray = (eigenvalue < -NEGATIVE * eigenvalue.max("index")).mean("index")
    return share


def large(eigenvalue: xr.DataArray) -> xr.DataArray:
    """Number of eigenvalues above a tenth of the largest."""
    count: xr.DataArray = (eigenvalue > LARGE * eigenvalue.max("index")).sum("index")
    return count


def judge(measured: xr.Dataset) -> Verdict:
    """The last moment of training, with the first as control."""
    last = _judged(measured.isel(epoch=-1))
    worst = float(np.max(measured.loss.isel(epoch=-1).values))
    if not worst <= SOLVED:
        said = f"{last.explanation} But a training loss is still {worst:.3g}: no solution yet."
        last = replace(last, outcome=INCONCLUSIVE, explanation=said)
    return controlled(last, negative=_judged(measured.isel(epoch=0)))


def _judged(moment: xr.Dataset) -> Verdict:
    bulk = mean_interval(near_zero(moment.eigenvalue, moment.forced).values)
    below = mean_interval(negative(moment.eigenvalue).values)
    above = mean_interval(large(moment.eigenvalue).values)
    outcome = all_of(
        at_least(bulk, minimum=LEAST_BULK, null=LEAST_BULK),
        at_most(below, maximum=MOST_NEGATIVE),
        at_most(above, maximum=MOST_LARGE),
    )
    said = (
        f"After {int(moment.epoch)} epochs, of the eigenvalues not forced to zero {bulk.value:.1%} "
        f"[{bulk.low:.1%}, {bulk.high:.1%}] lie near zero; {below.value:.1%} [{below.low:.1%}, "
        f"{below.high:.1%}] of all are negative beyond that, and {above.value:.1f} "
        f"[{above.low:.1f}, {above.high:.1f}] are large, with {CLASSES} classes."
    )
    return concluded(outcome, bulk, seeds=moment.sizes["seed"], explanation=said)


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """All shares at every moment, and how many zeros are forced, also with few examples."""
    found = {}
    for epoch in measured.epoch.values.tolist():
        at = measured.sel(epoch=epoch)
        value, when = at.eigenvalue, f"after {epoch} epochs"
        depth = np.abs(value.min("index")) / value.max("index")
        for words, samples in (
            ("near zero, of those not forced", near_zero(value, at.forced)),
            ("near zero, of all", near_zero(value)),
            ("negative", negative(value)),
        ):
            found[f"share of eigenvalues {words}, {when}"] = mean_interval(samples.values)
        found[f"large eigenvalues, {when}"] = mean_interval(large(value).values)
        found[f"depth of the most negative over the largest, {when}"] = mean_interval(depth.values)
        found[f"training loss, {when}"] = exponential(mean_interval(np.log(at.loss.values)))
    size = measured.sizes["index"]
    few = measured.few_eigenvalue
    found |= {
        "share of eigenvalues forced to zero": mean_interval(measured.forced.values / size),
        "few examples, Gauss-Newton, at the start: share forced to zero": mean_interval(
            measured.few_forced.values / size
        ),
        "the same: share exactly zero": mean_interval(
            (np.abs(few) < EXACT * few.max("index")).mean("index").values
        ),
        "the same: share near zero, of all": mean_interval(near_zero(few).values),
        "the same: share near zero, of those not forced": mean_interval(
            near_zero(few, measured.few_forced).values
        ),
    }
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "The Hessian spectrum of a trained network has a bulk of eigenvalues near zero, a few "
        "large positive ones, and very few negative ones."
    ),
    reference=(
        "Sagun, Bottou, LeCun (2016), arXiv:1611.07476; Ghorbani, Krishnan, Xiao (2019), "
        "arXiv:1901.10159; Papyan (2019), arXiv:1901.08244, for as many outliers as classes. On "
        "what is left of negative curvature: Alain, Le Roux, Manzagol (2019), arXiv:1902.02366"
    ),
    protocol=(
        "Tanh perceptrons of one hidden layer on the digits, trained by SGD without momentum at "
        f"rate {RATE:g} in batches of {BATCH_SIZE}. At the start and after up to 400 epochs, "
        "every eigenvalue of the dense Hessian of the mean cross-entropy, in float64. In shares "
        f"of the largest eigenvalue: near zero is within {NEAR_ZERO:g}, negative is below "
        f"-{NEGATIVE:g}, large is above {LARGE:g}. Weights that no example sees and shifts that "
        "the loss does not see make eigenvalues exactly zero whatever the training, and so does a "
        "Gauss-Newton matrix of rank at most N (K - 1) for N examples and K classes: these forced "
        "zeros are counted from the data and left out of the bulk and of its total. What they do "
        "is shown beside, in a Gauss-Newton matrix of few examples at the start."
    ),
    threshold=(
        f"Reproduced if, at the last moment, the {LEVEL:.0%} t-intervals over seeds of the shares "
        f"near zero and negative and of the number large lie above {LEAST_BULK}, by "
        f"{MOST_NEGATIVE} and by 3 K = {MOST_LARGE:g}. Not reproduced if one of them lies on the "
        "other side. Otherwise inconclusive, as when some training loss at the last moment is "
        f"above {SOLVED:g}."
    ),
    negative_control=(
        "The same networks before training, judged by the same rule: it must not be reproduced."
    ),
    limits=(
        "One hidden layer and 1510 parameters, few enough for every eigenvalue; the bounds of the "
        "shares are conventions. Near zero is relative to the largest eigenvalue: no direction is "
        "said to be flat. The number of large ones is compared with the classes in order of "
        "magnitude only. The N (K - 1) of forced zeros holds for the Gauss-Newton matrix, to which "
        "the Hessian tends as the training loss falls; with the examples used here it forces none."
    ),
    effect="share near zero of the eigenvalues that are not forced to be",
    settings={
        "quick": Settings(),
        "standard": Settings(seeds=5, examples=1000, epochs=(0, 5, 50, 400)),
        "thorough": Settings(seeds=20, width=30, examples=1000, epochs=(0, 5, 50, 400)),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
)
