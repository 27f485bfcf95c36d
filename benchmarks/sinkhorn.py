"""Differentiable matching by Sinkhorn's algorithm against the three methods of `td.match`.

python -m benchmarks.sinkhorn [--pairs N] [--only NAME]

Soft permutations (Pena et al. 2023, arXiv:2212.12042) are trained with Adam so that the loss at
random places between the networks is low, then rounded by linear assignment. It begins at nothing
(``sinkhorn``) or at the matching of weights (``sinkhorn, warm``). Pairs of networks trained on the
shipped digits; the barrier of the training loss after matching, the mean over pairs, its standard
error, and the mean seconds. One thread.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.func import functional_call

import theodolite as td
from benchmarks.trained_pairs import Trained, convolutional, data, perceptrons

STEPS, ROUNDS, TEMPERATURE, RATE = 300, 20, 0.3, 0.1
WARM = 2.0
"""Logits of the matching that a warm start begins at."""


def sinkhorn(logits: Tensor) -> Tensor:
    """The doubly stochastic matrix of these logits."""
    made = logits / TEMPERATURE
    for _ in range(ROUNDS):
        made = made - made.logsumexp(1, keepdim=True)
        made = made - made.logsumexp(0, keepdim=True)
    return made.exp()


def moved(found: td.Symmetries, state: dict[str, Tensor], soft: dict[str, Tensor]):
    """A state with every group's dimensions multiplied by its matrix; plain layouts only."""
    made = {}
    for name, tensor in state.items():
        for dim, layout in enumerate(found.layouts[name]):
            if layout.group:
                tensor = torch.tensordot(soft[layout.group], tensor, ([1], [dim])).movedim(0, dim)
        made[name] = tensor
    return made


def by_sinkhorn(made: td.Objective, a, b, *, warm: bool, seed: int = 0) -> dict[str, Tensor]:
    """Permutations of `b` whose soft forms had a low loss between the networks."""
    generator = torch.Generator().manual_seed(seed)
    start = td.match(made, a, b)
    found = start.symmetries
    logits = {}
    for group in found.groups:
        first = 0.01 * torch.randn(group.size, group.size, generator=generator)
        if warm:
            first += WARM * torch.eye(group.size)[start.permutations[group.name]]
        logits[group.name] = first.requires_grad_(True)
    optimizer = torch.optim.Adam(logits.values(), lr=RATE)
    x, y = data()
    for _ in range(STEPS):
        picked = torch.randint(len(x), (128,), generator=generator)
        share = float(torch.rand((), generator=generator))
        other = moved(found, b, {n: sinkhorn(one) for n, one in logits.items()})
        between = {n: torch.lerp(t, other[n], share) for n, t in a.items()}
        loss = torch.nn.functional.cross_entropy(
            functional_call(made.model, between, (x[picked],)), y[picked]
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    rounded = {}
    for name, one in logits.items():
        _, columns = linear_sum_assignment(sinkhorn(one).detach().numpy(), maximize=True)
        rounded[name] = torch.as_tensor(columns)
    return rounded


def methods() -> dict[str, Callable[..., dict[str, Tensor]]]:
    """Ways to find permutations, by name."""
    made = {
        name: lambda o, a, b, name=name: td.match(o, a, b, method=name).permutations
        for name in ("weights", "activations", "straight-through")
    }
    made["sinkhorn"] = lambda o, a, b: by_sinkhorn(o, a, b, warm=False)
    made["sinkhorn, warm"] = lambda o, a, b: by_sinkhorn(o, a, b, warm=True)
    return made


def barrier(trained: Trained, permutations: dict[str, Tensor] | None) -> float:
    """The barrier of the training loss, to 1e-3 of it."""
    return float(td.barrier(*trained, align=permutations, steps=13, refine=4, resamples=9).barrier)


def main() -> None:
    """Print a table of barriers and seconds by network and method."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--only", default="", help="networks whose name holds this")
    chosen = parser.parse_args()
    pairs = chosen.pairs
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, {platform.machine()}, {pairs} seed pairs")
    cases = {
        "perceptron, 2 x 16": lambda seed: perceptrons(16, 2, seed=seed),
        "perceptron, 2 x 64": lambda seed: perceptrons(64, 2, seed=seed),
        "perceptron, 4 x 64": lambda seed: perceptrons(64, 4, seed=seed),
        "convolutional, 2 x 16": lambda seed: convolutional(16, seed=seed),
    }
    for name, make in cases.items():
        if chosen.only not in name:
            continue
        trained = [make(seed) for seed in range(pairs)]
        print(f"{name}: {np.mean([barrier(one, None) for one in trained]):.3f} before")
        for method, find in methods().items():
            rows = []
            for one in trained:
                began = time.process_time()
                chosen = find(*one)
                rows.append((barrier(one, chosen), time.process_time() - began))
            heights, seconds = np.array(rows).T
            error = heights.std(ddof=1) / len(heights) ** 0.5 if pairs > 1 else np.nan
            print(f"  {method:18} {heights.mean():.4f} +- {error:.4f}  {seconds.mean():6.2f} s")


if __name__ == "__main__":
    main()
