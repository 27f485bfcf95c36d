"""Claim: the identity in a residual block keeps the gradient at least 1 in magnitude."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from theodolite import results
from theodolite.findings import residual_blocks as blocks
from theodolite.findings.finding import Finding
from theodolite.findings.verdict import (
    INCONCLUSIVE,
    NOT_REPRODUCED,
    REPRODUCED,
    Verdict,
    at_most,
    concluded,
    controlled,
)
from theodolite.intervals.statistics import (
    LEVEL,
    Estimate,
    exponential,
    mean_interval,
    proportion_interval,
)

ROUNDING = 1e-9
SURE = 0.95
NEAR = 1.1
DEPTH = 10
SMALL, LARGE = 0.01, 1.0
ENDS = ("smallest", "largest")


@dataclass(frozen=True)
class Settings:
    """Random blocks, and the residual network looked at beside them."""

    seeds: int = 5
    draws: int = 20
    size: int = 32
    width: int = 4
    examples: int = 200
    epochs: int = 3


def measure(settings: Settings, seed: int) -> xr.Dataset:
    """Smallest and largest singular values of the Jacobians of x + F(x)."""
    planned = [blocks.ends(blocks.jacobian(f, x)) for f, x in blocks.counterexamples(seed)]
    anything = [blocks.random_gains(settings.size, seed, i) for i in range(settings.draws)]
    monotone = [
        blocks.random_gains(settings.size, seed, i, monotone=True) for i in range(settings.draws)
    ]
    chains = [blocks.chain_gains(settings.size, DEPTH, s, seed) for s in (SMALL, LARGE)]
    real = blocks.network_gains(
        width=settings.width, examples=settings.examples, epochs=settings.epochs, seed=seed
    )
    words = "singular values of the Jacobian of x + F(x)"
    return results.dataset(
        "finding",
        {
            "gain": (("case", "end"), planned, {"long_name": words}),
            "random_gain": (("draw", "end"), anything, {"long_name": f"{words}, F random"}),
            "monotone_gain": (("draw", "end"), monotone, {"long_name": f"{words}, F monotone"}),
            "chain_gain": (("norm", "end"), chains, {"long_name": f"{words}, {DEPTH} blocks"}),
            "network_gain": (("scale", "end"), real, {"long_name": f"{words}, a trained ResNet's"}),
        },
        {
            "case": list(blocks.CASES),
            "end": list(ENDS),
            "norm": ("norm", [SMALL, LARGE], {"long_name": "spectral norm of each block's dF/dx"}),
            "scale": ("scale", list(blocks.SCALES), {"long_name": "factor of F"}),
        },
    )


def judge(measured: xr.Dataset) -> Verdict:
    """Random and trained F against "at least 1", with F = -x and monotone F as controls."""
    zero = measured.gain.sel(case="F = -x")
    network = measured.network_gain.sel(scale=1.0)
    return controlled(
        _at_least_one(measured, measured.random_gain, "random F", network),
        negative=_at_least_one(measured, zero, "F = -x"),
        positive=_at_least_one(measured, measured.monotone_gain, "monotone F"),
        corrected=controlled(_near_one(measured, SMALL), negative=_near_one(measured, LARGE)),
    )


def _at_least_one(
    measured: xr.Dataset, gains: xr.DataArray, which: str, network: xr.DataArray | None = None
) -> Verdict:
    smallest = gains.sel(end="smallest").values.reshape(-1)
    kept = int((smallest >= 1 - ROUNDING).sum())
    share = proportion_interval(kept, len(smallest))
    outcome = INCONCLUSIVE
    if share.high < 1:
        outcome = NOT_REPRODUCED
    elif share.low >= SURE:
        outcome = REPRODUCED
    said = (
        f"For {which}, the gradient is at least 1 in every direction in {kept} of {len(smallest)} "
        f"blocks (share {share.value:.3g} [{share.low:.3g}, {share.high:.3g}]); the smallest gain "
        f"met is {smallest.min():.3g}."
    )
    if network is not None:
        trained = network.sel(end="smallest").values
        said += (
            f" In {int((trained >= 1 - ROUNDING).sum())} of {len(trained)} trained ResNet blocks; "
            f"there the smallest is {trained.min():.3g}."
        )
    return concluded(outcome, share, seeds=measured.sizes["seed"], explanation=said)


def _near_one(measured: xr.Dataset, norm: float) -> Verdict:
    """Whether the singular values of a chain of blocks stay within a tenth of 1."""
    gains = measured.chain_gain.sel(norm=norm)
    farthest = np.abs(np.log(np.maximum(gains, np.finfo(np.float64).tiny))).max("end")
    factor = exponential(mean_interval(farthest.values))
    low, high = float(gains.sel(end="smallest").min()), float(gains.sel(end="largest").max())
    bound = (1 - norm) ** DEPTH, (1 + norm) ** DEPTH
    outcome = at_most(factor, maximum=NEAR)
    said = (
        f"Over {DEPTH} blocks with dF/dx of norm {norm:g}, singular values lie between "
        f"{low:.4g} and {high:.4g}: within a factor {factor.value:.4g} of 1 on average "
        f"[{factor.low:.4g}, {factor.high:.4g}]."
    )
    if low < bound[0] - ROUNDING or high > bound[1] + ROUNDING:
        outcome = NOT_REPRODUCED
        said += f" That leaves the bounds {bound[0]:.4g} and {bound[1]:.4g}, which cannot be."
    return concluded(outcome, factor, seeds=measured.sizes["seed"], explanation=said)


def estimates(measured: xr.Dataset) -> Mapping[str, Estimate]:
    """Both ends of the singular values, for every kind of block."""
    found: dict[str, Estimate] = {}
    for end in ENDS:
        for case in blocks.CASES:
            found[f"{case}: {end} gain"] = _mean(measured.gain.sel(case=case, end=end))
        random = measured.random_gain.sel(end=end).mean("draw")
        found[f"random two-layer F: {end} gain"] = _mean(random)
        for scale in blocks.SCALES:
            label = f"trained ResNet block, F times {scale:g}: {end} gain"
            found[label] = _mean(measured.network_gain.sel(scale=scale, end=end))
        for norm in (SMALL, LARGE):
            label = f"{DEPTH} blocks with dF/dx of norm {norm:g}: {end} gain"
            found[label] = _mean(measured.chain_gain.sel(norm=norm, end=end))
    return found


def _mean(samples: xr.DataArray) -> Estimate:
    """The geometric mean of gains, or the plain one where a gain is zero."""
    if float(samples.min()) <= 0:
        return mean_interval(samples.values)
    return exponential(mean_interval(np.log(samples.values)))


FINDING = Finding(
    name=__name__.rpartition(".")[2],
    claim=(
        "In a residual block y = x + F(x), the identity ensures that the gradient is at least 1 "
        "in magnitude."
    ),
    reference=(
        'The article "Optimization Landscape of Neural Networks: Why Deep Learning Works". '
        "Against it, by arithmetic: F = -x/2 and F = -x"
    ),
    protocol=(
        "The Jacobian of x + F(x) by automatic differentiation, in float64; its smallest singular "
        "value is the least by which a gradient can be multiplied on its way back. F is -x/2, -x, "
        "a Gaussian matrix (64 by 64, variance 1/64), random two-layer tanh networks of random "
        "scale at random points, and the branch of a block of a small ResNet trained on the "
        "digits, at one of its test images."
    ),
    threshold=(
        "The share of random F with which the smallest gain is at least 1 (less "
        f"{ROUNDING:g} for rounding), with its exact binomial interval. Reproduced if every one is "
        f"such, of so many that the interval begins above {SURE}. Not reproduced if the interval "
        "ends below 1, for which one counterexample is enough. Otherwise inconclusive."
    ),
    negative_control="F = -x, whose gradient is zero, judged by the same rule: it must fail.",
    positive_control=(
        "Monotone F (gradient of a convex function), for which the claim is true: it must be "
        "reproduced by the same rule."
    ),
    corrected=(
        "The singular values of the product of (I + dF/dx) over a chain of blocks stay near 1 if "
        "every dF/dx has a norm much smaller than 1: between (1 - e)^L and (1 + e)^L for L blocks "
        f"of norm e. Judged for L = {DEPTH}, e = {SMALL:g}: within a factor {NEAR} of 1 at "
        f"{LEVEL:.0%}. Its negative control is e = {LARGE:g}."
    ),
    limits=(
        "Says what a block can do to a gradient, not what it does on average: the mean gain of a "
        "direction may well be above 1 while the smallest is not. The rectifier after the sum, "
        "which many residual networks have, only makes gains smaller and is left out."
    ),
    effect="share of blocks whose smallest gain is at least 1",
    corrected_effect="factor within which the singular values lie of 1",
    settings={
        "quick": Settings(),
        "standard": Settings(seeds=10, draws=100, width=8, examples=500, epochs=10),
        "thorough": Settings(seeds=20, draws=500, size=64, width=8, examples=1000, epochs=20),
    },
    measure=measure,
    judge=judge,
    estimates=estimates,
    expected=NOT_REPRODUCED,
)
