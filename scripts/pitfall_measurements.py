"""Measure every figure that docs/pitfalls.md quotes and write it there (about 2 minutes).

python scripts/pitfall_figures.py [--only NAME]
"""

from __future__ import annotations

import copy
import math
import platform
import statistics
from collections.abc import Iterable
from importlib.metadata import version

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import theodolite as td
from theodolite import datasets, models, seeds

TRIALS = range(5)
Pair = tuple[Tensor, Tensor]


def trained(
    network: nn.Module, data: Pair, *, seed: int, until: float, batch: int = 32, rate: float = 0.05
) -> nn.Module:
    """`network` after plain SGD, stopped at the first epoch whose training loss is `until`."""
    x, y = data
    generator = seeds.torch_generator(seed, "batches")
    optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9)
    for _ in range(400):
        network.train()
        for chosen in torch.randperm(len(x), generator=generator).split(batch):
            optimizer.zero_grad()
            cross_entropy(network(x[chosen]), y[chosen]).backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            if float(cross_entropy(network(x), y)) <= until:
                return network
    raise SystemExit(f"training loss {until} was not reached")


def classifier(
    seed: int, *, width: int = 32, until: float = 0.1, activation: str = "relu"
) -> tuple[nn.Module, Pair]:
    """A perceptron trained on the digits, in double precision, with its training data."""
    x, y = datasets.digits(seed, flatten=True).train
    data = (x.double(), y)
    torch.manual_seed(seed)
    network = models.mlp((64, width, 10), activation=activation).double()
    return trained(network, data, seed=seed, until=until), data


def objective_of(network: nn.Module, data: Pair, **settings: str) -> td.Objective:
    """Cross-entropy of `network` on `data`."""
    return td.Objective(network, nn.CrossEntropyLoss(), data, **settings)


def rise(objective: td.Objective, at: float, *, normalize: str | None, seed: int = 0) -> float:
    """How much the loss rises at `at` along one random direction, both sides averaged."""
    direction = td.random_directions(objective, count=1, normalize=normalize, seed=seed)[0]
    loss = td.line(objective, direction, span=(-at, at), steps=3).loss.values
    return float((loss[0] + loss[2]) / 2 - loss[1])


def largest_eigenvalue(objective: td.Objective) -> float:
    return float(td.eigenpairs(td.hessian(objective), count=1).eigenvalue.values[0])


def around(values: Iterable[float]) -> str:
    """Mean and standard deviation over the trials, to two digits of the deviation."""
    listed = list(values)
    mean, deviation = statistics.mean(listed), statistics.stdev(listed)
    decimals = max(0, 1 - math.floor(math.log10(deviation)))
    return f"{mean:.{decimals}f} ± {deviation:.{decimals}f}"


def scale() -> str:
    network, data = classifier(0)
    scaled = copy.deepcopy(network)
    linear = [m for m in scaled if isinstance(m, nn.Linear)]
    with torch.no_grad():
        linear[0].weight.mul_(10), linear[0].bias.mul_(10), linear[1].weight.div_(10)
        outputs = float((scaled(data[0]) - network(data[0])).abs().max())
    a, b = objective_of(network, data), objective_of(scaled, data)
    raw = rise(b, 1e-2, normalize=None) / rise(a, 1e-2, normalize=None)
    filtered = abs(rise(b, 0.5, normalize="filter") / rise(a, 0.5, normalize="filter") - 1)
    eigenvalue = largest_eigenvalue(b) / largest_eigenvalue(a)
    return (
        f"A perceptron on the digits with `c = 10`: outputs differ by at most {outputs:.0e}. "
        f"Largest Hessian eigenvalue: {eigenvalue:.3g} times larger. Rise of the loss along an "
        f"unscaled random direction (step 0.01 per weight): {raw:.3g} times larger. Along a "
        f"filter-normalized one: the same within {max(filtered, 1e-15):.0e}."
    )


def width() -> str:
    rows = [
        "| width | largest eigenvalue | filter-normalized rise at `alpha = 0.5` |",
        "|---|---|---|",
    ]
    for units in (8, 32, 128, 512):
        eigenvalues, rises = [], []
        for seed in range(3):
            objective = objective_of(*classifier(seed, width=units, until=0.05))
            eigenvalues.append(largest_eigenvalue(objective))
            rises += [rise(objective, 0.5, normalize="filter", seed=s) for s in range(4)]
        rows.append(f"| {units} | {around(eigenvalues)} | {around(rises)} |")
    note = "Digits, one hidden layer, training stopped at loss 0.05, 3 seeds (4 directions each):"
    return "\n".join([note, "", *rows])


def batchnorm() -> str:
    x, y = datasets.digits(0, limit=500).train
    torch.manual_seed(0)
    network = trained(models.resnet(8, width=8, stem_stride=1), (x, y), seed=0, until=0.05)
    rows = ["| `alpha` | frozen | recompute |", "|---|---|---|"]
    lines = []
    for policy in ("frozen", "recompute"):
        objective = objective_of(network, (x, y), batch_norm=policy)
        direction = td.random_directions(objective, count=1, seed=1)[0]
        lines.append(td.line(objective, direction, span=(-1, 1), steps=5))
    for i, alpha in enumerate(lines[0].alpha.values):
        rows.append(
            f"| {alpha:g} | {lines[0].loss.values[i]:.3g} | {lines[1].loss.values[i]:.3g} |"
        )
    note = "Training loss of a residual network (8 layers, BatchNorm, digits) along one direction:"
    return "\n".join([note, "", *rows])


def precision() -> str:
    network, _ = classifier(0)
    theta = torch.cat([p.detach().reshape(-1) for p in network.parameters()]).float()
    unmoved = {}
    for dtype in (torch.bfloat16, torch.float16):
        stored = theta.to(dtype)
        step = torch.randn(len(theta), generator=seeds.torch_generator(0, "step")) * 1e-3
        unmoved[dtype] = float((stored + step.to(dtype) == stored).float().mean())
    return (
        f"Of the {len(theta):,} weights of a trained perceptron, a random step of 0.001 a weight "
        f"leaves {unmoved[torch.bfloat16]:.0%} unchanged in bfloat16 and "
        f"{unmoved[torch.float16]:.0%} in float16."
    )


def reduction() -> str:
    network, (x, y) = classifier(0)
    x, y = x[:64], y[:64]
    parameters = list(network.parameters())

    def flat_gradient(loss: Tensor) -> Tensor:
        return torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, parameters)])

    parts = [(x[:62], y[:62]), (x[62:], y[62:])]
    wrong = sum(flat_gradient(cross_entropy(network(a), b)) for a, b in parts) / 2
    right = flat_gradient(cross_entropy(network(x), y))
    error = float((wrong - right).norm() / right.norm())
    return (
        "64 examples in batches of 62 and 2: the mean of the two batch gradients is off by "
        f"{error:.0%} of the gradient's norm."
    )


def one_plane() -> str:
    spreads = []
    for seed in TRIALS:
        objective = objective_of(*classifier(seed))
        rises = [rise(objective, 0.25, normalize="filter", seed=s) for s in range(12)]
        spreads.append(statistics.stdev(rises) / statistics.mean(rises))
    return (
        "Rise of the loss at `alpha = 0.25` over 12 filter-normalized directions of one trained "
        f"perceptron: standard deviation {around(spreads)} of the mean (5 networks)."
    )


def trace() -> str:
    ratios, below = [], []
    for seed in TRIALS:
        objective = objective_of(*classifier(seed))
        hessian = td.hessian(objective)
        eigenvalues = torch.linalg.eigvalsh(hessian.dense())
        ratios.append(float(eigenvalues[-1] / eigenvalues.mean()))
        below.append(float((eigenvalues < -1e-3 * eigenvalues[-1]).double().mean()))
    return (
        f"A trained perceptron with {hessian.size:,} parameters, all eigenvalues: the largest is "
        f"{around(ratios)} times the mean, which is what a random slice shows; "
        f"{statistics.mean(below):.1%} lie below -0.001 of the largest (5 networks)."
    )


def subsample() -> str:
    ratios = []
    for seed in TRIALS:
        network, (x, y) = classifier(seed)
        whole = objective_of(network, (x, y))
        direction = td.random_directions(whole, count=1, seed=seed)[0]
        alphas = torch.linspace(-0.5, 0.5, 41, dtype=torch.float64)
        losses = torch.stack([whole.losses(whole.start + a * direction) for a in alphas])
        generator = seeds.torch_generator(seed, "subset")
        shared = torch.randperm(len(x), generator=generator)[:128]
        fresh = [torch.randperm(len(x), generator=generator)[:128] for _ in alphas]
        curves = (
            losses[:, shared].mean(1),
            torch.stack([r[f].mean() for r, f in zip(losses, fresh, strict=True)]),
        )
        rough = [float(torch.diff(c, n=2).abs().mean()) for c in curves]
        ratios.append(rough[1] / rough[0])
    return (
        "128 of 1,077 digits, a line of 41 points: the mean second difference with a fresh subset "
        f"a point is {around(ratios)} times that with one shared subset (5 networks)."
    )


def loss_level() -> str:
    rows = ["| stopped at training loss | largest eigenvalue | trace / P |", "|---|---|---|"]
    for until in (0.3, 0.1, 0.03, 0.01, 0.003, 0.001):
        largest, mean = [], []
        for seed in range(3):
            objective = objective_of(*classifier(seed, until=until))
            eigenvalues = torch.linalg.eigvalsh(td.hessian(objective).dense())
            largest.append(float(eigenvalues[-1]))
            mean.append(float(eigenvalues.mean()))
        rows.append(f"| {until:g} | {around(largest)} | {around(mean)} |")
    return "\n".join(["The same perceptron and recipe on the digits, 3 seeds:", "", *rows])


def eigenvalue_count() -> str:
    hessian = td.hessian(objective_of(*classifier(0)))
    exact = torch.linalg.eigvalsh(hessian.dense()).numpy()
    density = td.spectral_density(hessian)
    rows = ["| below | all eigenvalues | density, by probe |", "|---|---|---|"]
    for share in (0, 1e-6, 1e-4, 1e-3):
        bound = -share * exact[-1]
        masses = density.weight.where(density.node < bound, 0).sum("step").values
        listed = ", ".join(f"{mass:.1%}" for mass in masses)
        rows.append(f"| {-share:g} of the largest | {(exact < bound).mean():.1%} | {listed} |")
    return "\n".join(
        [f"A ReLU perceptron, {hessian.size:,} parameters, double precision:", "", *rows]
    )


def kinks() -> str:
    slopes = {}
    for activation in ("tanh", "relu"):
        found = []
        for seed in TRIALS:
            objective = objective_of(*classifier(seed, activation=activation))
            found.append(taylor_slope(objective, seed))
        slopes[activation] = around(found)
    return (
        "Slope of the second-order expansion's error against the step, between 0.01 and 0.1 of "
        f"every filter (3 for a smooth function): tanh {slopes['tanh']}, ReLU {slopes['relu']} "
        "(5 networks)."
    )


def taylor_slope(objective: td.Objective, seed: int) -> float:
    """Log-log slope of |loss - second-order expansion| along a filter-normalized direction."""
    d = td.random_directions(objective, count=1, seed=seed)[0]
    start, gradient = float(objective.value()), objective.gradient()
    linear, quadratic = float(gradient @ d), float(d @ td.hessian(objective).matvec(d))
    steps = np.geomspace(0.01, 0.1, 12)
    errors = [
        abs(
            float(objective.value(objective.start + e * d))
            - start
            - e * linear
            - e * e * quadratic / 2
        )
        for e in steps
    ]
    return float(np.polyfit(np.log(steps), np.log(errors), 1)[0])


def random_walk() -> str:
    shares = []
    for seed in TRIALS:
        steps = seeds.numpy_generator(seed, "walk").standard_normal((300, 5000))
        path = steps.cumsum(0)
        variances = np.linalg.svd(path - path.mean(0), compute_uv=False) ** 2
        shares.append(float(variances[:2].sum() / variances.sum()))
    return (
        "300 independent steps in 5,000 dimensions: the leading two components hold "
        f"{statistics.mean(shares):.1%} of the variance (5 walks, standard deviation "
        f"{statistics.stdev(shares):.1%}; the limit is 15/(2 pi^2) = 76.0 %)."
    )


def conditions() -> str:
    packages = ", ".join(f"{p} {version(p)}" for p in ("torch", "numpy", "scipy", "theodolite"))
    return (
        f"`python scripts/pitfall_figures.py` on {platform.machine()} {platform.system()}, one "
        f"thread, Python {platform.python_version()}, {packages}. Seeds 0 to 4 where it says "
        "5 networks or walks, else seed 0. `a ± b` is the mean and the standard deviation over "
        "the trials."
    )
