"""A grid of small networks trained to one loss by many recipes, and how sharp each of them is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from theodolite import datasets, models, results
from theodolite.curvature import eigenpairs, trace
from theodolite.findings.many_recipes import trained_together
from theodolite.findings.matched_training import RISE_AT, loss_rise
from theodolite.findings.networks import cross_entropy
from theodolite.findings.small_photographs import small_photographs
from theodolite.findings.unused_examples import Source
from theodolite.intervals.partial_rank_correlation import kendall_interval
from theodolite.intervals.statistics import LEVEL, Estimate
from theodolite.objective import Objective
from theodolite.operators import hessian
from theodolite.seeds import numpy_generator
from theodolite.sharpness import adaptive_sharpness

DATA: Mapping[str, Source] = {"digits": datasets.digits, "small_photographs": small_photographs}
COPY = 1_000_000
RHO = 0.5
SHUFFLES = 5
MEASURES = {
    "largest_eigenvalue": "largest Hessian eigenvalue",
    "trace": "trace of the Hessian",
    "rise": f"rise of the loss at {RISE_AT:g} along filter-normalized directions",
    "adaptive": f"adaptive sharpness (ASAM), rho = {RHO:g}",
}
FACTORS = ("width", "batch_size", "rate", "decay", "noise")
GIVEN = "given learning rate over batch size and width"
ALIKE = "given learning rate over batch size, at equal width and label noise"
HELD = {
    GIVEN: (("rate_over_batch", "width"), ()),
    ALIKE: (("rate_over_batch",), ("width", "noise")),
}
"""By name: columns of which the partial correlation is taken, and those equal in every pair."""
MEASURED_ON = (
    "ReLU perceptrons of one hidden layer on the digits, one for every combination (cell) of "
    "width, batch size, learning rate, weight decay and share of wrong training labels, trained by "
    "SGD with momentum 0.9 to the same training loss (looked at every 5 steps). Of each: the "
    "largest eigenvalue and the trace of the Hessian, the mean rise of the loss at distance "
    f"{RISE_AT:g} along filter-normalized directions, and adaptive sharpness (ASAM, by element) at "
    f"a relative distance of {RHO:g}, all on the training set with the labels it was trained on."
)
Errors = Callable[[nn.Module], Mapping[str, float]]


@dataclass(frozen=True)
class Grid:
    """The recipes of one seed, the training loss at which networks are compared, and how."""

    seeds: int = 3
    widths: tuple[int, ...] = (32, 128)
    batch_sizes: tuple[int, ...] = (10, 50)
    rates: tuple[float, ...] = (0.02, 0.05)
    decays: tuple[float, ...] = (0.0, 1e-4)
    noises: tuple[float, ...] = (0.0, 0.2)
    examples: int = 200
    target: float = 0.02
    steps: int = 6000
    directions: int = 4
    products: int = 32
    data: str = "digits"


def cells(grid: Grid) -> list[tuple[int, int, float, float, float]]:
    """Every combination, in the order of `FACTORS`."""
    return list(product(grid.widths, grid.batch_sizes, grid.rates, grid.decays, grid.noises))


def measured(grid: Grid, seed: int, errors: Errors, words: Mapping[str, str]) -> xr.Dataset:
    """Sharpness of every network of one seed, and what `errors` says of it, by cell.

    ``words`` names what `errors` returns. NaN for a network that did not get to the loss.
    """
    named = {**MEASURES, **words, "loss": "training loss", "reached": "1 where it was reached"}
    rows = []
    for network, data, loss, reached in trained(grid, seed):
        row = dict.fromkeys(named, float("nan")) | {"loss": loss, "reached": float(reached)}
        if reached:
            objective = cross_entropy(network, data)
            row |= sharpness(grid, objective, seed) | dict(errors(network))
        rows.append(row)
    chosen = dict(zip(FACTORS, zip(*cells(grid), strict=True), strict=True))
    over = np.divide(chosen["rate"], chosen["batch_size"])
    return results.dataset(
        "finding",
        {k: (("cell",), [row[k] for row in rows], {"long_name": v}) for k, v in named.items()},
        {"cell": range(len(rows)), "rate_over_batch": ("cell", over)}
        | {k: ("cell", list(v)) for k, v in chosen.items()},
    )


def trained(
    grid: Grid, seed: int, *, copy: int = 0
) -> list[tuple[nn.Module, tuple[Tensor, Tensor], float, bool]]:
    """Network and data in float64, loss, and whether it was reached, in the order of `cells`.

    Another ``copy`` has the same data, another initialization and another order.
    """
    source = DATA[grid.data]
    splits = [
        source(seed=seed, limit=grid.examples, label_noise=share, flatten=True)
        for share in grid.noises
    ]
    x, labels = splits[0].train[0], torch.stack([split.train[1] for split in splits])
    recipes = list(product(grid.rates, grid.decays, range(len(grid.noises))))
    found = []
    for width, batch_size in product(grid.widths, grid.batch_sizes):
        ends = trained_together(
            x,
            labels[[noise for _, _, noise in recipes]],
            width=width,
            rates=[rate for rate, _, _ in recipes],
            decays=[decay for _, decay, _ in recipes],
            batch_size=batch_size,
            target=grid.target,
            epochs=math.ceil(grid.steps * batch_size / grid.examples),
            seed=seed + COPY * copy,
        )
        for k, (_, _, noise) in enumerate(recipes):
            network = perceptron([w[k] for w in ends.weights])
            data = (x.double(), labels[noise])
            found.append((network, data, float(ends.loss[k]), bool(ends.reached[k])))
    return found


def perceptron(weights: list[Tensor]) -> nn.Module:
    """The network of one hidden layer that has these weights, in float64.

    >>> w = [torch.eye(2), torch.zeros(1, 2), torch.tensor([[1.0], [-1.0]]), torch.ones(1, 1)]
    >>> perceptron(w)(torch.tensor([[3.0, 1.0]]).double()).item()
    3.0
    """
    first, bias, second, last = weights
    network = models.mlp((first.shape[0], first.shape[1], second.shape[1])).double()
    with torch.no_grad():
        for p, w in zip(network.parameters(), (first.T, bias[0], second.T, last[0]), strict=True):
            p.copy_(w)
    return network


def sharpness(grid: Grid, objective: Objective, seed: int) -> dict[str, float]:
    """The four measures of one network."""
    curved = hessian(objective)
    top = eigenpairs(curved, count=1, tolerance=1e-2, seed=seed).eigenvalue[0]
    total = trace(objective, method="hutchinson", max_products=grid.products, seed=seed).trace
    adaptive = adaptive_sharpness(objective, rho=RHO, steps=10, seed=seed).adaptive_sharpness[0]
    return {
        "largest_eigenvalue": float(top),
        "trace": float(total),
        "rise": loss_rise(objective, directions=grid.directions, seed=seed),
        "adaptive": float(adaptive),
    }


def partial_tau(
    measured: xr.Dataset, x: np.ndarray, y: np.ndarray, held: str, *, level: float = LEVEL
) -> Estimate:
    """Kendall's tau of two columns ``(seed, cell)`` with one of `HELD` fixed."""
    given, alike = ([_repeated(measured, name, len(x)) for name in names] for names in HELD[held])
    return kendall_interval(x, y, given, alike=alike, level=level)


def _repeated(measured: xr.Dataset, name: str, rows: int) -> np.ndarray:
    """A coordinate of the cells, the same in every row."""
    return np.tile(np.asarray(measured[name].values, dtype=float), (rows, 1))


def column(measured: xr.Dataset, name: str) -> np.ndarray:
    """One variable as ``(seed, cell)``."""
    values: np.ndarray = measured[name].transpose("seed", "cell").values
    return values


def repeated(values: np.ndarray) -> np.ndarray:
    """The rows of `values`, `SHUFFLES` times."""
    return np.tile(values, (SHUFFLES, 1))


def exchanged(values: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """The values of each seed exchanged among its cells, `SHUFFLES` times: no association is left.

    Missing ones keep their place. One shuffle says little: compare with columns repeated as often.
    """
    generator, made = numpy_generator(seed, "exchanged"), repeated(values)
    for row in made:
        known = np.isfinite(row)
        row[known] = generator.permutation(row[known])
    return made
