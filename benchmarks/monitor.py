"""What td.Monitor costs, in steps of the training it watches.

python -m benchmarks.monitor [--seconds S]

For each network: the time of a training step (batch of 64, momentum), of a call of ``monitor.step``
where nothing is due, and of a warm measurement on 256 examples, by measure, each in training steps.
Then the network is trained for S seconds with ``every="5%"``, and the share that measuring took is
printed. One thread. Medians; measures are timed alone, so that each pays for what several would
share.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import theodolite as td
from theodolite import models

EXAMPLES, BATCH = 256, 64
MEASURES = ("loss", "gradient", "path", "eigenvalues", "threshold", "batch_sharpness")


@dataclass(frozen=True, eq=False)
class Case:
    """A network and how to make a step with it."""

    name: str
    model: nn.Module
    data: tuple[Tensor, Tensor]
    optimizer: torch.optim.Optimizer

    def objective(self) -> td.Objective:
        return td.Objective(self.model, nn.CrossEntropyLoss(), self.data)

    def step(self, number: int) -> None:
        """One training step on a batch of its own."""
        first = number * BATCH % EXAMPLES
        x, y = (part[first : first + BATCH] for part in self.data)
        self.optimizer.zero_grad()
        nn.functional.cross_entropy(self.model(x), y).backward()
        self.optimizer.step()


def cases() -> list[Case]:
    torch.manual_seed(0)
    return [
        case("perceptron 784-128-128-10", models.mlp((784, 128, 128, 10)), 784),
        case("convolutional, BatchNorm", models.cnn(), 1, 28, 28),
        case("residual, BatchNorm, depth 8", models.resnet(8), 1, 28, 28),
        case("transformer, width 32, depth 2", models.transformer(64), 64),
    ]


def case(name: str, model: nn.Module, *shape: int) -> Case:
    """Random inputs: what they show does not matter to the clock."""
    made = torch.Generator().manual_seed(1)
    x = torch.randn(EXAMPLES, *shape, generator=made)
    y = torch.randint(10, (EXAMPLES,), generator=made)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    return Case(name, model.train(), (x, y), optimizer)


def median_seconds(body: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        body()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def costs(found: Case) -> None:
    """One table of one network."""
    for k in range(5):
        found.step(k)
    step = median_seconds(lambda: found.step(0), 20)
    idle = td.Monitor(found.objective(), every=10**9)
    calls = 10_000
    each = median_seconds(lambda: [idle.step(found.optimizer) for _ in range(calls)], 3) / calls
    print(f"\n{found.name}: {idle.objective.space.size:,} parameters, a step {1e3 * step:.1f} ms")
    print(f"  a call where nothing is due   {1e6 * each:.1f} us  ({each / step:.2%} of a step)")
    whole = 0.0
    for chosen in ([m] for m in (*MEASURES, "")):
        names = list(MEASURES) if chosen == [""] else chosen
        monitor = td.Monitor(found.objective(), measures=names, batch_size=BATCH)
        monitor.measure(found.optimizer)
        seconds = []
        for k in range(3):
            found.step(k)
            seconds.append(median_seconds(lambda m=monitor: m.measure(found.optimizer), 1))  # type: ignore[misc]
        whole = statistics.median(seconds)
        label = "all together" if chosen == [""] else chosen[0]
        print(f"  {label:28}  {1e3 * whole:7.1f} ms  = {whole / step:6.1f} steps")
    print(f"  5 % of the time is one measurement in {whole / step / 0.05:,.0f} steps")


def trained(found: Case, seconds: float) -> None:
    """A real training whose monitor may take five percent."""
    monitor = td.Monitor(found.objective(), every="5%", batch_size=BATCH)
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        found.step(steps)
        monitor.step(found.optimizer)
        steps += 1
    times = monitor.history()["time"].values
    print(
        f"  trained {seconds:g} s with every='5%': {steps:,} steps, {len(times)} measurements, "
        f"{monitor.share:.1%} of the training time"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=float, default=30.0, help="length of each training")
    seconds = options.parse_args().seconds
    torch.set_num_threads(1)
    print(f"{platform.machine()}, torch {torch.__version__}, one thread")
    for found in cases():
        costs(found)
        trained(found, seconds)


if __name__ == "__main__":
    main()
