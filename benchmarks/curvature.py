"""Curvature against PyHessian 0.1, curvlinops 3.0.1 and hessian-eigenthings 1.0.0a5.

python -m benchmarks.curvature [--repeats N] [--networks a,b]

Four networks on random inputs, one thread. Products are timed in turn, in one process, in forward
passes F: ``model(inputs)`` on the same batches under ``torch.no_grad()``; the ratio of each turn
is taken and medians are printed, each with its ratio to the floor of 6 F (4 F for the GGN).
"loader" rows have three batches, the last one short. Ours are timed once the engine is settled, as
in any run of some dozen products, and the engine is named; what recording a linear program costs
is told beside it, in products. Products are compared first: a peer whose product is not the
Hessian's is marked, with the relative difference.

Eigenvalues and traces: ``benchmarks.curvature_solvers``. ``make bench-curvature`` installs the
peers first.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

import theodolite as td
from benchmarks.peers import PEERS, Problem
from theodolite import models

FLOORS = {"Hessian": 6.0, "GGN": 4.0}
OURS = {"Hessian": td.hessian, "GGN": td.ggn}
PRODUCTS, SECONDS = 12, 0.6
"""Products and seconds a batch after which ours have chosen their engine."""


@dataclass(frozen=True)
class Network:
    """How a network is made, and what a batch of its inputs looks like."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    examples: tuple[int, int]


NETWORKS: Mapping[str, Network] = {
    "perceptron": Network(lambda: models.mlp((784, 128, 128, 10)), (784,), (256, 1024)),
    "convolutional": Network(models.cnn, (1, 28, 28), (64, 256)),
    "residual": Network(lambda: models.resnet(8), (1, 28, 28), (32, 128)),
    "transformer": Network(lambda: models.transformer(64), (64,), (128, 512)),
}


def problem_of(network: Network, examples: int, *, loader: bool) -> Problem:
    """The network with random data, in one batch or in three of which the last is short."""
    torch.manual_seed(0)
    model = network.make().eval()
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(examples, *network.shape, generator=generator)
    y = torch.randint(10, (examples,), generator=generator)
    size = int(0.4 * examples) if loader else examples
    batches = list(zip(x.split(size), y.split(size), strict=True))
    return Problem(model, nn.CrossEntropyLoss(), batches)


def ours(problem: Problem, kind: str) -> td.Operator:
    """Products as a user gets them, after so many that the engine is chosen."""
    objective = td.Objective(problem.model, problem.loss, problem.batches)
    operator = OURS[kind](objective)
    spent, began = 0, time.perf_counter()
    while spent < PRODUCTS or time.perf_counter() - began < SECONDS * len(problem.batches):
        operator.matvec(vector(operator.size, spent))
        spent += 1
    return operator


def recording(problem: Problem, kind: str) -> float:
    """Seconds a linear program takes to be made, beyond its first product."""
    objective = td.Objective(problem.model, problem.loss, problem.batches)
    operator = OURS[kind](objective, engine="linearize", verify=False)
    v = vector(operator.size, 9)
    first, later = (seconds(lambda: operator.matvec(v)) for _ in range(2))
    return first - later


def vector(size: int, seed: int) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


def forward(problem: Problem) -> None:
    """The unit of cost."""
    with torch.no_grad():
        for x, _ in problem.batches:
            problem.model(x)


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def turns(problem: Problem, works: Mapping[str, Callable[[], object]], repeats: int) -> Any:
    """Forward passes each work took, turn by turn; the order changes with the turn."""
    found: dict[str, list[float]] = {name: [] for name in works}
    names = list(works)
    for turn in range(repeats):
        unit = min(seconds(lambda: forward(problem)) for _ in range(3))
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            found[name].append(seconds(works[name]) / unit)
    return {name: statistics.median(values) for name, values in found.items()}


def report_products(network: Network, repeats: int) -> None:
    """One line for each matrix, size and way the data come."""
    for examples in network.examples:
        for loader in (False, True):
            for kind in FLOORS:
                problem = problem_of(network, examples, loader=loader)
                v = vector(sum(p.numel() for p in problem.model.parameters()), 9)
                own = ours(problem, kind)
                products: dict[str, Callable[[Tensor], Tensor]] = {"theodolite": own.matvec}
                for peer, make in PEERS[kind].items():
                    products[peer] = make(problem, loader)
                right, notes = products["theodolite"](v), {}
                for peer, product in products.items():
                    gap = float((product(v) - right).norm() / right.norm())
                    notes[peer] = f" (wrong by {gap:.0%})" if gap > 1e-3 else ""
                works = {p: partial(f, v) for p, f in products.items()}
                found = turns(problem, works, repeats)
                mine, engine = found["theodolite"], str(own.facts["engine"])
                if engine == "linearize":
                    once = recording(problem, kind) / seconds(works["theodolite"])
                    engine += f", recorded in {once:.0f} products"
                data = "loader" if loader else "data  "
                told = ", ".join(
                    f"{p} {t:.1f} F = {t / mine:.2f} x{notes[p]}"
                    for p, t in found.items()
                    if p != "theodolite"
                )
                print(
                    f"  {kind:7s} {examples:5d} {data}  {mine:5.2f} F = "
                    f"{mine / FLOORS[kind]:.2f} floors ({engine}); {told}",
                    flush=True,
                )


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    settings = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(
        f"products in forward passes F and as multiples of ours, one thread, CPU time, median of "
        f"{settings.repeats}, torch {torch.__version__}, {platform.machine()}"
    )
    # fused attention has no second derivative on a CPU, and peers do not turn it off themselves
    with sdpa_kernel(SDPBackend.MATH):
        for name in settings.networks.split(","):
            print(name)
            report_products(NETWORKS[name], settings.repeats)


if __name__ == "__main__":
    main()
