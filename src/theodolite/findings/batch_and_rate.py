"""Networks trained at several batch sizes and learning rates to one loss, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr
from torch import nn

from theodolite import results
from theodolite.datasets import Split
from theodolite.findings.matched_training import RISE_AT, error_share
from theodolite.findings.network_grid import DATA, MEASURES, RHO, Grid, sharpness, trained
from theodolite.findings.networks import cross_entropy
from theodolite.findings.unused_examples import enlarged
from theodolite.intervals.statistics import (
    LEVEL,
    Estimate,
    exponential,
    mean_interval,
    paired_interval,
)

ERRORS = {
    "validation_error": "share of wrong answers on validation data",
    "error": "share of wrong answers on test data",
}
TRAINED = (
    "ReLU perceptrons of one hidden layer on photographs of clothes (14x14, averaged from 28x28), "
    "trained by SGD with momentum 0.9 at a constant rate until the training loss reaches a fixed "
    "value (looked at every 5 steps), because the curvature of the cross-entropy falls with the "
    "loss itself. Networks of one batch size start from initializations of their own."
)
MEASURED = (
    "There, in float64, on the training set: the largest eigenvalue and the trace of the Hessian, "
    f"the mean rise of the loss at distance {RISE_AT:g} along filter-normalized random directions, "
    f"and adaptive sharpness (ASAM, by element) at a relative distance of {RHO:g}."
)
SPARE = (
    "Training images that are not used for training serve as validation and test data, half each, "
    "beside those the data set has."
)


@dataclass(frozen=True)
class Runs:
    """Batch sizes with the rates each is trained at, and the training loss to reach.

    ``copies`` are initializations and orders of the data for every seed, which has one split.
    """

    seeds: int = 3
    rates: tuple[tuple[int, tuple[float, ...]], ...] = ((8, (0.02,)), (200, (0.02,)))
    copies: int = 1
    width: int = 64
    examples: int = 200
    noise: float = 0.0
    target: float = 0.05
    steps: int = 6000
    directions: int = 8
    products: int = 32
    data: str = "small_photographs"


def pairs(runs: Runs) -> list[tuple[int, float]]:
    """Batch size and rate of every run, in the order of the results."""
    return [(batch_size, rate) for batch_size, rates in runs.rates for rate in rates]


def measured(runs: Runs, seed: int, *, curvature: bool = True) -> xr.Dataset:
    """Errors and, with ``curvature``, the measures of `MEASURES` of every run.

    NaN for a network that did not get to the loss.
    """
    split = enlarged(DATA[runs.data], seed=seed, limit=runs.examples, label_noise=runs.noise)
    words = {**(MEASURES if curvature else {}), **ERRORS}
    words |= {"loss": "training loss", "reached": "1 where it was reached"}
    made = {k: np.full((runs.copies, len(pairs(runs))), np.nan) for k in words}
    for copy in range(runs.copies):
        at = 0
        for batch_size, rates in runs.rates:
            grid = _grid(runs, batch_size, rates)
            for network, data, loss, reached in trained(grid, seed, copy=copy):
                found = {"loss": loss, "reached": float(reached)}
                if reached:
                    found |= errors(network, split)
                if reached and curvature:
                    found |= sharpness(grid, cross_entropy(network, data), seed)
                for name, value in found.items():
                    made[name][copy, at] = value
                at += 1
    batches, rates_of = zip(*pairs(runs), strict=True)
    return results.dataset(
        "finding",
        {k: (("copy", "run"), v, {"long_name": words[k]}) for k, v in made.items()},
        {
            "copy": ("copy", range(runs.copies), {"long_name": "initialization"}),
            "run": range(len(batches)),
            "batch_size": ("run", list(batches), {"long_name": "examples a batch"}),
            "rate": ("run", list(rates_of), {"long_name": "learning rate"}),
        },
    )


def _grid(runs: Runs, batch_size: int, rates: tuple[float, ...]) -> Grid:
    return Grid(
        widths=(runs.width,),
        batch_sizes=(batch_size,),
        rates=rates,
        decays=(0.0,),
        noises=(runs.noise,),
        examples=runs.examples,
        target=runs.target,
        steps=runs.steps,
        directions=runs.directions,
        products=runs.products,
        data=runs.data,
    )


def errors(network: nn.Module, split: Split) -> dict[str, float]:
    """Shares of wrong answers on validation and test data, of a network in float64."""
    parts = {"validation_error": split.validation, "error": split.test}
    return {name: error_share(network, (x.double(), y)) for name, (x, y) in parts.items()}


def samples(
    measured: xr.Dataset, name: str, batch_size: int, rate: float, *, copy: int = 0
) -> np.ndarray:
    """One variable of one run, by seed; NaN where it did not get to the loss."""
    run = (measured.batch_size == batch_size) & np.isclose(measured.rate, rate)
    (at,) = np.flatnonzero(run.values)
    values: np.ndarray = measured[name].isel(copy=copy, run=int(at)).values
    return values


def run_estimates(measured: xr.Dataset, batch_size: int, rate: float) -> dict[str, Estimate]:
    """Every measure of one run (geometric means) and its errors (means), over the seeds known."""
    found = {}
    for name, words in {**MEASURES, **ERRORS}.items():
        values = samples(measured, name, batch_size, rate)
        values = values[np.isfinite(values)]
        if len(values):
            many = name in MEASURES
            found[f"{words}, {batch_size} a batch, rate {rate:g}"] = (
                exponential(mean_interval(np.log(values))) if many else mean_interval(values)
            )
    return found


def tuned(measured: xr.Dataset, name: str, batch_size: int, *, copy: int = 0) -> np.ndarray:
    """One variable by seed, at the rate of the lowest validation error of that seed.

    The first of the rates where two tie; NaN where no rate got to the loss.
    """
    of = measured.isel(copy=copy).sel(run=measured.batch_size.values == batch_size)
    validation = of.validation_error.transpose("seed", "run").fillna(np.inf)
    chosen = xr.DataArray(validation.values.argmin(1), dims="seed")
    values: np.ndarray = of[name].transpose("seed", "run").isel(run=chosen).values
    return values


def largest_rate(measured: xr.Dataset, name: str, batch_size: int, *, copy: int = 0) -> np.ndarray:
    """One variable by seed, at the largest rate that got to the loss; NaN where none did."""
    of = measured.isel(copy=copy).sel(run=measured.batch_size.values == batch_size)
    reached = of.rate.where(of.reached > 0, -np.inf).transpose("seed", "run")
    chosen = xr.DataArray(reached.values.argmax(1), dims="seed")
    values: np.ndarray = of[name].transpose("seed", "run").isel(run=chosen).values
    return values


def known_interval(treated: np.ndarray, control: np.ndarray, *, ratio: bool = False) -> Estimate:
    """`paired_interval` over the seeds where both are known; fewer than two say nothing."""
    both = np.isfinite(treated) & np.isfinite(control)
    if both.sum() < 2:
        low = 0.0 if ratio else -np.inf
        return Estimate(np.nan, low, np.inf, LEVEL, int(both.sum()), "none")
    return paired_interval(treated[both], control[both], ratio=ratio)


def each_ratio(
    treated: Mapping[str, np.ndarray], control: Mapping[str, np.ndarray]
) -> dict[str, Estimate]:
    """The ratio of every measure of sharpness, over seeds."""
    return {name: known_interval(treated[name], control[name], ratio=True) for name in MEASURES}
