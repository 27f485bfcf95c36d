"""Hessian and Gauss-Newton products against their floors, and against making graphs anew.

python -m benchmarks.hessian_products [--repeats N]

Times are in forward passes F: ``model(inputs)`` on the same batch under ``torch.no_grad()``. An
exact Hessian product on a kept graph has a floor of 6 F, a Gauss-Newton product of 4 F (two and
one times a matrix product forward and backward through every layer; layers next to the input
need less, so small networks may come in below). Engines and the forward pass are timed in turn,
in one process, on one thread; the ratio of each turn is taken, and the median is printed.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

import theodolite as td
from theodolite import models

FLOORS = {"Hessian": 6.0, "GGN": 4.0}
ENGINES = {
    "Hessian": ("kept", "recompute", "forward_over_reverse", "linearize"),
    "GGN": ("kept", "recompute", "forward", "linearize"),
}
MAKE = {"Hessian": td.hessian, "GGN": td.ggn}


@dataclass(frozen=True, eq=False)
class Case:
    """One network and its objective over one batch."""

    name: str
    model: nn.Module
    objective: td.Objective


def cases() -> list[Case]:
    """A perceptron, a convolutional and a residual network with BatchNorm, a transformer."""
    torch.manual_seed(0)
    return [
        case("perceptron 784-128-128-10", models.mlp((784, 128, 128, 10)), 512, 784),
        case("convolutional, BatchNorm", models.cnn(), 128, 1, 28, 28),
        case("residual, BatchNorm, depth 8", models.resnet(8), 64, 1, 28, 28),
        case("transformer, width 32, depth 2", models.transformer(64), 256, 64),
    ]


def case(name: str, model: nn.Module, examples: int, *shape: int) -> Case:
    """Random inputs: what they show does not matter to the clock."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(examples, *shape, generator=generator)
    y = torch.randint(10, (examples,), generator=generator)
    return Case(name, model.eval(), td.Objective(model, nn.CrossEntropyLoss(), (x, y)))


def forward(made: Case) -> None:
    """The unit of cost."""
    (batch,) = made.objective.data
    with torch.no_grad():
        made.model(batch.inputs[0])


def seconds(work: Callable[[], object], times: int) -> float:
    """Of one call, from `times` calls in a row."""
    began = time.perf_counter()
    for _ in range(times):
        work()
    return (time.perf_counter() - began) / times


def prepared(made: Case, kind: str, engine: str) -> tuple[Callable[[], object], float]:
    """A product ready to be timed, and the seconds its first one took beyond the second."""
    generator = torch.Generator().manual_seed(2)
    v = torch.randn(made.objective.space.size, generator=generator)
    MAKE[kind](made.objective, engine=engine, verify=False).matvec(v)  # torch loads what it needs
    operator = MAKE[kind](made.objective, engine=engine, verify=False)
    first, second = (seconds(lambda: operator.matvec(v), 1) for _ in range(2))
    return lambda: operator.matvec(v), max(0.0, first - second)


def ratios(made: Case, kind: str, engine: str, *, repeats: int) -> tuple[list[float], float]:
    """Products in forward passes, turn by turn, and the set-up in forward passes."""
    work, extra = prepared(made, kind, engine)
    once = seconds(lambda: forward(made), 5)
    times = max(1, round(0.05 / once))
    found = []
    for turn in range(repeats):
        if turn % 2:
            product, unit = seconds(work, 1), seconds(lambda: forward(made), times)
        else:
            unit, product = seconds(lambda: forward(made), times), seconds(work, 1)
        found.append(product / unit)
    return found, extra / once


def main() -> None:
    """Print one line a network and engine."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    settings = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"products in forward passes F, median of {settings.repeats} [quartiles], one thread, "
        f"torch {torch.__version__}, {platform.machine()}, Python {platform.python_version()}"
    )
    for made in cases():
        unit = 1000 * statistics.median(seconds(lambda m=made: forward(m), 1) for _ in range(9))
        print(f"{made.name}: {made.objective.space.size:,} parameters, F = {unit:.2f} ms")
        for kind, engines in ENGINES.items():
            for engine in engines:
                report(made, kind, engine, settings.repeats)


def report(made: Case, kind: str, engine: str, repeats: int) -> None:
    """One line: cost, its ratio to the floor, and what the first product costs beyond it."""
    found, extra = ratios(made, kind, engine, repeats=repeats)
    low, middle, high = statistics.quantiles(found, n=4) if repeats > 1 else 3 * found
    print(
        f"  {kind:8s} {engine:21s} {middle:6.2f} F [{low:.2f}, {high:.2f}]  "
        f"{middle / FLOORS[kind]:5.2f} x floor of {FLOORS[kind]:g} F   set-up {extra:7.1f} F"
    )


if __name__ == "__main__":
    main()
