"""Surfaces of 51 x 51 points against PyPI's loss-landscapes 3.0.6 and a loop over a DataLoader.

python -m benchmarks.surfaces [--repeats N] [--networks a,b] [--trained brief,full]

Four networks on Fashion-MNIST images, each trained briefly and fully; the same examples, the same
number of points and one thread for everybody. Times are CPU times of the process. What costs the
same at every point (floor, dense plane, loss-landscapes, loader loop) is timed over a few points,
in turn, and multiplied; an adaptive plane is timed whole, with its planning. The floor is
``model(inputs)`` on the same batches under ``torch.no_grad()``. Errors are those of 200 fresh
random points, measured afterwards, as a share of the range of the log of the loss. Medians are
printed. ``make bench-surfaces`` installs the peer first.
"""

from __future__ import annotations

import argparse
import copy
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
import xarray as xr
from torch import nn

import theodolite as td
from benchmarks.dense_plane import Case, case_of, floor, loop_over_loader
from theodolite import models, training
from theodolite.seeds import numpy_generator
from theodolite.surfaces.sweep import scattered_walk, swept

SIDE, FRESH = 51, 200
POINTS = SIDE**2


@dataclass(frozen=True)
class Network:
    """How one of the networks is made and trained, and on how many images it is measured."""

    make: Callable[[], nn.Module]
    examples: int
    brief: int
    full: int
    optimizer: str = "sgd"
    learning_rate: float = 0.05
    flat: bool = False


NETWORKS = {
    "perceptron": Network(partial(models.mlp, (784, 128, 128, 10)), 2000, 2, 60, flat=True),
    "residual": Network(partial(models.resnet, 8), 1000, 2, 30),
    "no skip": Network(partial(models.resnet, 14, skip=False), 1000, 3, 40),
    "transformer": Network(
        partial(models.transformer, 784, patch=28), 2000, 4, 40, "adam", 1e-3, flat=True
    ),
}


def trained(network: Network, epochs: int) -> Case:
    """The network after so many epochs on 2,000 images, measured on the first of them."""
    data = td.datasets.fashion_mnist()
    x, y = data.train[0][:2000], data.train[1][:2000]
    test = (data.test[0][:200], data.test[1][:200])
    if network.flat:
        x, test = x.flatten(1), (test[0].flatten(1), test[1])
    recipe = training.Recipe(
        network.make,
        replace(data, train=(x, y), test=test),
        epochs=epochs,
        optimizer=network.optimizer,
        learning_rate=network.learning_rate,
    )
    model = training.train(recipe).model
    return case_of("", model, x[: network.examples], y[: network.examples])


def peer(made: Case, side: int) -> None:
    """`random_plane` of loss-landscapes on all images as one batch, which is how it takes them."""
    import loss_landscapes
    from loss_landscapes.metrics import Loss

    batches = list(made.objective.data)
    x, y = torch.cat([b.inputs[0] for b in batches]), torch.cat([b.targets for b in batches])
    metric = Loss(nn.CrossEntropyLoss(), x, y)
    model = copy.deepcopy(made.model)
    loss_landscapes.random_plane(model, metric, distance=1, steps=side, normalization="filter")


def seconds(work: Callable[[], object]) -> tuple[float, object]:
    began = time.process_time()
    found = work()
    return time.process_time() - began, found


def fresh_errors(made: Case, plane: xr.Dataset) -> np.ndarray:
    """Errors at fresh random points of the grid that were not measured."""
    free = np.argwhere(plane.sampled.values == 0)
    chosen = numpy_generator(1, "fresh").permutation(len(free))[:FRESH]
    alphas, betas = plane.alpha.values, plane.beta.values
    places = sorted((float(alphas[i]), float(betas[j])) for i, j in free[chosen])
    start = made.objective.start
    walk = scattered_walk(start, made.directions, places)
    truth = np.log(swept(made.objective, start, walk, lambda: None)["loss"])
    fit = np.log([float(plane.loss.sel(alpha=a, beta=b)) for a, b in places])
    known = np.log(plane.loss.values[plane.sampled.values > 0])
    extent = max(known.max(), truth.max()) - min(known.min(), truth.min())
    return np.abs(fit - truth) / extent


@dataclass
class Row:
    """Times of one network, each a list over turns: seconds of a whole surface, or of a point."""

    floor: list[float]
    dense: list[float]
    chosen: list[float]
    peer: list[float]
    loader: list[float]
    adaptive: list[float]
    planned: list[float]


def timed(made: Case, repeats: int, side: int) -> tuple[Row, xr.Dataset, xr.Dataset]:
    """Everybody in turn, `repeats` times."""
    row = Row(*([] for _ in range(7)))
    dense = partial(td.plane, made.objective, made.directions, steps=(side, side), method="dense")
    whole = partial(td.plane, made.objective, made.directions, steps=(SIDE, SIDE))
    _, planned = seconds(partial(whole, evaluation="auto"))
    name, few = planned.attrs["evaluation"], max(2, side**2 // 6)  # type: ignore[attr-defined]
    work = {
        "floor": (lambda: floor(made, side**2), side**2),
        "dense": (partial(dense, evaluation="plain"), side**2),
        "chosen": (partial(dense, evaluation=name), side**2),
        "peer": (lambda: peer(made, side), side**2),
        "loader": (lambda: loop_over_loader(made, few), few),
        "adaptive": (partial(whole, evaluation="plain"), 1),
        "planned": (partial(whole, evaluation="auto"), 1),
    }
    kept: dict[str, object] = {}
    for turn in range(repeats):
        for key in list(work) if turn % 2 else reversed(list(work)):
            job, points = work[key]
            took, kept[key] = seconds(job)
            getattr(row, key).append(took / points)
    return row, kept["adaptive"], kept["planned"]  # type: ignore[return-value]


def told(name: str, made: Case, row: Row, plain: xr.Dataset, planned: xr.Dataset) -> None:
    """Three lines: what a point costs, what the surface costs, and how far off it is."""

    def over(many: list[float], few: list[float], factor: float = 1.0) -> float:
        return statistics.median(factor * a / b for a, b in zip(many, few, strict=True))

    unit = 1000 * statistics.median(row.floor)
    print(f"{name}: {made.objective.examples} images, floor {unit:.1f} ms a point")
    print(
        f"  a point, in floors: dense {over(row.dense, row.floor):.3f}, "
        f"as planned ({planned.attrs['evaluation']}) {over(row.chosen, row.floor):.3f}, "
        f"loss-landscapes {over(row.peer, row.floor):.2f}, "
        f"loader loop {over(row.loader, row.floor):.2f}"
    )
    for label, times, plane in (("plain", row.adaptive, plain), ("planned", row.planned, planned)):
        errors = fresh_errors(made, plane) if plane.attrs["method"] == "adaptive" else np.zeros(1)
        print(
            f"  51 x 51 {label:8s} {statistics.median(times):6.1f} s: "
            f"{over(row.peer, times, POINTS):5.1f} x faster than loss-landscapes, "
            f"{over(row.loader, times, POINTS):5.1f} x than the loader loop, "
            f"{over(row.floor, times, POINTS):5.1f} x than the dense floor; "
            f"{plane.attrs['passes']:.0f} passes, {plane.attrs['method']}; fresh points "
            f"max {100 * errors.max():.2f} %, rms {100 * np.sqrt((errors**2).mean()):.2f} %",
            flush=True,
        )


def main() -> None:
    """Print a block for each network and training."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--side", type=int, default=6, help="side of the grids timed by points")
    parser.add_argument("--networks", default=",".join(NETWORKS))
    parser.add_argument("--trained", default="brief,full")
    settings = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print(
        f"surfaces of {SIDE} x {SIDE} points, one thread, torch {torch.__version__}, "
        f"{platform.machine()}, median of {settings.repeats}"
    )
    for kind in settings.trained.split(","):
        for name in settings.networks.split(","):
            network = NETWORKS[name]
            made = trained(network, getattr(network, kind))
            row, plain, planned = timed(made, settings.repeats, settings.side)
            title = f"{name}, {kind} training, loss {float(made.objective.value()):.3g}"
            told(title, made, row, plain, planned)


if __name__ == "__main__":
    main()
