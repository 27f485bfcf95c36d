"""Norms of the gradients of single examples: ghost norms, vmap, a loop, and BackPACK 1.7.

python -m benchmarks.noise [--repeats N] [--networks a,b]

Four networks on random inputs, one thread. Each way gives the squared norm of every example's
gradient for the same batches; ways are timed in turn, in one process, in forward passes F:
``model(inputs)`` on the same batches under ``torch.no_grad()``. Medians of the ratios are printed,
and each way's ratio to ghost norms. Norms are compared first: a way that differs is marked with
the relative difference. Ours are timed inside the engine, without the gradient that the public
call adds; the loop is timed on 16 examples and scaled.

BackPACK (``BatchL2Grad``) knows linear and convolution layers, so that it takes part where there
are no others with parameters. ``make bench-noise`` installs it first.
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

import torch
from torch import Tensor, nn

import theodolite as td
from theodolite import models
from theodolite.engines.example_gradients import Way, example_gradients

BATCHES = 4
"""Batches of the data: ways of ours compare two examples with themselves once a size of batch."""

LOOPED = 16
"""Examples on which the loop is timed."""


@dataclass(frozen=True)
class Network:
    """How a network is made, what an input looks like, and whether BackPACK knows its layers."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    examples: int
    peer: bool


def plain_convolutions() -> nn.Module:
    """Convolutions, rectifiers and a linear layer: what every library knows."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * 49, 10),
    )


NETWORKS: Mapping[str, Network] = {
    "perceptron": Network(lambda: models.mlp((784, 128, 128, 10)), (784,), 1024, True),
    "convolutional": Network(plain_convolutions, (1, 28, 28), 256, True),
    "residual": Network(lambda: models.resnet(8), (1, 28, 28), 256, False),
    "transformer": Network(lambda: models.transformer(64), (64,), 512, False),
}

Measure = Callable[[], Tensor]


def ours(model: nn.Module, x: Tensor, y: Tensor, way: Way) -> Measure:
    """Squared norms by one of our ways."""
    size = len(x) // BATCHES or len(x)
    objective = td.Objective(model, nn.CrossEntropyLoss(), (x, y), batch_size=size)
    none = torch.zeros(0, objective.space.size)
    body = partial(example_gradients, objective, objective.start, none, way=way)
    return lambda: objective.guarded(body, grad=True).squares.sum(1)


def backpack(model: nn.Module, x: Tensor, y: Tensor) -> Measure:
    """Squared norms by BackPACK's extension, on the sum so that gradients are those of examples."""
    import copy

    from backpack import backpack as extended
    from backpack import extend
    from backpack.extensions import BatchL2Grad

    own = extend(copy.deepcopy(model))
    loss = extend(nn.CrossEntropyLoss(reduction="sum"))

    def measure() -> Tensor:
        found = []
        for some, labels in zip(x.chunk(BATCHES), y.chunk(BATCHES), strict=True):
            with extended(BatchL2Grad()):
                loss(own(some), labels).backward()
            found.append(torch.stack([p.batch_l2 for p in own.parameters()]).sum(0))
            own.zero_grad()
        return torch.cat(found)

    return measure


def forward(model: nn.Module, x: Tensor) -> None:
    """The unit of cost."""
    with torch.no_grad():
        for some in x.chunk(BATCHES):
            model(some)


def seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def report(network: Network, repeats: int) -> None:
    """One line a way."""
    torch.manual_seed(0)
    model = network.make().eval()
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(network.examples, *network.shape, generator=generator)
    y = torch.randint(10, (network.examples,), generator=generator)
    few = min(LOOPED, network.examples)
    works: dict[str, tuple[Measure, float]] = {
        "ghost norms": (ours(model, x, y, "auto"), 1.0),
        "vmap": (ours(model, x, y, "vmap"), 1.0),
        "loop": (ours(model, x[:few], y[:few], "loop"), network.examples / few),
    }
    if network.peer:
        works["BackPACK"] = (backpack(model, x, y), 1.0)
    right = works["ghost norms"][0]()
    found: dict[str, list[float]] = {name: [] for name in works}
    notes = {}
    for name, (work, _) in works.items():
        seen = work()
        gap = float((seen - right[: len(seen)]).abs().max() / right.max())
        notes[name] = f"  (differs by {gap:.0e})" if gap > 1e-4 else ""
    names = list(works)
    for turn in range(repeats):
        unit = min(seconds(partial(forward, model, x)) for _ in range(3))
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            work, scale = works[name]
            found[name].append(seconds(work) * scale / unit)
    medians = {name: statistics.median(values) for name, values in found.items()}
    for name, cost in medians.items():
        share = cost / medians["ghost norms"]
        print(f"  {name:12s} {cost:8.1f} F = {share:6.2f} x ghost norms{notes[name]}", flush=True)


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--networks", default=",".join(NETWORKS))
    settings = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(
        f"norms of single gradients in forward passes F, one thread, CPU time, median of "
        f"{settings.repeats}, torch {torch.__version__}, {platform.machine()}"
    )
    for name in settings.networks.split(","):
        network = NETWORKS[name]
        print(f"{name}, {network.examples} examples")
        report(network, settings.repeats)


if __name__ == "__main__":
    main()
