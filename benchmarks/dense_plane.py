"""A dense plane against its floor: as many plain forward passes over data in memory.

python -m benchmarks.dense_plane [--repeats N] [--side N] [--examples N]

The floor is ``model(inputs)`` on the same batches under ``torch.no_grad()``, without a loss. Next
to it stands what a loop over a ``DataLoader`` costs that loads the state of every point, the way
scripts for this are usually written. The three are timed in turn, in one process, on one thread,
by the CPU time of the process, which other work on the machine disturbs least; the ratio of each
turn is taken, and the median of the ratios is printed. A plane has 51 x 51 points unless told
otherwise; a smaller grid weighs the fixed cost of a call, about 20 ms, more than that.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import theodolite as td
from theodolite import models

TARGET = 1.15
BATCH = 500
BYTES = 255.0


class Pictures(Dataset[tuple[Tensor, Tensor]]):
    """Images as files give them: bytes that every reading turns into a normalized tensor."""

    def __init__(self, images: np.ndarray, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        x = torch.from_numpy(self.images[index]).float().div(BYTES)
        return x.sub(0.5).div(0.5), self.labels[index]


@dataclass(frozen=True, eq=False)
class Case:
    """One network, its objective and two directions."""

    name: str
    model: nn.Module
    objective: td.Objective
    directions: Tensor
    loader: DataLoader[tuple[Tensor, Tensor]]


def cases(examples: int) -> list[Case]:
    """A perceptron, a residual network with BatchNorm and a transformer, on 28 x 28 images.

    The slower two see a part of the images, so that each takes about as long.
    """
    torch.manual_seed(0)
    networks = {
        "perceptron 784-256-256-10": (models.mlp((784, 256, 256, 10)), 1),
        "residual network, BatchNorm, depth 8": (models.resnet(8), 16),
        "transformer, width 32, depth 2": (models.transformer(784, patch=28), 4),
    }
    return [case(name, made.eval(), examples // part) for name, (made, part) in networks.items()]


def case(name: str, model: nn.Module, examples: int) -> Case:
    """Random images: what they show does not matter to the clock."""
    generator = torch.Generator().manual_seed(1)
    raw = torch.randint(0, 256, (examples, 1, 28, 28), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, 10, (examples,), generator=generator)
    return case_of(name, model, raw.float().div(BYTES).sub(0.5).div(0.5), labels)


def case_of(name: str, model: nn.Module, images: Tensor, labels: Tensor) -> Case:
    """A network on these images, which the loader reads from bytes."""
    objective = td.Objective(model, nn.CrossEntropyLoss(), (images, labels), batch_size=BATCH)
    raw = images.sub(images.min()).div(images.max() - images.min()).mul(BYTES).byte().numpy()
    loader = DataLoader(Pictures(raw, labels), batch_size=BATCH)
    return Case(name, model, objective, td.random_directions(objective), loader)


def floor(made: Case, points: int) -> None:
    """`points` forward passes over the batches in memory, and nothing else."""
    batches = [batch.inputs[0] for batch in made.objective.data]
    with torch.no_grad():
        for _ in range(points):
            for x in batches:
                made.model(x)


def surface(made: Case, side: int) -> None:
    """The plane itself: losses, accuracies, errors, checks and labels."""
    td.plane(
        made.objective, made.directions, steps=(side, side), method="dense", evaluation="plain"
    )


def loop_over_loader(made: Case, points: int) -> None:
    """New weights loaded for each point, then one pass through the loader, loss by batch."""
    base = {k: v.clone() for k, v in made.model.state_dict().items()}
    rule = nn.CrossEntropyLoss()
    moves = [made.objective.space.views(d) for d in made.directions]
    with torch.no_grad():
        for k in range(points):
            a = 2 * k / points - 1
            moved = {n: base[n] + a * moves[0][n] + a * moves[1][n] for n in moves[0]}
            made.model.load_state_dict({**base, **moved})
            sum(rule(made.model(x), y).item() * len(y) for x, y in made.loader)
        made.model.load_state_dict(base)


def seconds(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def ratios(made: Case, *, side: int, repeats: int) -> tuple[list[float], list[float], float]:
    """Plane and loader loop over the floor, turn by turn, and milliseconds of one floor pass.

    The loader loop runs a tenth of the points and is scaled up.
    """
    points, few = side**2, max(1, side**2 // 10)
    surface(made, 3)
    ours, theirs, bare = [], [], []
    for turn in range(repeats):
        order = [
            ("floor", lambda: floor(made, points)),
            ("plane", lambda: surface(made, side)),
            ("loader", lambda: loop_over_loader(made, few)),
        ]
        took = {name: seconds(work) for name, work in (order if turn % 2 else reversed(order))}
        bare.append(1000 * took["floor"] / points)
        ours.append(took["plane"] / took["floor"])
        theirs.append(took["loader"] * points / few / took["floor"])
    return ours, theirs, statistics.median(bare)


def main() -> None:
    """Print one line a network."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--side", type=int, default=6, help="points along each axis")
    parser.add_argument("--examples", type=int, default=2000)
    settings = parser.parse_args()
    torch.set_num_threads(1)
    print(
        f"dense plane {settings.side} x {settings.side}, batches of up to {BATCH} images, one "
        f"thread, torch {torch.__version__}, median of {settings.repeats} [quartiles]; "
        f"target {TARGET} x floor"
    )
    for made in cases(settings.examples):
        ours, theirs, bare = ratios(made, side=settings.side, repeats=settings.repeats)
        low, middle, high = np.quantile(ours, [0.25, 0.5, 0.75])
        print(
            f"{made.name:38s} {made.objective.examples:5d} images, floor {bare:6.1f} ms a point: "
            f"plane {middle:5.3f} [{low:.3f}, {high:.3f}], "
            f"loader loop {statistics.median(theirs):5.2f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
