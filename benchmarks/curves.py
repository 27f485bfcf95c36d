"""What curves and bands between trained networks cost, in trainings of one of their ends.

python -m benchmarks.curves [--pairs N]

Pairs trained on the shipped digits (`benchmarks.trained_pairs`). A curve is trained for as many
steps of as many examples as its ends were, an elastic band with the settings it has by default.
Seconds of CPU, one thread: an end's training, then each path as a multiple of it, with the losses
at 25 places and the way of the answers, and the largest training loss on it beside that of the
worse end and of the straight line. Floor of a curve's step: that of plain SGD, since a control
point's gradient is that of the network at one place.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

import theodolite as td
from benchmarks.trained_pairs import Trained, perceptrons, residuals

PLACES: dict[str, Any] = {"refine": 4, "resamples": 20}


def seconds(body: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of CPU, and what was made."""
    began = time.process_time()
    made = body()
    return time.process_time() - began, made


def row(make: Callable[[int], Trained], steps: int, batch: int, seed: int) -> dict[str, float]:
    """The figures of one pair."""
    both, (objective, a, b) = seconds(lambda: make(seed))
    end = both / 2
    small = td.Objective(objective.model, torch.nn.CrossEntropyLoss(), batches(objective, batch))
    measure, line = seconds(
        lambda: td.barrier(small.with_batch_norm("recompute"), a, b, steps=25, **PLACES)
    )
    marks: list[float] = []

    def steps_done(stage: str, done: int, of: int) -> None:
        if stage == "step":
            marks.append(time.process_time())

    whole, curve = seconds(
        lambda: td.curve(small, a, b, steps=steps, progress=steps_done, **PLACES)
    )
    banded, band = seconds(lambda: td.elastic_band(small, a, b, **PLACES))
    losses = line["loss"].values
    return {
        "end": end,
        "measure": measure / end,
        "curve": (marks[-1] - marks[0]) / end,
        "curve and its measuring": whole / end,
        "band": banded / end,
        "worse end": float(max(losses[0], losses[-1])),
        "line": float(losses.max()),
        "on curve": float(curve.max_loss),
        "on band": float(band["loss"].max()),
        "tries": float(len(curve.attrs["rates_tried"])),
    }


def batches(objective: td.Objective, size: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The objective's data in batches of the ends' training."""
    x, y = (torch.cat(each) for each in zip(*(b.raw for b in objective.data), strict=True))
    return list(zip(x.split(size), y.split(size), strict=True))


def main() -> None:
    """A table for perceptrons and for residual networks with BatchNorm."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    pairs = parser.parse_args().pairs
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {platform.machine()}, one thread, median of {pairs} pairs")
    cases: dict[str, tuple[Callable[[int], Trained], int, int]] = {
        "perceptron, 2 x 64": (lambda seed: perceptrons(64, 2, seed=seed), 600, 128),
        "residual network, 32 channels": (lambda seed: residuals(32, seed=seed), 168, 64),
    }
    for name, (make, steps, batch) in cases.items():
        rows = [row(make, steps, batch, seed) for seed in range(pairs)]
        of = {key: median(r[key] for r in rows) for key in rows[0]}
        print(
            f"{name}: an end {of['end']:.2f} s; measuring a path {of['measure']:.2f} ends, "
            f"training a curve {of['curve']:.2f} ({of['tries']:.0f} rates tried), with its "
            f"measuring {of['curve and its measuring']:.2f}, band and measuring {of['band']:.2f}"
        )
        print(
            f"  largest loss: worse end {of['worse end']:.4f}, line {of['line']:.4f}, curve "
            f"{of['on curve']:.4f}, band {of['on band']:.4f}"
        )


if __name__ == "__main__":
    main()
