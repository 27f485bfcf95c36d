"""Claim: a critical point of a random function is a minimum with probability 2^-n."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
import xarray as xr
from scipy import stats

from theodolite import results
from theodolite.findings.finding import Finding
from theodolite.findings.networks import cross_entropy, trained_perceptron
from theodolite.findings.random_matrices import EXACT, positive_definite_count
from theodolite.findings.verdict import (
    NOT_REPRODUCED,
    Verdict,
    all_of,
    at_least,
    concluded,
    controlled,
    within,
)
from theodolite.intervals.statistics import (
    LEVEL,
    Estimate,
    mean_interval,
    proportion_interval,
    simultaneous,
)
from theodolite.operators import hessian
from theodolite.seeds import numpy_generator

SIZES = (2, 3, 4, 5, 6)
RATIO = (0.9, 1.1)
EXACT_RATIO = (0.95, 1.05)
GAUSSIAN, INDEPENDENT, ONE_COIN = "GOE", "independent signs", "one coin"
MOMENTS = ("start", "trained")
ZERO = 1e-3


@dataclass(frozen=True)
class Settings:
    """Matrices of each size and ensemble, and the networks looked at beside them."""

    seeds: int = 5
    draws: int = 200_000
    sizes: tuple[int, ...] = (64, 4, 10)
    examples: int = 200
    epochs: int = 30


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """Counts of positive definite matrices, and the Hessian's eigenvalues of one network."""
    counts = [
        [_gaussian(settings, n, 1.0, seed) for n in SIZES],
        [_gaussian(settings, n, 0.0, seed) for n in SIZES],
        [_one_coin(settings, n, seed) for n in SIZES],
    ]
    spectra = [_spectrum(settings, epochs, seed) for epochs in (0, settings.epochs)]
    words = {"long_name": "matrices with only positive eigenvalues"}
    return results.dataset(
        "finding",
        {
            "minima": (("ensemble", "size"), counts, words),
            "draws": ((), settings.draws, {"long_name": "matrices drawn of each size"}),
            "eigenvalue": (("moment", "index"), spectra, {"long_name": "Hessian eigenvalue"}),
        },
        {
            "ensemble": [GAUSSIAN, INDEPENDENT, ONE_COIN],
            "size": ("size", list(SIZES), {"long_name": "number of eigenvalues n"}),
            "moment": list(MOMENTS),
        },
    )


def _gaussian(settings: Settings, size: int, coupling: float, seed: int) -> int:
    generator = numpy_generator(seed, "matrices", size, f"coupling {coupling:g}")
    return positive_definite_count(size, settings.draws, coupling=coupling, generator=generator)


def _one_coin(settings: Settings, size: int, seed: int) -> int:
    """One toss decides the sign of all eigenvalues at once: as dependent as they can be."""
    return int(numpy_generator(seed, "coin", size).binomial(settings.draws, 0.5))


def _spectrum(settings: Settings, epochs: int, seed: int) -> np.ndarray:
    network, data = trained_perceptron(
        settings.sizes,
        activation="tanh",
        examples=settings.examples,
        epochs=epochs,
        seed=seed,
    )
    spectrum: np.ndarray = torch.linalg.eigvalsh(
        hessian(cross_entropy(network, data)).dense()
    ).numpy()
    return spectrum


def probabilities(measured: xr.Dataset, ensemble: str) -> dict[int, Estimate]:
    """Share of minima by size, pooled over seeds, with exact intervals that hold together."""
    counts = measured.minima.sel(ensemble=ensemble).sum("seed")
    draws = int(measured.draws.sum())
    level = simultaneous(LEVEL, len(SIZES))
    return {n: proportion_interval(int(counts.sel(size=n)), draws, level=level) for n in SIZES}


def judge(measured: xr.Dataset) -> Verdict:
    """GOE matrices against 2^-n, with independent and fully dependent signs as controls."""
    return controlled(
        _halving(measured, GAUSSIAN),
        negative=_halving(measured, ONE_COIN),
        positive=_halving(measured, INDEPENDENT),
        corrected=controlled(_faster(measured, GAUSSIAN), negative=_faster(measured, INDEPENDENT)),
    )


def _halving(measured: xr.Dataset, ensemble: str) -> Verdict:
    """Whether the probability is 2^-n at every size, within the margin."""
    ratios = {n: scaled(p, 2.0**n) for n, p in probabilities(measured, ensemble).items()}
    outcomes = {n: within(r, *RATIO) for n, r in ratios.items()}
    failed = [n for n in SIZES if outcomes[n] == NOT_REPRODUCED]
    shown = failed[0] if failed else max(SIZES, key=lambda n: abs(ratios[n].value - 1))
    ratio = ratios[shown]
    deviation = (ratio.value - 1) / np.sqrt((2.0**shown - 1) / ratio.count)
    said = (
        f"For {ensemble}, the probability of a minimum at n = {shown} is {ratio.value:.4g} times "
        f"2^-n [{ratio.low:.4g}, {ratio.high:.4g}], {deviation:+.1f} standard deviations from it."
    )
    if shown != SIZES[-1]:
        said += f" At n = {SIZES[-1]}, it is {ratios[SIZES[-1]].value:.3g} times 2^-n."
    return concluded(
        all_of(*outcomes.values()), ratio, seeds=measured.sizes["seed"], explanation=said
    )


def _faster(measured: xr.Dataset, ensemble: str) -> Verdict:
    """Whether sizes 2 and 3 have the exact probabilities of the GOE and the decay quickens."""
    share = probabilities(measured, ensemble)
    exact = {n: scaled(share[n], 1 / EXACT[n]) for n in (2, 3)}
    quickening = _difference(_decay(share[4], share[5]), _decay(share[2], share[3]))
    steady = at_least(quickening, minimum=0.0)
    outcome = all_of(steady, *(within(r, *EXACT_RATIO) for r in exact.values()))
    said = (
        f"For {ensemble}, the probability is {exact[2].value:.4g} times (2 - sqrt 2) / 4 at n = 2 "
        f"and {exact[3].value:.4g} times (pi - 2 sqrt 2) / (4 pi) at n = 3; its logarithm falls by "
        f"{quickening.value:.3g} [{quickening.low:.3g}, {quickening.high:.3g}] more from n = 4 to "
        "5 than from 2 to 3."
    )
    return concluded(outcome, quickening, seeds=measured.sizes["seed"], explanation=said)


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """`estimate` in other units.

    >>> scaled(Estimate(0.25, 0.2, 0.3, 0.95, 10, ""), 4.0).value
    1.0
    """
    value, low, high = (v * factor for v in (estimate.value, estimate.low, estimate.high))
    return replace(estimate, value=value, low=low, high=high)


def _decay(larger: Estimate, smaller: Estimate) -> Estimate:
    """How far the logarithm falls between two shares, by the worst ends of their intervals."""
    with np.errstate(divide="ignore", invalid="ignore"):
        low, value, high = np.log(
            [larger.low / smaller.high, np.divide(larger.value, smaller.value), np.inf]
        )
        if smaller.low > 0:
            high = np.log(larger.high / smaller.low)
    return replace(larger, value=float(value), low=float(low), high=float(high))


def _difference(a: Estimate, b: Estimate) -> Estimate:
    # Four of the simultaneous intervals enter: together they hold at LEVEL or above.
    low, high = a.low - b.high, a.high - b.low
    return replace(a, value=a.value - b.value, low=low, high=high, level=LEVEL)


def quadratic_decay(measured: xr.Dataset, ensemble: str, size: int) -> Estimate:
    r"""Half the second difference of :math:`-\ln P` at a size: the a of :math:`P = e^{-a n^2}`.

    Independent signs have 0, the GOE :math:`\ln 3 / 4 \approx 0.2747` for large n (Dean, Majumdar
    2006). Interval by the delta method; unknown where no minimum was drawn.
    """
    counts = measured.minima.sel(ensemble=ensemble).sum("seed")
    draws = int(measured.draws.sum())
    share = np.array([float(counts.sel(size=n)) for n in (size - 1, size, size + 1)]) / draws
    if not share.all():
        return Estimate(np.nan, -np.inf, np.inf, LEVEL, draws, "none")
    weights = np.array([-0.5, 1.0, -0.5])
    error = np.sqrt((weights**2 * (1 - share) / (share * draws)).sum())
    value = float((weights * np.log(share)).sum())
    half = float(stats.norm.ppf((1 + LEVEL) / 2) * error)
    return Estimate(value, value - half, value + half, LEVEL, draws, "delta method")


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Probabilities by ensemble and size, and how trained networks' eigenvalues fall."""
    found = {}
    for ensemble in (INDEPENDENT, GAUSSIAN):
        for n, share in probabilities(measured, ensemble).items():
            found[f"probability of a minimum, {ensemble}, n = {n} (2^-n = {2.0**-n:.4g})"] = share
        for n in SIZES[1:-1]:
            label = f"a in P = exp(-a n^2), {ensemble}, around n = {n} (ln 3 / 4 = 0.2747)"
            found[label] = quadratic_decay(measured, ensemble, n)
    for moment in MOMENTS:
        spectrum = measured.eigenvalue.sel(moment=moment)
        beyond = np.abs(spectrum) > ZERO * np.abs(spectrum).max("index")
        negative = ((spectrum < 0) & beyond).sum("index") / beyond.sum("index")
        words = f"a network's Hessian, {moment}: share"
        found[f"{words} of eigenvalues not near zero"] = mean_interval(beyond.mean("index").values)
        found[f"{words} of those that is negative"] = mean_interval(negative.values)
    return found


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "For a random function in n dimensions, if each eigenvalue is equally likely positive or "
        "negative, the probability of a local minimum is 2^-n."
    ),
    reference=(
        'The article "Optimization Landscape of Neural Networks: Why Deep Learning Works". '
        "Against it: Dean, Majumdar (2006), for the Gaussian orthogonal ensemble"
    ),
    protocol=(
        "Symmetric Gaussian matrices (GOE: each eigenvalue is as likely positive as negative), "
        f"n = {SIZES[0]} to {SIZES[-1]}; the share with only positive eigenvalues, counted by the "
        "pivots of their Cholesky factorization. The same for diagonal matrices, whose eigenvalues "
        "are independent. Beside them, the whole Hessian spectrum of small tanh perceptrons on the "
        "digits at the start and after training, reported and not judged."
    ),
    threshold=(
        f"Reproduced if, at every n, the exact binomial interval of the share lies within "
        f"{RATIO[0]} to {RATIO[1]} times 2^-n. Not reproduced if it lies outside at some n. "
        f"Otherwise inconclusive. Intervals hold for all n together at {LEVEL:.0%}."
    ),
    negative_control=(
        "One coin tossed for the signs of all eigenvalues (probability 1/2 at every n), judged by "
        "the same rule: it must not be reproduced."
    ),
    positive_control=(
        "Independent eigenvalues, judged by the same rule: they must be reproduced, or the rule "
        "could not have accepted anything."
    ),
    corrected=(
        "2^-n holds for independent signs only. For the GOE the probability is (2 - sqrt 2) / 4 at "
        "n = 2 and (pi - 2 sqrt 2) / (4 pi) at n = 3, and it falls faster than c^n for any c, as "
        "exp(-(ln 3 / 4) n^2) to leading order. Judged: both exact values within "
        f"{EXACT_RATIO[0]} to {EXACT_RATIO[1]}, and a decay that quickens with n. Its negative "
        "control is independent signs."
    ),
    limits=(
        "Trained networks are neither ensemble: their Hessian is close to a positive semi-definite "
        "Gauss-Newton matrix, with many eigenvalues near zero and few of the others negative (the "
        "shares are reported). Neither 2^-n nor the GOE's probability says how often training "
        "meets a minimum."
    ),
    effect="probability over 2^-n, at the first n that fails or else the farthest from 1",
    corrected_effect="how much farther log P falls from n = 4 to 5 than from 2 to 3",
    settings={
        "quick": Settings(),
        "standard": Settings(draws=1_000_000, examples=500, epochs=60),
        "thorough": Settings(seeds=10, draws=10_000_000, sizes=(64, 16, 10), epochs=100),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
    expected=NOT_REPRODUCED,
)
