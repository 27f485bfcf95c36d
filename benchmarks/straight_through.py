"""Barriers of the test loss after matching: by weights, and by the loss of the training data.

python -m benchmarks.straight_through [--pairs N] [--width W]

Straight-through matching makes the training loss half-way small, which is what a barrier of the
training loss reads; its rate was chosen on perceptrons like these. So it is judged here by 500
digits that neither training nor matching saw: pairs of perceptrons of two hidden layers from
different seeds, the mean over pairs with a 95 % interval of Student's t, and the paired difference
of the two ways. One thread.
"""

from __future__ import annotations

import argparse
import platform

import torch
from torch import nn

import theodolite as td
from benchmarks.matching import told
from benchmarks.trained_pairs import data, perceptrons

METHODS = ("weights", "straight-through")
KINDS = ("barrier", "test_barrier", "test_error_barrier")


def measured(width: int, seed: int) -> dict[str, dict[str, float]]:
    """Barriers of one pair by way of matching: training loss, test loss, test error."""
    made, a, b = perceptrons(width, 2, seed=seed)
    test = td.Objective(made.model, nn.CrossEntropyLoss(), data(train=False))
    found: dict[str, dict[str, float]] = {}
    for name in ("raw", *METHODS):
        align = None if name == "raw" else td.match(made, a, b, method=name)
        line = td.barrier(made, a, b, align=align, test=test, steps=13, refine=4, resamples=9)
        found[name] = {kind: float(line[kind]) for kind in KINDS}
    return found


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--width", type=int, default=64)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {platform.machine()}, one thread")
    pairs = [measured(chosen.width, seed) for seed in range(chosen.pairs)]
    print(f"perceptron, 2 hidden layers of {chosen.width}, {len(pairs)} pairs")
    for kind in KINDS:
        print(f"  {kind.replace('_', ' ')}")
        for name in ("raw", *METHODS):
            print(f"    {name:18} {told([pair[name][kind] for pair in pairs], places=4)}")
        apart = [pair["straight-through"][kind] - pair["weights"][kind] for pair in pairs]
        print(f"    {'difference':18} {told(apart, places=4)}")


if __name__ == "__main__":
    main()
